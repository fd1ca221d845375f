/** The store in a PostgreSQL database, for any number of gateways at once (decision 0018). */
import { setTimeout as pause } from 'node:timers/promises';
import type pg from 'pg';
import type { Baseline, BaselineSubject } from '../model/baseline.ts';
import type { BudgetLine, BudgetUse } from '../model/budget.ts';
import type { Freeze } from '../model/freeze.ts';
import type { CredentialId, ProposalId, TenantId } from '../model/ids.ts';
import type { Claimed, LeaseClaim, ProposalPlace } from '../model/lease.ts';
import type { State } from '../model/lifecycle.ts';
import type {
  AgentBaseline,
  Change,
  Commit,
  ProposalFilter,
  Store,
  StoredEntry,
  TreeState,
} from '../model/ports.ts';
import type { Credential } from '../model/principal.ts';
import { Problem } from '../model/problem.ts';
import type { Proposal } from '../model/proposal.ts';
import { Commits } from './postgres/commits.ts';
import {
  CONNECTION_BOUNDS,
  ignore,
  openClient,
  openPool,
  placeOf,
  quoted,
  type Place,
  type PostgresAt,
} from './postgres/connect.ts';
import { Hints } from './postgres/hints.ts';
import { Listening, type ChangesListener } from './postgres/listen.ts';
import { ProposalCache } from './postgres/proposal-cache.ts';
import { migrate } from './postgres/migrate.ts';
import { storageProblem } from './postgres/problem.ts';
import { BudgetReads } from './postgres/reads-budgets.ts';
import { LogReads } from './postgres/reads-log.ts';
import { Reads } from './postgres/reads.ts';
import { persistently } from './postgres/retry.ts';
import type { Ask, Row } from './postgres/rows.ts';
import { Sessions } from './postgres/session.ts';
import type { Sealing } from './state/apply.ts';
import { CommitQueue } from './state/queue.ts';
import type { TenantCredential } from './state/tables.ts';

export interface PostgresStoreOptions extends Sealing, PostgresAt {}

/** How long connections may take to end. */
const CLOSE_MS_MAX = 5_000;

/** How many changes share a transaction at most. */
const BATCH_MAX = 256;

/**
 * Opens the store in the database that the connection string names, and brings its schema up to date.
 *
 * A commit that was answered survives a crash of gateway and server, as far as the server keeps what it
 * committed: one with standbys has to wait for them (`synchronous_standby_names`).
 * Throws `store-unreachable` where no server answers, `store-unusable` where it cannot hold a store.
 */
export async function openPostgresStore(options: PostgresStoreOptions): Promise<Store> {
  const place = placeOf(options);
  const client = openClient(place);
  try {
    await client.connect();
    await migrate(client, place);
  } catch (error) {
    throw storageProblem(error);
  } finally {
    await client.end();
  }
  return new PostgresStore(place, options);
}

class PostgresStore implements Store {
  readonly #committing: Sessions;
  readonly #reading: pg.Pool;
  readonly #queue: CommitQueue;
  readonly #reads: Reads;
  readonly #log: LogReads;
  readonly #budgets: BudgetReads;
  readonly #hints: Hints;
  readonly #listening: Listening | undefined;
  #closed: Promise<void> | undefined;

