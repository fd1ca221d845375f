/** The store in one SQLite file: the default, nothing to install (decision 0002). */
import type { DatabaseSync } from 'node:sqlite';
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
import { Batch } from './sqlite/batch.ts';
import { openDatabase } from './sqlite/database.ts';
import { isFull, storageProblem } from './sqlite/problem.ts';
import { openTables, type SqliteTables } from './sqlite/tables.ts';
import { applyChange, type Sealing } from './state/apply.ts';
import { heldKey, holdersIn } from './state/guards.ts';
import { CommitQueue, type Settled } from './state/queue.ts';
import type { TenantCredential } from './state/tables.ts';

export interface SqliteStoreOptions extends Sealing {
  /** A file that is made where it is missing, or `:memory:`, which ends with the process. */
  readonly path: string;
  /** The clock of the leases, in ms; absent: the process's own, which nobody can set back. */
  readonly now?: () => number;
}

/**
 * Opens the store at `path` for this process alone.
 *
 * A commit that was answered survives a crash and the loss of power: it was written ahead and
 * synced. A crash before that leaves all of the change or nothing; the lock ends with the process.
 * Throws `store-locked` where another process has the file, `store-unusable` where it cannot be
 * opened, is damaged, is not a store or was written by a newer version.
 */
export async function openSqliteStore(options: SqliteStoreOptions): Promise<Store> {
  return new SqliteStore(openDatabase(options.path), options);
}

/** No lease outlives the process, so no other needs to read its times. */
function steadyNow(): number {
  return Math.floor(performance.now());
}

/**
 * A store on a database from `openDatabase`. SQLite works while the caller waits, so a read never
 * meets half a batch: it runs before one or after it.
 */
export class SqliteStore implements Store {
  readonly #database: DatabaseSync;
  readonly #tables: SqliteTables;
  readonly #batch: Batch;
  readonly #queue: CommitQueue;
  #isOpen = true;
  /** Set once the disk has let a transaction down. */
  #unusable: Problem | undefined;

