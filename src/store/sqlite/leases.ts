import { strict as assert } from 'node:assert';
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { proposalId, type ProposalId, type TenantId } from '../../model/ids.ts';
import type { Claimed, LeaseClaim, ProposalPlace } from '../../model/lease.ts';
import type { State } from '../../model/lifecycle.ts';
import { nextEpoch, type Lease, type LeaseRows } from '../state/leases.ts';
import { integerOf, textOf } from './rows.ts';

export class LeaseTable implements LeaseRows {
  readonly #now: () => number;
  readonly #find: StatementSync;
  readonly #save: StatementSync;
  readonly #end: StatementSync;
  readonly #free: StatementSync;
  readonly #renew: StatementSync;
  readonly #release: StatementSync;
  readonly #endAll: StatementSync;

  /** `now` in ms: the only clock by which leases run. */
  constructor(database: DatabaseSync, now: () => number) {
    this.#now = now;
    this.#find = database.prepare(
      'SELECT epoch, holder, until FROM leases WHERE tenant = ? AND proposal = ?',
    );
    this.#save = database.prepare(`
      INSERT INTO leases (tenant, proposal, epoch, holder, until) VALUES (?, ?, ?, ?, ?)
      ON CONFLICT (tenant, proposal) DO UPDATE
      SET epoch = excluded.epoch, holder = excluded.holder, until = excluded.until`);
    this.#end = database.prepare('DELETE FROM leases WHERE tenant = ? AND proposal = ?');
    // A tenant and a state at a time, so that the answer comes off an index in order.
    this.#free = database.prepare(`
      SELECT proposals.id FROM proposals
      LEFT JOIN leases ON leases.tenant = proposals.tenant AND leases.proposal = proposals.id
      WHERE proposals.tenant = :tenant AND proposals.state = :state AND proposals.id >= :from
        AND (leases.holder IS NULL OR leases.until <= :now)
      ORDER BY proposals.id LIMIT :limit`);
    this.#renew = database.prepare(
      'UPDATE leases SET until = ? WHERE tenant = ? AND proposal = ? AND holder = ?',
    );
    this.#release = database.prepare(
      'UPDATE leases SET holder = NULL WHERE tenant = ? AND proposal = ? AND holder = ?',
    );
    this.#endAll = database.prepare(
      "UPDATE leases SET holder = NULL WHERE substr(holder, 1, length(:gateway) + 1) = :gateway || '/'",
    );
  }

  now(): number {
    return this.#now();
  }

  find(tenant: TenantId, id: ProposalId): Lease | undefined {
    const row = this.#find.get(tenant, id);
    if (row === undefined) return undefined;
    return {
      epoch: integerOf(row, 'epoch'),
      holder: row['holder'] === null ? null : textOf(row, 'holder'),
      until: integerOf(row, 'until'),
    };
  }

  save(tenant: TenantId, id: ProposalId, { epoch, holder, until }: Lease): void {
    this.#save.run(tenant, id, epoch, holder, until);
  }

  end(tenant: TenantId, id: ProposalId): void {
    this.#end.run(tenant, id);
  }

  claim(tenants: readonly TenantId[], claim: LeaseClaim): readonly Claimed[] {
    const free = tenants.flatMap((tenant) =>
      [...new Set(claim.states)].flatMap((state) => this.#findFree(tenant, state, claim)),
    );
    return free
      .toSorted(inOrder)
      .slice(0, claim.limit)
      .map((place) => this.#take(place, claim));
  }

  renew(holder: string, proposals: readonly ProposalPlace[], forMs: number): void {
    const until = this.#now() + forMs;
    for (const { tenant, id } of proposals) this.#renew.run(until, tenant, id, holder);
  }

  release(holder: string, proposals: readonly ProposalPlace[]): void {
    for (const { tenant, id } of proposals) this.#release.run(tenant, id, holder);
  }

  endAll(gateway: string): void {
    this.#endAll.run({ gateway });
  }

  #findFree(
    tenant: TenantId,
    state: State,
    { limit, after }: LeaseClaim,
  ): readonly ProposalPlace[] {
    // One more, for the one that is left out here.
    return this.#free
      .all({ tenant, state, from: after?.id ?? '', now: this.#now(), limit: limit + 1 })
      .map((row) => ({ tenant, id: idOf(textOf(row, 'id')) }))
      .filter((place) => after === undefined || inOrder(after, place) < 0);
  }

  #take({ tenant, id }: ProposalPlace, { holder, forMs }: LeaseClaim): Claimed {
    const found = this.find(tenant, id);
    const epoch = found?.holder === holder ? found.epoch : nextEpoch(found);
    this.save(tenant, id, { epoch, holder, until: this.#now() + forMs });
    return { tenant, id, epoch };
  }
}

function inOrder(left: ProposalPlace, right: ProposalPlace): number {
  if (left.id !== right.id) return left.id < right.id ? -1 : 1;
  if (left.tenant === right.tenant) return 0;
  return left.tenant < right.tenant ? -1 : 1;
}

function idOf(text: string): ProposalId {
  const id = proposalId(text);
  assert(id !== undefined, 'a stored proposal id is one');
  return id;
}
