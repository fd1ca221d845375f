/** What is no entry: who works on which proposal, and when one is due. Nothing here takes a tenant's lock. */
import type pg from 'pg';
import type { Claimed, LeaseClaim, ProposalPlace } from '../../model/lease.ts';
import type { Store } from '../../model/ports.ts';
import { bigints, texts } from './arrays.ts';
import { beginSql, transaction } from './connect.ts';
import { idOf, integerOf, tenantOf, type Row } from './rows.ts';

/** Each call is a transaction of its own, on a connection that it is given. */
export class Hints {
  readonly #schema: string;

  constructor(schema: string) {
    this.#schema = schema;
  }

  /**
   * Locks what is free, passing over what others have locked: a commit that is at a proposal, or another
   * claim. Only then it is taken, if it is still free: that is looked at in the row itself.
   */
  async claim(client: pg.ClientBase, claim: LeaseClaim): Promise<readonly Claimed[]> {
    const { holder, states, forMs, limit, after } = claim;
    const wanted = [...new Set(states)];
    if (wanted.length === 0) return [];
    // A state at a time, spelled out, so that each comes off the index of what is open, in order.
    const branches = wanted.map(
      (state) => `
        SELECT * FROM (
          SELECT p.tenant, p.id FROM ${this.#schema}.proposals AS p
          LEFT JOIN ${this.#schema}.leases AS l ON l.tenant = p.tenant AND l.proposal = p.id
          WHERE p.state = '${state}' AND (p.id, p.tenant) > ($1::text, $2::text)
            AND (l.holder IS NULL OR l.until <= ${this.#schema}.now_ms())
          ORDER BY p.id, p.tenant LIMIT $3 FOR NO KEY UPDATE OF p SKIP LOCKED) AS own`,
    );
    return transaction(client, beginSql(), async () => {
      const { rows } = await client.query<Row>(
        `WITH free AS MATERIALIZED (${branches.join(' UNION ALL ')}),
         chosen AS (SELECT tenant, id FROM free ORDER BY id, tenant LIMIT $3)
         INSERT INTO ${this.#schema}.leases AS l (tenant, proposal, epoch, holder, until)
         SELECT tenant, id, 1, $4::text, ${this.#schema}.now_ms() + $5::bigint FROM chosen
         ORDER BY tenant, id
         ON CONFLICT (tenant, proposal) DO UPDATE
         SET epoch = l.epoch + CASE WHEN l.holder = excluded.holder THEN 0 ELSE 1 END,
           holder = excluded.holder, until = excluded.until
         WHERE l.holder IS NULL OR l.until <= ${this.#schema}.now_ms()
         RETURNING tenant, proposal, epoch`,
        [after?.id ?? '', after?.tenant ?? '', limit, holder, forMs],
      );
      return rows
        .map((row) => ({ tenant: tenantOf(row), id: idOf(row), epoch: integerOf(row, 'epoch') }))
        .toSorted(inOrder);
    });
  }

  async renew(
    client: pg.ClientBase,
    holder: string,
    proposals: readonly ProposalPlace[],
    forMs: number,
  ): Promise<void> {
    await this.#change(client, holder, proposals, `until = ${this.#schema}.now_ms() + ${forMs}`);
  }

  async release(
    client: pg.ClientBase,
    holder: string,
    proposals: readonly ProposalPlace[],
  ): Promise<void> {
    await this.#change(client, holder, proposals, 'holder = NULL');
  }

  async endLeases(client: pg.ClientBase, gateway: string): Promise<void> {
    await transaction(client, beginSql(), async () => {
      await client.query(
        `WITH held AS (
           SELECT tenant, proposal FROM ${this.#schema}.leases
           WHERE starts_with(holder, $1::text || '/') ORDER BY tenant, proposal FOR NO KEY UPDATE)
         UPDATE ${this.#schema}.leases AS l SET holder = NULL FROM held
         WHERE l.tenant = held.tenant AND l.proposal = held.proposal`,
        [gateway],
      );
    });
  }

  /** Moves those that still wait; a commit at the same moment may pass over it. */
  async putOff(client: pg.ClientBase, looks: Parameters<Store['putOff']>[0]): Promise<void> {
    if (looks.length === 0) return;
    await transaction(client, beginSql(), async () => {
      await client.query(
        `WITH found AS (
           SELECT d.tenant, d.proposal, w.until
           FROM unnest($1::text[], $2::text[], $3::bigint[]) AS w (tenant, id, until)
           JOIN ${this.#schema}.deadlines AS d ON d.tenant = w.tenant AND d.proposal = w.id
           ORDER BY d.tenant, d.proposal FOR NO KEY UPDATE OF d)
         UPDATE ${this.#schema}.deadlines AS d SET due_at = found.until FROM found
         WHERE d.tenant = found.tenant AND d.proposal = found.proposal`,
        [
          texts(looks.map(({ tenant }) => tenant)),
          texts(looks.map(({ id }) => id)),
          bigints(looks.map(({ until }) => until)),
        ],
      );
    });
  }

  /** In one order, whoever changes them. */
  async #change(
    client: pg.ClientBase,
    holder: string,
    proposals: readonly ProposalPlace[],
    set: string,
  ): Promise<void> {
    if (proposals.length === 0) return;
    await transaction(client, beginSql(), async () => {
      await client.query(
        `WITH held AS (
           SELECT l.tenant, l.proposal
           FROM unnest($1::text[], $2::text[]) AS w (tenant, id)
           JOIN ${this.#schema}.leases AS l ON l.tenant = w.tenant AND l.proposal = w.id
           WHERE l.holder = $3::text ORDER BY l.tenant, l.proposal FOR NO KEY UPDATE OF l)
         UPDATE ${this.#schema}.leases AS l SET ${set} FROM held
         WHERE l.tenant = held.tenant AND l.proposal = held.proposal AND l.holder = $3::text`,
        [
          texts(proposals.map(({ tenant }) => tenant)),
          texts(proposals.map(({ id }) => id)),
          holder,
        ],
      );
    });
  }
}

function inOrder(left: ProposalPlace, right: ProposalPlace): number {
  if (left.id !== right.id) return left.id < right.id ? -1 : 1;
  if (left.tenant === right.tenant) return 0;
  return left.tenant < right.tenant ? -1 : 1;
}
