/** What is asked between commits: each answer comes of one statement, off an index. */
import type { Baseline, BaselineSubject } from '../../model/baseline.ts';
import type { Freeze } from '../../model/freeze.ts';
import type { CredentialId, ProposalId, TenantId } from '../../model/ids.ts';
import { STATES, type State } from '../../model/lifecycle.ts';
import type { ProposalPlace } from '../../model/lease.ts';
import {
  PAGE_MAX,
  type AgentBaseline,
  type ProposalFilter,
  type Store,
} from '../../model/ports.ts';
import type { Credential } from '../../model/principal.ts';
import type { Proposal } from '../../model/proposal.ts';
import { heldKey } from '../state/guards.ts';
import { anothers, parseCredential, parseFreeze, parseProposal } from '../state/records.ts';
import type { Standing, TenantCredential } from '../state/tables.ts';
import { texts } from './arrays.ts';
import type { Within } from './load-query.ts';
import { stateOf, wholeProposal } from './load-proposals.ts';
import {
  idOf,
  integerOf,
  integerOrNull,
  tenantOf,
  textOf,
  textOrNull,
  type Ask,
  type Row,
} from './rows.ts';

/** After every id: ids are ASCII. */
const AFTER_ALL = '~';

export class Reads {
  readonly #ask: Ask;
  readonly #within: Within;

  constructor(ask: Ask, within: Within) {
    this.#ask = ask;
    this.#within = within;
  }

