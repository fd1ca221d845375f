/** What gateways over one store know of each other, beside what the store itself says. */

/** How often a gateway says that it is there. */
export const BEAT_MS = 5_000;
/** How long after that it still counts as being there, by the store's clock. */
export const ALIVE_MS = 15_000;

/** Digests of what a gateway opened once, by the part of the configuration. */
export type OpenedParts = Readonly<Record<string, string>>;

/** One gateway, as it speaks of itself. */
export interface GatewayCard {
  readonly id: string;
  /** One run of it. */
  readonly holder: string;
  readonly version: string;
  /** Null before it listens. */
  readonly url: string | null;
  /** Tells machines apart, and what counts processes within one. */
  readonly host: string;
  readonly pid: number;
  readonly startedAt: number;
  /** Empty before it listens, and of a version that does not say. */
  readonly opened: OpenedParts;
}

export interface SeenGateway extends GatewayCard {
  /** How long ago it last said that it is there, by the store's clock. */
  readonly seenAgoMs: number;
}

/** Whether it is there: a crash leaves one that was not seen lately. */
export function isAlive({ seenAgoMs }: SeenGateway): boolean {
  return seenAgoMs <= ALIVE_MS;
}

export interface Shared {
  /** The store's own clock, in ms since 1970; null where it has none. */
  now(): Promise<number | null>;
  /** What was noted under a name; undefined where nothing was. */
  noted(name: string): Promise<string | undefined>;
  /** Notes a value where nothing is, for good; returns what is noted by then. Durable when it resolves. */
  agree(name: string, value: string): Promise<string>;
  /** Whether this round of some work is the caller's: it is one gateway's at most every so often. */
  takeRound(name: string, everyMs: number): Promise<boolean>;
  /**
   * Takes the gateway's name for this run; false where another run has it than `before` (null: where
   * any has).
   */
  join(card: GatewayCard, before: string | null): Promise<boolean>;
  /** Says that it is still there; false where another run has taken its name. */
  beat(card: GatewayCard): Promise<boolean>;
  /** Gives its name back; idempotent. */
  leave(card: GatewayCard): Promise<void>;
  /** Those that joined and did not leave, by name; a crash leaves one that is not seen any more. */
  gateways(): Promise<readonly SeenGateway[]>;
}

/** Of a gateway that has its store for itself. */
export function sharedByNone(): Shared {
  let own: GatewayCard | undefined;
  return {
    now: () => Promise.resolve(null),
    noted: () => Promise.resolve(undefined),
    agree: (_name, value) => Promise.resolve(value),
    takeRound: () => Promise.resolve(true),
    join: (card) => {
      own = card;
      return Promise.resolve(true);
    },
    beat: (card) => {
      own = card;
      return Promise.resolve(true);
    },
    leave: () => {
      own = undefined;
      return Promise.resolve();
    },
    gateways: () => Promise.resolve(own === undefined ? [] : [{ ...own, seenAgoMs: 0 }]),
  };
}
