import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { ProposalId, TenantId } from '../../model/ids.ts';
import type { Effect } from '../../model/plan.ts';
import { Recent } from './recent.ts';
import { textOf } from './rows.ts';

/** Which of a proposal's two lists of effects: those it would have, or those it had. */
export type EffectPart = 'plan' | 'outcome';

/** How many effects are kept parsed, over all lists; two plans of the largest size. */
const RECENT_EFFECTS_MAX = 20_000;

/**
 * The effects of plans and outcomes, up to 10,000 in a list. A journey reads its plan at each of
 * its steps, so the lists read last are kept parsed.
 */
export class EffectTable {
  readonly #read: StatementSync;
  readonly #write: StatementSync;
  readonly #recent = new Recent<readonly Effect[]>(RECENT_EFFECTS_MAX);

  constructor(database: DatabaseSync) {
    this.#read = database.prepare(
      'SELECT effects FROM effects WHERE tenant = ? AND proposal = ? AND part = ?',
    );
    this.#write = database.prepare(`
      INSERT INTO effects (tenant, proposal, part, effects) VALUES (?, ?, ?, ?)
      ON CONFLICT (tenant, proposal, part) DO UPDATE SET effects = excluded.effects`);
  }

  read(tenant: TenantId, proposal: ProposalId, part: EffectPart): readonly Effect[] {
    const key = keyOf(tenant, proposal, part);
    const recent = this.#recent.get(key);
    if (recent !== undefined) return recent;
    const effects = this.#parse(tenant, proposal, part);
    this.#recent.set(key, effects, sizeOf(effects));
    return effects;
  }

  write(
    tenant: TenantId,
    proposal: ProposalId,
    part: EffectPart,
    effects: readonly Effect[],
  ): void {
    this.#write.run(tenant, proposal, part, JSON.stringify(effects));
    this.#recent.set(keyOf(tenant, proposal, part), effects, sizeOf(effects));
  }

  /** Forgets what is kept parsed: it may hold what a rollback has just taken back. */
  forget(): void {
    this.#recent.forget();
  }

  #parse(tenant: TenantId, proposal: ProposalId, part: EffectPart): readonly Effect[] {
    const row = this.#read.get(tenant, proposal, part);
    if (row === undefined) return [];
    // Written by `write` above and by nothing else.
    return JSON.parse(textOf(row, 'effects')) as readonly Effect[];
  }
}

function keyOf(tenant: TenantId, proposal: ProposalId, part: EffectPart): string {
  return `${tenant}/${proposal}/${part}`;
}

/** An empty list takes room too. */
function sizeOf(effects: readonly Effect[]): number {
  return effects.length + 1;
}
