import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { Digest } from '../../lib/canonical.ts';
import { proposalId, type ProposalId, type TenantId } from '../../model/ids.ts';
import type { KeyClaim } from '../../model/ports.ts';
import type { KeyRows } from '../state/tables.ts';
import { textOf, type Row } from './rows.ts';

export class KeyTable implements KeyRows {
  readonly #derived: StatementSync;
  readonly #supplied: StatementSync;
  readonly #takeDerived: StatementSync;
  readonly #dropDerived: StatementSync;
  readonly #takeSupplied: StatementSync;

  constructor(database: DatabaseSync) {
    this.#derived = database.prepare(
      'SELECT proposal FROM derived_keys WHERE tenant = ? AND key = ?',
    );
    this.#supplied = database.prepare(
      'SELECT proposal FROM supplied_keys WHERE tenant = ? AND agent = ? AND key = ?',
    );
    this.#takeDerived = database.prepare(`
      INSERT INTO derived_keys (tenant, key, proposal) VALUES (?, ?, ?)
      ON CONFLICT (tenant, key) DO UPDATE SET proposal = excluded.proposal`);
    this.#dropDerived = database.prepare(
      'DELETE FROM derived_keys WHERE tenant = ? AND key = ? AND proposal = ?',
    );
    // Without a conflict clause: a supplied key is taken once, for good.
    this.#takeSupplied = database.prepare(
      'INSERT INTO supplied_keys (tenant, agent, key, proposal) VALUES (?, ?, ?, ?)',
    );
  }

  derived(tenant: TenantId, key: Digest): ProposalId | undefined {
    return holderOf(this.#derived.get(tenant, key));
  }

  supplied(tenant: TenantId, supplied: NonNullable<KeyClaim['supplied']>): ProposalId | undefined {
    return holderOf(this.#supplied.get(tenant, supplied.agent, supplied.key));
  }

  take(tenant: TenantId, claim: KeyClaim): void {
    const { proposalId: proposal, keys, dropped = [], supplied } = claim;
    for (const key of dropped) this.#dropDerived.run(tenant, key, proposal);
    for (const key of keys) this.#takeDerived.run(tenant, key, proposal);
    if (supplied !== null) this.#takeSupplied.run(tenant, supplied.agent, supplied.key, proposal);
  }
}

function holderOf(row: Row | undefined): ProposalId | undefined {
  return row === undefined ? undefined : proposalId(textOf(row, 'proposal'));
}
