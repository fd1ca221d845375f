/** The ports of one gateway, each call of which is the seed's to let through or not. */
import type { Change, Clock, Notifier, Random, Signer, Store } from '../../src/model/ports.ts';
import { Problem } from '../../src/model/problem.ts';
import type { Chance, Weighted } from './chance.ts';
import { TENANT_NAME } from './policies.ts';
import type { Caller, Fate, Scheduler, World } from './scheduler.ts';

const DONE: Weighted<Fate> = [[1, 'done']];

export interface StoreFates {
  readonly read: Weighted<Fate>;
  readonly commit: Weighted<Fate>;
}

/** The store as it is behind the port, which a restart may have opened anew. */
export type PresentStore = () => Store;

function unusable(): Problem {
  return new Problem('store-unusable', 'the store did not answer');
}

/** What changes something, and so may have happened though nobody was answered. */
const CHANGING: readonly string[] = [
  'commit',
  'claim',
  'renew',
  'release',
  'endLeases',
  'putOff',
] satisfies readonly (keyof Store)[];

/** Told what the store was asked, and answered, when it was carried out. */
export interface StoreWatch {
  carriedOut(caller: Caller, name: string, given: readonly unknown[], answer: unknown): void;
}

/** As the production store, but that the seed says when a call is carried out, and whether it is answered. */
export function simulatedStore(
  scheduler: Scheduler,
  caller: Caller,
  store: PresentStore,
  { fates, watch }: { readonly fates: StoreFates; readonly watch: StoreWatch },
): Store {
  return new Proxy(store(), {
    get(first, name) {
      // What a store need not have, this one has not.
      if (typeof Reflect.get(first, name) !== 'function') return undefined;
      return (...given: readonly unknown[]): Promise<unknown> =>
        scheduler.call({
          caller,
          port: 'store',
          what: `${String(name)} ${whatOf(given)}`,
          fates: CHANGING.includes(String(name)) ? fates.commit : fates.read,
          perform: async (): Promise<unknown> => {
            const present = store();
            const method: unknown = Reflect.get(present, name);
            if (typeof method !== 'function') throw new Error(`a store has no ${String(name)}`);
            const answer: unknown = await Reflect.apply(method, present, given);
            watch.carriedOut(caller, String(name), given, answer);
            return answer;
          },
          lost: unusable,
        });
    },
  });
}

/** The acts and entries of a change, else the names that were given. */
function whatOf(given: readonly unknown[]): string {
  const [first] = given;
  if (isChange(first)) {
    const acts = first.acts.map(({ act, entries }) => {
      return `${act} [${entries.map(({ type }) => type).join(' ')}]`;
    });
    return acts.join(' ');
  }
  return given.filter((each) => typeof each === 'string' && each !== TENANT_NAME).join(' ');
}

function isChange(given: unknown): given is Change {
  return typeof given === 'object' && given !== null && 'acts' in given;
}

/** A clock that is off by some, and never goes back while its process lives. */
export function simulatedClock(
  world: World,
  scheduler: Scheduler,
  caller: Caller,
  offsetMs: () => number,
): Clock {
  let latest = 0;
  const now = (): number => {
    latest = Math.max(latest, world.now + offsetMs());
    return latest;
  };
  return {
    now,
    sleep: (ms, signal) => {
      const until = now() + ms;
      return scheduler.call({
        caller,
        port: 'clock',
        what: `sleep ${ms} ms`,
        fates: DONE,
        isReady: () => now() >= until || signal?.aborted === true,
        perform: () => undefined,
        lost: unusable,
      });
    },
  };
}

export function simulatedRandom(chance: Chance): Random {
  return { bytes: (count) => chance.bytes(count) };
}

/** May lose a message; may not throw. */
export function simulatedNotifier(
  scheduler: Scheduler,
  caller: Caller,
  fates: Weighted<Fate>,
): Notifier {
  return {
    waiting: ({ id }) =>
      scheduler
        .call({
          caller,
          port: 'notifier',
          what: `waiting ${id}`,
          fates,
          perform: () => undefined,
          lost: unusable,
        })
        .catch(() => undefined),
  };
}

export function simulatedSigner(
  scheduler: Scheduler,
  caller: Caller,
  signer: Signer,
  fates: Weighted<Fate>,
): Signer {
  const { name, vkey } = signer;
  return {
    name,
    vkey,
    sign: (message) =>
      scheduler.call({
        caller,
        port: 'signer',
        what: 'sign',
        fates,
        perform: () => signer.sign(message),
        lost: () => new Error('no signature came'),
      }),
  };
}