  async proposal(tenant: TenantId, id: ProposalId): Promise<Proposal | undefined> {
    const { schema, cache } = this.#within;
    const kept = cache.get(tenant, id);
    const rows = await this.#ask(
      `SELECT CASE WHEN p.step = $3 THEN NULL ELSE p.record END AS record, e.part, e.effects
       FROM ${schema}.proposals AS p
       LEFT JOIN ${schema}.effects AS e
         ON e.tenant = p.tenant AND e.proposal = p.id AND p.step <> $3
       WHERE p.tenant = $1 AND p.id = $2`,
      [tenant, id, kept?.step ?? 0],
    );
    const [row] = rows;
    if (row === undefined) return undefined;
    const record = textOrNull(row, 'record');
    if (record === null) return kept;
    const parts = rows.filter((each) => each['part'] !== null);
    const proposal = wholeProposal(
      record,
      new Map(parts.map((each) => [textOf(each, 'part'), textOf(each, 'effects')])),
    );
    cache.keep(proposal, record.length);
    return proposal;
  }

  async proposals(tenant: TenantId, filter: ProposalFilter): Promise<readonly Proposal[]> {
    const { before = AFTER_ALL, agent, run } = filter;
    const limit = Math.min(filter.limit, PAGE_MAX);
    const { schema } = this.#within;
    const rows =
      run === undefined
        ? await this.#ask(
            // One state at a time, so that each comes off an index in order, however many rows.
            `SELECT p.id, p.record FROM unnest($4::text[]) AS w (state)
             CROSS JOIN LATERAL (
               SELECT p.id, p.record FROM ${schema}.proposals AS p
               WHERE p.tenant = $1 AND p.state = w.state AND p.id < $2
                 ${agent === undefined ? '' : 'AND p.agent = $5'}
               ORDER BY p.id DESC LIMIT $3) AS p
             ORDER BY p.id DESC LIMIT $3`,
            [
              tenant,
              before,
              limit,
              texts([...new Set(filter.states ?? STATES)]),
              ...(agent === undefined ? [] : [agent]),
            ],
          )
        : await this.#ask(
            `SELECT p.id, p.record FROM ${schema}.proposals AS p
             WHERE p.tenant = $1 AND p.run = $4 AND p.id < $2 ORDER BY p.id DESC LIMIT $3`,
            [tenant, before, limit, run],
          );
    return rows.map((row) => parseProposal(textOf(row, 'record')));
  }

  async keyHolders(
    tenant: TenantId,
    keys: Parameters<Store['keyHolders']>[1],
  ): ReturnType<Store['keyHolders']> {
    const { schema } = this.#within;
    const rows = await this.#ask(
      `SELECT k.key, k.proposal, p.state, p.settled_at FROM ${schema}.derived_keys AS k
       JOIN ${schema}.proposals AS p ON p.tenant = k.tenant AND p.id = k.proposal
       WHERE k.tenant = $1 AND k.key = ANY ($2::text[])
       UNION ALL
       SELECT NULL, k.proposal, NULL, NULL FROM ${schema}.supplied_keys AS k
       WHERE k.tenant = $1 AND k.agent = $3 AND k.key = $4`,
      [tenant, texts(keys.keys), keys.supplied?.agent ?? null, keys.supplied?.key ?? null],
    );
    const supplied = rows.find((row) => row['key'] === null);
    const standings = new Map(
      rows.filter((row) => row['key'] !== null).map((row) => [textOf(row, 'key'), standingOf(row)]),
    );
    const held = heldKey((_tenant, key) => standings.get(key), tenant, keys);
    return { derived: held?.proposalId, supplied: supplied && idOf(supplied) };
  }

  async baseline(tenant: TenantId, subject: BaselineSubject): Promise<Baseline | undefined> {
    const [row] = await this.#ask(
      `SELECT record FROM ${this.#within.schema}.baselines
       WHERE tenant = $1 AND agent = $2 AND target = $3 AND operation = $4`,
      [tenant, subject.agent, subject.target, subject.operation],
    );
    return row === undefined ? undefined : baselineOf(row);
  }

  async baselines(tenant: TenantId, agent: string): Promise<readonly AgentBaseline[]> {
    const rows = await this.#ask(
      `SELECT target, operation, record FROM ${this.#within.schema}.baselines
       WHERE tenant = $1 AND agent = $2 ORDER BY target, operation`,
      [tenant, agent],
    );
    return rows.map((row) => ({
      agent,
      target: textOf(row, 'target'),
      operation: textOf(row, 'operation'),
      baseline: baselineOf(row),
    }));
  }

  async freezes(tenant: TenantId, since: number): Promise<readonly Freeze[]> {
    const { schema } = this.#within;
    const rows = await this.#ask(
      `SELECT f.tenant, f.id, f.record FROM ${schema}.freezes AS f
       WHERE f.tenant = $1 AND (f.released_at IS NULL OR f.released_at >= $2)
       UNION ALL
       SELECT f.tenant, f.id, f.record FROM ${schema}.freezes AS f
       WHERE f.scope = 'all' AND f.tenant <> $1
         AND (f.released_at IS NULL OR f.released_at >= $2)
       ORDER BY id`,
      [tenant, Math.min(since, Number.MAX_SAFE_INTEGER)],
    );
    return rows.map((row) => {
      const freeze = parseFreeze(textOf(row, 'record'));
      return tenantOf(row) === tenant ? freeze : anothers(freeze);
    });
  }

  async credential(id: CredentialId): Promise<TenantCredential | undefined> {
    const [row] = await this.#ask(
      `SELECT tenant, record FROM ${this.#within.schema}.credentials WHERE id = $1`,
      [id],
    );
    if (row === undefined) return undefined;
    return { tenant: tenantOf(row), credential: parseCredential(textOf(row, 'record')) };
  }

  async credentials(tenant: TenantId): Promise<readonly Credential[]> {
    const rows = await this.#ask(
      `SELECT record FROM ${this.#within.schema}.credentials WHERE tenant = $1 ORDER BY id`,
      [tenant],
    );
    return rows.map((row) => parseCredential(textOf(row, 'record')));
  }

  async countInStates(tenant: TenantId, states: readonly State[]): Promise<number> {
    const [row] = await this.#ask(
      `SELECT count(*) AS count FROM ${this.#within.schema}.proposals
       WHERE tenant = $1 AND state = ANY ($2::text[])`,
      [tenant, texts([...new Set(states)])],
    );
    return integerOf(row ?? {}, 'count');
  }

  async due(now: number, limit: number): Promise<readonly ProposalPlace[]> {
    const rows = await this.#ask(
      `SELECT tenant, proposal FROM ${this.#within.schema}.deadlines WHERE due_at <= $1
       ORDER BY due_at, tenant, proposal LIMIT $2`,
      [now, limit],
    );
    return rows.map((row) => ({ tenant: tenantOf(row), id: idOf(row) }));
  }

  async inStates(states: readonly State[], limit: number): Promise<readonly ProposalPlace[]> {
    const wanted = [...new Set(states)];
    if (wanted.length === 0) return [];
    // The state is spelled out, so that the index of what is open is seen to hold all of it.
    const branches = wanted.map(
      (state) => `
        (SELECT p.tenant, p.id FROM ${this.#within.schema}.proposals AS p
         WHERE p.state = '${state}' ORDER BY p.id, p.tenant LIMIT $1)`,
    );
    const rows = await this.#ask(
      `SELECT tenant, id FROM (${branches.join(' UNION ALL ')}) AS found
       ORDER BY id, tenant LIMIT $1`,
      [limit],
    );
    return rows.map((row) => ({ tenant: tenantOf(row), id: idOf(row, 'id') }));
  }
}

function standingOf(row: Row): Standing {
  return { id: idOf(row), state: stateOf(row), settledAt: integerOrNull(row, 'settled_at') };
}

function baselineOf(row: Row): Baseline {
  // Written by a commit and by nothing else.
  return JSON.parse(textOf(row, 'record')) as Baseline;
}
