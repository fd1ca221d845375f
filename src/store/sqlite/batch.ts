import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { Change, Commit } from '../../model/ports.ts';
import { isAboutStorage } from './problem.ts';
import type { Settled } from '../state/queue.ts';

/** What a batch needs to know about its changes. */
export interface BatchSteps {
  /** Carries out one change; throws where it cannot. */
  apply(change: Change): Commit;
  /** Called once, when all changes are carried out. */
  beforeCommit(): void;
  /** Called whenever something that `apply` did was taken back. */
  rolledBack(): void;
  /** Called, after `rolledBack`, where nothing of the batch is left. */
  allRolledBack(): void;
}

/** Many changes in one transaction, each of which can be taken back alone. */
export class Batch {
  readonly #database: DatabaseSync;
  readonly #steps: BatchSteps;
  readonly #begin: StatementSync;
  readonly #commit: StatementSync;
  readonly #rollback: StatementSync;
  readonly #beginChange: StatementSync;
  readonly #endChange: StatementSync;
  readonly #rollbackChange: StatementSync;

  constructor(database: DatabaseSync, steps: BatchSteps) {
    this.#database = database;
    this.#steps = steps;
    this.#begin = database.prepare('BEGIN IMMEDIATE');
    this.#commit = database.prepare('COMMIT');
    this.#rollback = database.prepare('ROLLBACK');
    this.#beginChange = database.prepare('SAVEPOINT change');
    this.#endChange = database.prepare('RELEASE change');
    this.#rollbackChange = database.prepare('ROLLBACK TO change');
  }

  /**
   * Carries out the changes in order and makes them durable with one sync. A change that throws is
   * taken back alone and reported in its place. Throws where the storage gave up: then none counts.
   *
   * A crash before the sync leaves none of the changes, one after it leaves all that succeeded.
   */
  run(changes: readonly Change[]): readonly Settled[] {
    try {
      return this.#within(() => changes.map((change) => this.#done(change)));
    } catch (error) {
      // One of them threw, which is rare, so only then is each made one that can be taken back.
      if (isAboutStorage(error)) throw error;
      return this.#within(() => changes.map((change) => this.#settle(change)));
    }
  }

  /** Runs what is no change in a transaction of its own; a throw leaves nothing of it. */
  alone<Answer>(work: () => Answer): Answer {
    return this.#within(work);
  }

  /** Runs what is to be durable in one transaction; a throw leaves nothing of it. */
  #within<Answer>(work: () => Answer): Answer {
    try {
      this.#begin.run();
      const settled = work();
      this.#steps.beforeCommit();
      this.#commit.run();
      return settled;
    } catch (error) {
      // On a full disk SQLite may have rolled back by itself.
      if (this.#database.isTransaction) this.#rollback.run();
      this.#steps.rolledBack();
      this.#steps.allRolledBack();
      throw error;
    }
  }

  #done(change: Change): Settled {
    return { kind: 'done', commit: this.#steps.apply(change) };
  }

  #settle(change: Change): Settled {
    this.#beginChange.run();
    try {
      const commit = this.#steps.apply(change);
      this.#endChange.run();
      return { kind: 'done', commit };
    } catch (error) {
      if (isAboutStorage(error)) throw error;
      this.#rollbackChange.run();
      this.#endChange.run();
      this.#steps.rolledBack();
      return { kind: 'thrown', error };
    }
  }
}