  constructor(database: DatabaseSync, sealing: Omit<SqliteStoreOptions, 'path'>) {
    const tables = openTables(database, sealing.now ?? steadyNow);
    this.#database = database;
    this.#tables = tables;
    this.#batch = new Batch(database, {
      apply: (change) => applyChange(tables, sealing, change),
      beforeCommit: () => tables.log.writeHeads(),
      rolledBack: () => tables.proposals.forget(),
      allRolledBack: () => tables.log.forget(),
    });
    this.#queue = new CommitQueue((changes) => this.#run(changes));
  }

  async commit(change: Change): Promise<Commit> {
    if (!this.#isOpen) throw closedProblem();
    return this.#queue.add(change);
  }

  proposal(tenant: TenantId, id: ProposalId): Promise<Proposal | undefined> {
    return this.#read(({ proposals }) => proposals.find(tenant, id));
  }

  proposals(tenant: TenantId, filter: ProposalFilter): Promise<readonly Proposal[]> {
    return this.#read(({ proposals }) => proposals.list(tenant, filter));
  }

  keyHolders(
    tenant: TenantId,
    keys: Parameters<Store['keyHolders']>[1],
  ): ReturnType<Store['keyHolders']> {
    return this.#read((tables) => ({
      derived: heldKey(holdersIn(tables), tenant, keys)?.proposalId,
      supplied: keys.supplied === null ? undefined : tables.keys.supplied(tenant, keys.supplied),
    }));
  }

  budgetUsed(
    tenant: TenantId,
    lines: readonly BudgetLine[],
    now: number,
  ): Promise<readonly number[]> {
    return this.#read(({ budgets, log }) => {
      const latest = Math.max(now, log.head(tenant).latestAt);
      return lines.map((line) => budgets.used(tenant, line, latest, ''));
    });
  }

  baseline(tenant: TenantId, subject: BaselineSubject): Promise<Baseline | undefined> {
    return this.#read(({ baselines }) => baselines.find(tenant, subject));
  }

  baselines(tenant: TenantId, agent: string): Promise<readonly AgentBaseline[]> {
    return this.#read(({ baselines }) => baselines.ofAgent(tenant, agent));
  }

  budgetFreeAt(tenant: TenantId, line: BudgetLine, now: number): Promise<number | null> {
    return this.#read(({ budgetReads, log }) => {
      const latest = Math.max(now, log.head(tenant).latestAt);
      return budgetReads.freeAt(tenant, line, latest);
    });
  }

  budgetUses(tenant: TenantId, now: number, limit: number): Promise<readonly BudgetUse[]> {
    return this.#read(({ budgetReads, log }) => {
      const latest = Math.max(now, log.head(tenant).latestAt);
      return budgetReads.uses(tenant, latest, limit);
    });
  }

  freezes(tenant: TenantId, since: number): Promise<readonly Freeze[]> {
    return this.#read(({ freezes }) => freezes.since(tenant, since));
  }

  credential(id: CredentialId): Promise<TenantCredential | undefined> {
    return this.#read(({ credentials }) => credentials.find(id));
  }

  credentials(tenant: TenantId): Promise<readonly Credential[]> {
    return this.#read(({ credentials }) => credentials.all(tenant));
  }

  inStates(states: readonly State[], limit: number): ReturnType<Store['inStates']> {
    return this.#read(({ log, proposals }) =>
      log
        .tenants()
        .flatMap((tenant) =>
          [...new Set(states)].flatMap((state) =>
            proposals.inState(tenant, state, limit).map((id) => ({ tenant, id })),
          ),
        )
        .toSorted((left, right) => (left.id < right.id ? -1 : 1))
        .slice(0, limit),
    );
  }

  claim(claim: LeaseClaim): Promise<readonly Claimed[]> {
    return this.#alone(({ log, leases }) => leases.claim(log.tenants(), claim));
  }

  renew(holder: string, proposals: readonly ProposalPlace[], forMs: number): Promise<void> {
    return this.#alone(({ leases }) => leases.renew(holder, proposals, forMs));
  }

  release(holder: string, proposals: readonly ProposalPlace[]): Promise<void> {
    return this.#alone(({ leases }) => leases.release(holder, proposals));
  }

  endLeases(gateway: string): Promise<void> {
    return this.#alone(({ leases }) => leases.endAll(gateway));
  }

  countInStates(tenant: TenantId, states: readonly State[]): Promise<number> {
    return this.#read(({ proposals }) =>
      [...new Set(states)].reduce((sum, state) => sum + proposals.count(tenant, state), 0),
    );
  }

  due(now: number, limit: number): ReturnType<Store['due']> {
    return this.#read(({ deadlines }) => deadlines.due(now, limit));
  }

  putOff(looks: Parameters<Store['putOff']>[0]): Promise<void> {
    return this.#alone(({ deadlines }) => deadlines.putOff(looks));
  }

  actStep(tenant: TenantId, act: string): Promise<number> {
    return this.#read(({ log }) => log.step(tenant, act));
  }

  latest(tenant: TenantId, act: string): Promise<StoredEntry | undefined> {
    return this.#read(({ log }) => log.latest(tenant, act));
  }

  actEntries(
    tenant: TenantId,
    act: string,
    range: { readonly before?: number; readonly limit: number },
  ): Promise<readonly StoredEntry[]> {
    return this.#read(({ log }) => log.actEntries(tenant, act, range));
  }

  leafHash(tenant: TenantId, index: number): Promise<string | undefined> {
    return this.#read(({ log }) => log.leafHash(tenant, index));
  }

  tree(tenant: TenantId): Promise<TreeState> {
    return this.#read(({ log }) => log.head(tenant).tree);
  }

  entries(tenant: TenantId, from: number, limit: number): Promise<readonly StoredEntry[]> {
    return this.#read(({ log }) => log.entries(tenant, from, limit));
  }

  tenants(): Promise<readonly TenantId[]> {
    return this.#read(({ log }) => log.tenants());
  }

  async close(): Promise<void> {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    await this.#queue.drain();
    this.#database.close();
  }

  async #read<Found>(read: (tables: SqliteTables) => Found): Promise<Found> {
    if (!this.#isOpen) throw closedProblem();
    try {
      return read(this.#tables);
    } catch (error) {
      throw storageProblem(error);
    }
  }

  /** Works in a transaction of its own, apart from all commits. */
  async #alone<Answer>(work: (tables: SqliteTables) => Answer): Promise<Answer> {
    if (!this.#isOpen) throw closedProblem();
    return this.#guarded(() => this.#batch.alone(() => work(this.#tables)));
  }

  #run(changes: readonly Change[]): readonly Settled[] {
    return this.#guarded(() => this.#batch.run(changes));
  }

  /** Writes; once the disk has let a transaction down nothing is written any more. */
  #guarded<Answer>(write: () => Answer): Answer {
    if (this.#unusable !== undefined) throw this.#unusable;
    try {
      return write();
    } catch (error) {
      // After a full disk the file is as before. After anything else what the disk holds is not
      // known until recovery has read it: stop, for a later sync may answer well and lie.
      if (!isFull(error)) this.#unusable = stoppedProblem(error);
      throw storageProblem(error);
    }
  }
}

function stoppedProblem(cause: unknown): Problem {
  const message = 'the store stopped when the disk let it down; check the disk, then start again';
  return new Problem('store-unusable', message, { cause });
}

function closedProblem(): Problem {
  return new Problem(
    'gateway-stopping',
    'the store is closed; send the call again after the start',
  );
}
