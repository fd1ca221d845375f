import { strict as assert } from 'node:assert';
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { proposalId, type ProposalId, type TenantId } from '../../model/ids.ts';
import { STATES, type State } from '../../model/lifecycle.ts';
import { PAGE_MAX, type ProposalFilter } from '../../model/ports.ts';
import type { Proposal } from '../../model/proposal.ts';
import {
  EFFECT_SIDES,
  nestedEffects,
  withNested,
  withoutNested,
  type EffectSide,
} from '../state/nested-effects.ts';
import { Recent } from '../state/recent.ts';
import { bareOf, parseProposal, withEffects } from '../state/records.ts';
import type { ProposalRows, Standing } from '../state/tables.ts';
import { EffectTable } from './effects.ts';
import { integerOf, textOf, type Row } from './rows.ts';

/** After every id: ids are ASCII. */
const AFTER_ALL = '\u{10ffff}';

/** How much of records is kept parsed, by the length of their texts. */
const RECENT_CHARACTERS_MAX = 16 * 1024 * 1024;

/** Columns beside the record follow from it. */
export class ProposalTable implements ProposalRows {
  readonly effects: EffectTable;
  /** Without effects, but those of an older record's parts; a journey reads its record at each of its steps. */
  readonly #recent = new Recent<Proposal>(RECENT_CHARACTERS_MAX);
  readonly #record: StatementSync;
  readonly #save: StatementSync;
  readonly #newest: StatementSync;
  readonly #newestOfAgent: StatementSync;
  readonly #newestOfRun: StatementSync;
  readonly #oldest: StatementSync;
  readonly #count: StatementSync;

  constructor(database: DatabaseSync) {
    this.effects = new EffectTable(database);
    this.#record = database.prepare('SELECT record FROM proposals WHERE tenant = ? AND id = ?');
    this.#save = database.prepare(`
      INSERT INTO proposals (tenant, id, state, agent, record) VALUES (?, ?, ?, ?, ?)
      ON CONFLICT (tenant, id) DO UPDATE SET state = excluded.state, record = excluded.record`);
    // One state at a time, so that each answer comes off an index in order, however many rows.
    this.#newest = database.prepare(`
      SELECT id FROM proposals WHERE tenant = ? AND state = ? AND id < ?
      ORDER BY id DESC LIMIT ?`);
    this.#newestOfAgent = database.prepare(`
      SELECT id FROM proposals WHERE tenant = ? AND agent = ? AND state = ? AND id < ?
      ORDER BY id DESC LIMIT ?`);
    this.#newestOfRun = database.prepare(`
      SELECT id FROM proposals
      WHERE tenant = ? AND json_extract(record, '$.draft.run') = ? AND id < ?
      ORDER BY id DESC LIMIT ?`);
    this.#oldest = database.prepare(
      'SELECT id FROM proposals WHERE tenant = ? AND state = ? ORDER BY id LIMIT ?',
    );
    this.#count = database.prepare(
      'SELECT count(*) AS count FROM proposals WHERE tenant = ? AND state = ?',
    );
  }

  find(tenant: TenantId, id: ProposalId): Proposal | undefined {
    const stored = this.#stored(tenant, id);
    if (stored === undefined) return undefined;
    const whole = withEffects(
      stored,
      () => this.effects.read(tenant, id, 'plan'),
      () => this.effects.read(tenant, id, 'outcome'),
    );
    return EFFECT_SIDES.reduce((proposal, side) => {
      if (nestedEffects(proposal, side).length === 0) return proposal;
      const lists = this.effects.readParts(tenant, id, side);
      // A record of before these lists lay apart holds its own.
      return lists === undefined ? proposal : withNested(proposal, side, lists);
    }, whole);
  }

  /** The record with `[]` in place of the effects. */
  findWithoutEffects(tenant: TenantId, id: ProposalId): Proposal | undefined {
    const stored = this.#stored(tenant, id);
    return stored && withoutNested(stored);
  }

  standing(tenant: TenantId, id: ProposalId): Standing | undefined {
    return this.#stored(tenant, id);
  }

  #stored(tenant: TenantId, id: ProposalId): Proposal | undefined {
    const key = `${tenant}/${id}`;
    const recent = this.#recent.get(key);
    if (recent !== undefined) return recent;
    const row = this.#record.get(tenant, id);
    if (row === undefined) return undefined;
    const text = textOf(row, 'record');
    const proposal = parseProposal(text);
    this.#recent.set(key, proposal, text.length);
    return proposal;
  }

  /** Forgets what is kept parsed: it may hold what a rollback has just taken back. */
  forget(): void {
    this.#recent.forget();
    this.effects.forget();
  }

  /** Newest first, without effects. */
  list(tenant: TenantId, filter: ProposalFilter): readonly Proposal[] {
    const limit = Math.min(filter.limit, PAGE_MAX);
    const ids =
      filter.run === undefined
        ? this.#idsByState(tenant, filter, limit)
        : this.#idsOfRun(tenant, filter.run, filter.before, limit);
    const page = ids.toSorted().toReversed().slice(0, limit);
    return page.map((id) => {
      const proposal = this.findWithoutEffects(tenant, id);
      assert(proposal !== undefined, 'an id off the index has its row');
      return proposal;
    });
  }

  #idsByState(tenant: TenantId, filter: ProposalFilter, limit: number): readonly ProposalId[] {
    const { agent, before = AFTER_ALL } = filter;
    return [...new Set(filter.states ?? STATES)].flatMap((state) =>
      agent === undefined
        ? this.#newest.all(tenant, state, before, limit).map(idOf)
        : this.#newestOfAgent.all(tenant, agent, state, before, limit).map(idOf),
    );
  }

  #idsOfRun(
    tenant: TenantId,
    run: string,
    before: string = AFTER_ALL,
    limit: number,
  ): readonly ProposalId[] {
    return this.#newestOfRun.all(tenant, run, before, limit).map(idOf);
  }

  /** Oldest first. */
  inState(tenant: TenantId, state: State, limit: number): readonly ProposalId[] {
    return this.#oldest.all(tenant, state, limit).map(idOf);
  }

  count(tenant: TenantId, state: State): number {
    return integerOf(this.#count.get(tenant, state) ?? {}, 'count');
  }

  save(proposal: Proposal, before: Proposal | undefined): void {
    const { tenant, id, state, proposer } = proposal;
    const agent = proposer.kind === 'agent' ? proposer.name : null;
    const bare = bareOf(proposal);
    const record = JSON.stringify(bare);
    this.#save.run(tenant, id, state, agent, record);
    this.#recent.set(`${tenant}/${id}`, bare, record.length);
    for (const side of EFFECT_SIDES) this.#saveEffects(proposal, before, side);
  }

  #saveEffects(proposal: Proposal, before: Proposal | undefined, side: EffectSide): void {
    const { tenant, id, assessment, outcome } = proposal;
    const isNew = side === 'plan' ? assessment !== before?.assessment : outcome !== before?.outcome;
    const effects = side === 'plan' ? assessment?.plan.effects : outcome?.effects;
    if (isNew && effects) this.effects.write(tenant, id, side, effects);
    const lists = nestedEffects(proposal, side);
    if (lists.length === 0) return;
    // A record of before these lists lay apart held them, and was written without just now.
    if (isNew || !this.effects.hasParts(tenant, id, side)) {
      this.effects.writeParts(tenant, id, side, lists);
    }
  }
}

function idOf(row: Row): ProposalId {
  const id = proposalId(textOf(row, 'id'));
  assert(id !== undefined, 'a stored proposal id is one');
  return id;
}
