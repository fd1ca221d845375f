import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { ProposalId, TenantId } from '../../model/ids.ts';
import type { Effect } from '../../model/plan.ts';
import type { EffectLists, EffectSide } from '../state/nested-effects.ts';
import { Recent } from '../state/recent.ts';
import { textOf } from './rows.ts';

/** What a row holds: the list of the whole, or those of a chain's steps and segments. */
type Part = EffectSide | `${EffectSide}-parts`;

/** How many effects are kept parsed, over all lists; two largest chains, whole and by step. */
const RECENT_EFFECTS_MAX = 40_000;

/**
 * The effects of plans and outcomes, up to 10,000 in a list. A journey reads its plan at each of
 * its steps, so the lists read last are kept parsed.
 */
export class EffectTable {
  readonly #read: StatementSync;
  readonly #exists: StatementSync;
  readonly #write: StatementSync;
  readonly #recent = new Recent<EffectLists>(RECENT_EFFECTS_MAX);

  constructor(database: DatabaseSync) {
    this.#read = database.prepare(
      'SELECT effects FROM effects WHERE tenant = ? AND proposal = ? AND part = ?',
    );
    this.#exists = database.prepare(
      'SELECT 1 FROM effects WHERE tenant = ? AND proposal = ? AND part = ?',
    );
    this.#write = database.prepare(`
      INSERT INTO effects (tenant, proposal, part, effects) VALUES (?, ?, ?, ?)
      ON CONFLICT (tenant, proposal, part) DO UPDATE SET effects = excluded.effects`);
  }

  /** The list of the whole; empty where none was written. */
  read(tenant: TenantId, proposal: ProposalId, side: EffectSide): readonly Effect[] {
    // Written by `write` below and by nothing else.
    const parse = (text: string): EffectLists => [JSON.parse(text) as readonly Effect[]];
    return this.#find(tenant, proposal, side, parse)?.[0] ?? [];
  }

  write(
    tenant: TenantId,
    proposal: ProposalId,
    side: EffectSide,
    effects: readonly Effect[],
  ): void {
    this.#write.run(tenant, proposal, side, JSON.stringify(effects));
    this.#keep(tenant, proposal, side, [effects]);
  }

  /** The lists of a chain's steps and segments; `undefined` where none were written. */
  readParts(tenant: TenantId, proposal: ProposalId, side: EffectSide): EffectLists | undefined {
    // Written by `writeParts` below and by nothing else.
    const parse = (text: string): EffectLists => JSON.parse(text) as EffectLists;
    return this.#find(tenant, proposal, `${side}-parts`, parse);
  }

  hasParts(tenant: TenantId, proposal: ProposalId, side: EffectSide): boolean {
    return this.#exists.get(tenant, proposal, `${side}-parts`) !== undefined;
  }

  writeParts(tenant: TenantId, proposal: ProposalId, side: EffectSide, lists: EffectLists): void {
    this.#write.run(tenant, proposal, `${side}-parts`, JSON.stringify(lists));
    this.#keep(tenant, proposal, `${side}-parts`, lists);
  }

  /** Forgets what is kept parsed: it may hold what a rollback has just taken back. */
  forget(): void {
    this.#recent.forget();
  }

  #find(
    tenant: TenantId,
    proposal: ProposalId,
    part: Part,
    parse: (text: string) => EffectLists,
  ): EffectLists | undefined {
    const recent = this.#recent.get(keyOf(tenant, proposal, part));
    if (recent !== undefined) return recent;
    const row = this.#read.get(tenant, proposal, part);
    if (row === undefined) return undefined;
    const lists = parse(textOf(row, 'effects'));
    this.#keep(tenant, proposal, part, lists);
    return lists;
  }

  #keep(tenant: TenantId, proposal: ProposalId, part: Part, lists: EffectLists): void {
    this.#recent.set(keyOf(tenant, proposal, part), lists, sizeOf(lists));
  }
}

function keyOf(tenant: TenantId, proposal: ProposalId, part: Part): string {
  return `${tenant}/${proposal}/${part}`;
}

/** An empty list takes room too. */
function sizeOf(lists: EffectLists): number {
  return lists.reduce((size, effects) => size + effects.length + 1, 0);
}
