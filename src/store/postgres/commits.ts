/**
 * Batches until they are settled: again where the server could not, by looking where it did not say.
 *
 * A batch rejects only where nothing of it was written, or where the server stayed away so long that
 * nobody could look; the message then says that it is not known.
 */
import type { Change } from '../../model/ports.ts';
import type { Settled } from '../state/queue.ts';
import {
  Unanswered,
  beginLogs,
  carryOut,
  type BatchSetting,
  type Carried,
  type Evidence,
} from './batch.ts';
import {
  isAboutStorage,
  isAway,
  isOfPreparing,
  isWorthAgain,
  storageProblem,
  unreachable,
} from './problem.ts';
import { pausing } from './retry.ts';
import { hexOf } from './rows.ts';
import type { Sessions } from './session.ts';

const RETRY_BOUNDS = {
  /** How long a batch waits for a server that has only just gone away. */
  awayMs: 5_000,
  /** How long it is looked for what became of a batch. */
  lookingMs: 30_000,
  /** How often the server may end a transaction for the sake of another. */
  againMax: 20,
} as const;

export class Commits {
  readonly #sessions: Sessions;
  readonly #setting: BatchSetting;
  /** Resolves when the batch before has locked its tenants: later ones are then behind it. */
  #turn: Promise<void> = Promise.resolve();
  /** Since when no server has answered, by `performance.now()`. */
  #awaySince: number | undefined;

  constructor(sessions: Sessions, setting: BatchSetting) {
    this.#sessions = sessions;
    this.#setting = setting;
  }

  /**
   * Carries out a batch; see `RunBatch`. Batches lock their tenants in their order; one that has to be
   * tried again comes behind those that went on meanwhile.
   */
  async run(changes: readonly Change[]): Promise<readonly Settled[]> {
    try {
      return await this.#settled(changes);
    } catch (error) {
      if (isAboutStorage(error) || changes.length === 1) throw storageProblem(error);
      // One of them is what the database does not take, which is rare: then each has its own try.
      return this.#each(changes);
    }
  }

  async #each(changes: readonly Change[]): Promise<readonly Settled[]> {
    const settled: Settled[] = [];
    for (const change of changes) {
      try {
        settled.push(...(await this.#settled([change])));
      } catch (error) {
        settled.push({ kind: 'thrown', error: storageProblem(error) });
      }
    }
    return settled;
  }

  async #settled(changes: readonly Change[]): Promise<readonly Settled[]> {
    for (let again = 0; ; again += 1) {
      try {
        const settled = await this.#attempt(changes);
        this.#awaySince = undefined;
        if (settled !== undefined) return settled;
        if (again >= RETRY_BOUNDS.againMax) throw unreachable('nothing was written; try again');
      } catch (error) {
        if (!this.#mayTryAgain(error, again)) throw error;
      }
      await pausing(again);
    }
  }

  #mayTryAgain(error: unknown, again: number): boolean {
    if (isOfPreparing(error)) this.#sessions.prepareNothing();
    if (isWorthAgain(error)) return again < RETRY_BOUNDS.againMax;
    if (!isAway(error)) return false;
    this.#forget();
    this.#awaySince ??= performance.now();
    return performance.now() - this.#awaySince < RETRY_BOUNDS.awayMs;
  }

  /** Undefined where it was not committed, and may be at another try. */
  async #attempt(changes: readonly Change[]): Promise<readonly Settled[] | undefined> {
    const before = this.#turn;
    const { promise, resolve: locked } = Promise.withResolvers<void>();
    this.#turn = promise;
    await before;
    try {
      const carried = await this.#written(changes, locked);
      if ('unanswered' in carried && !(await this.#look(carried))) return undefined;
      for (const { proposal, record } of carried.proposals) {
        this.#setting.cache.keep(proposal, record.length);
      }
      return carried.settled;
    } finally {
      locked();
    }
  }

  /** The connection is closed after whatever went wrong: what it is in is not known then. */
  async #written(
    changes: readonly Change[],
    locked: () => void,
  ): Promise<Carried | (Carried & { readonly unanswered: unknown })> {
    const session = await this.#sessions.lend();
    let carried: Carried | undefined;
    try {
      carried = await carryOut(session, this.#setting, changes, locked);
      await carried.write?.();
      session.done('reuse');
      return carried;
    } catch (error) {
      session.done('close');
      if (carried !== undefined && error instanceof Unanswered) {
        return { ...carried, unanswered: error };
      }
      throw error;
    }
  }

  /** Whether the batch was committed. One without entries may be carried out twice, to the same end. */
  async #look({ evidence }: Carried): Promise<boolean> {
    this.#forget();
    if (evidence === undefined) return false;
    const until = performance.now() + RETRY_BOUNDS.lookingMs;
    for (let again = 0; ; again += 1) {
      try {
        return await this.#isThere(evidence);
      } catch (error) {
        const mayAnswer = isAway(error) || isWorthAgain(error);
        if (!mayAnswer || performance.now() > until) {
          throw unreachable(
            'it is not known whether the write was taken, all of it or nothing; look, or send it again with the same key',
            error,
          );
        }
      }
      await pausing(again);
    }
  }

  /** Who answers next may be another server, to which not all came that was committed. */
  #forget(): void {
    this.#setting.cache.forget();
    this.#setting.known.clear();
  }

  /** Waits for the tenant's lock, which the transaction holds until it is committed or taken back. */
  async #isThere({ tenant, index, leafHash }: Evidence): Promise<boolean> {
    const { schema } = this.#setting;
    const session = await this.#sessions.lend();
    try {
      await session.begin();
      // Of a tenant that begins with the batch the row itself is not there to be locked before it ends.
      await session.ask(beginLogs(schema, [tenant]));
      await session.ask({
        text: `SELECT FROM ${schema}.logs WHERE tenant = $1 FOR UPDATE`,
        values: [tenant],
      });
      const { rows } = await session.ask({
        text: `SELECT leaf_hash FROM ${schema}.entries WHERE tenant = $1 AND entry_index = $2`,
        values: [tenant, index],
      });
      await session.rollback();
      session.done('reuse');
      return rows[0] !== undefined && hexOf(rows[0], 'leaf_hash') === leafHash;
    } catch (error) {
      session.done('close');
      throw error;
    }
  }
}