  constructor(place: Place, sealing: Sealing) {
    const schema = quoted(place);
    const cache = new ProposalCache();
    const { committersMax } = CONNECTION_BOUNDS;
    this.#committing = new Sessions(place, committersMax);
    this.#reading = openPool(place, Math.max(place.connectionsMax - committersMax, 1));
    const within = { schema, cache, place, sealing, known: new Set<TenantId>() };
    const commits = new Commits(this.#committing, within);
    this.#queue = new CommitQueue((changes) => commits.run(changes), {
      batchMax: BATCH_MAX,
      runningMax: committersMax,
    });
    const ask: Ask = (text, values) =>
      this.#asked(async () => (await this.#reading.query<Row>(text, [...values])).rows);
    this.#reads = new Reads(ask, within);
    this.#log = new LogReads(ask, schema);
    this.#budgets = new BudgetReads(ask, schema);
    this.#hints = new Hints(schema);
    this.#listening = place.listenUrl === null ? undefined : new Listening(place);
  }

  async commit(change: Change): Promise<Commit> {
    if (this.#closed !== undefined) throw closedProblem();
    return this.#queue.add(change);
  }

  proposal(tenant: TenantId, id: ProposalId): Promise<Proposal | undefined> {
    return this.#reads.proposal(tenant, id);
  }

  proposals(tenant: TenantId, filter: ProposalFilter): Promise<readonly Proposal[]> {
    return this.#reads.proposals(tenant, filter);
  }

  keyHolders(
    tenant: TenantId,
    keys: Parameters<Store['keyHolders']>[1],
  ): ReturnType<Store['keyHolders']> {
    return this.#reads.keyHolders(tenant, keys);
  }

  budgetUsed(
    tenant: TenantId,
    lines: readonly BudgetLine[],
    now: number,
  ): Promise<readonly number[]> {
    return this.#budgets.used(tenant, lines, now);
  }

  baseline(tenant: TenantId, subject: BaselineSubject): Promise<Baseline | undefined> {
    return this.#reads.baseline(tenant, subject);
  }

  baselines(tenant: TenantId, agent: string): Promise<readonly AgentBaseline[]> {
    return this.#reads.baselines(tenant, agent);
  }

  budgetFreeAt(tenant: TenantId, line: BudgetLine, now: number): Promise<number | null> {
    return this.#budgets.freeAt(tenant, line, now);
  }

  budgetUses(tenant: TenantId, now: number, limit: number): Promise<readonly BudgetUse[]> {
    return this.#budgets.uses(tenant, now, limit);
  }

  freezes(tenant: TenantId, since: number): Promise<readonly Freeze[]> {
    return this.#reads.freezes(tenant, since);
  }

  credential(id: CredentialId): Promise<TenantCredential | undefined> {
    return this.#reads.credential(id);
  }

  credentials(tenant: TenantId): Promise<readonly Credential[]> {
    return this.#reads.credentials(tenant);
  }

  inStates(states: readonly State[], limit: number): ReturnType<Store['inStates']> {
    return this.#reads.inStates(states, limit);
  }

  countInStates(tenant: TenantId, states: readonly State[]): Promise<number> {
    return this.#reads.countInStates(tenant, states);
  }

  due(now: number, limit: number): ReturnType<Store['due']> {
    return this.#reads.due(now, limit);
  }

  putOff(looks: Parameters<Store['putOff']>[0]): Promise<void> {
    return this.#lent((client) => this.#hints.putOff(client, looks));
  }

  claim(claim: LeaseClaim): Promise<readonly Claimed[]> {
    return this.#lent((client) => this.#hints.claim(client, claim));
  }

  renew(holder: string, proposals: readonly ProposalPlace[], forMs: number): Promise<void> {
    return this.#lent((client) => this.#hints.renew(client, holder, proposals, forMs));
  }

  release(holder: string, proposals: readonly ProposalPlace[]): Promise<void> {
    return this.#lent((client) => this.#hints.release(client, holder, proposals));
  }

  endLeases(gateway: string): Promise<void> {
    return this.#lent((client) => this.#hints.endLeases(client, gateway));
  }

  actStep(tenant: TenantId, act: string): Promise<number> {
    return this.#log.step(tenant, act);
  }

  latest(tenant: TenantId, act: string): Promise<StoredEntry | undefined> {
    return this.#log.latest(tenant, act);
  }

  actEntries(
    tenant: TenantId,
    act: string,
    range: { readonly before?: number; readonly limit: number },
  ): Promise<readonly StoredEntry[]> {
    return this.#log.ofAct(tenant, act, range);
  }

  leafHash(tenant: TenantId, index: number): Promise<string | undefined> {
    return this.#log.leafHash(tenant, index);
  }

  tree(tenant: TenantId): Promise<TreeState> {
    return this.#log.tree(tenant);
  }

  entries(tenant: TenantId, from: number, limit: number): Promise<readonly StoredEntry[]> {
    return this.#log.entries(tenant, from, limit);
  }

  tenants(): Promise<readonly TenantId[]> {
    return this.#log.tenants();
  }

  changes(listener: ChangesListener): () => void {
    return this.#listening?.add(listener) ?? ignore;
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    await this.#queue.drain();
    // A server that does not answer is not waited for.
    const ends = Promise.all([
      this.#listening?.close(),
      this.#committing.end(),
      this.#reading.end(),
    ]);
    await Promise.race([ends, pause(CLOSE_MS_MAX, undefined, { ref: false })]);
  }

  /** Works on a connection of its own, apart from all commits. */
  #lent<Answer>(work: (client: pg.PoolClient) => Promise<Answer>): Promise<Answer> {
    return this.#asked(async () => {
      const client = await this.#reading.connect();
      try {
        const answer = await work(client);
        client.release();
        return answer;
      } catch (error) {
        client.release(true);
        throw error;
      }
    });
  }

  /** What may be done twice, until a server answers. */
  async #asked<Answer>(ask: () => Promise<Answer>): Promise<Answer> {
    if (this.#closed !== undefined) throw closedProblem();
    return persistently(ask);
  }
}

function closedProblem(): Problem {
  return new Problem(
    'gateway-stopping',
    'the store is closed; send the call again after the start',
  );
}
