import { strict as assert } from 'node:assert';
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { proposalId, tenantId, type ProposalId, type TenantId } from '../../model/ids.ts';
import type { ProposalPlace } from '../../model/lease.ts';
import type { Store } from '../../model/ports.ts';
import type { DeadlineRows } from '../state/tables.ts';
import { textOf, type Row } from './rows.ts';

/** When waiting proposals are next looked at; of all tenants in one order of time. */
export class DeadlineTable implements DeadlineRows {
  readonly #set: StatementSync;
  readonly #move: StatementSync;
  readonly #drop: StatementSync;
  readonly #due: StatementSync;

  constructor(database: DatabaseSync) {
    this.#set = database.prepare(`
      INSERT INTO deadlines (tenant, proposal, due_at) VALUES (?, ?, ?)
      ON CONFLICT (tenant, proposal) DO UPDATE SET due_at = excluded.due_at`);
    this.#move = database.prepare(
      'UPDATE deadlines SET due_at = ? WHERE tenant = ? AND proposal = ?',
    );
    this.#drop = database.prepare('DELETE FROM deadlines WHERE tenant = ? AND proposal = ?');
    this.#due = database.prepare(`
      SELECT tenant, proposal FROM deadlines WHERE due_at <= ?
      ORDER BY due_at, tenant, proposal LIMIT ?`);
  }

  set(tenant: TenantId, id: ProposalId, dueAt: number): void {
    this.#set.run(tenant, id, dueAt);
  }

  drop(tenant: TenantId, id: ProposalId): void {
    this.#drop.run(tenant, id);
  }

  due(now: number, limit: number): readonly ProposalPlace[] {
    return this.#due.all(now, limit).map(placeOf);
  }

  putOff(looks: Parameters<Store['putOff']>[0]): void {
    for (const { tenant, id, until } of looks) this.#move.run(until, tenant, id);
  }
}

function placeOf(row: Row): ProposalPlace {
  const tenant = tenantId(textOf(row, 'tenant'));
  const id = proposalId(textOf(row, 'proposal'));
  assert(tenant !== undefined && id !== undefined, 'a stored deadline is of a proposal');
  return { tenant, id };
}
