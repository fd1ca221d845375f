/** What one seed is about: each leaves out much of what there is, so that the rest meets more often. */
import type { Chance, Weighted } from './chance.ts';
import { VARIANTS } from './policies.ts';
import type { Fate } from './scheduler.ts';
import type { Nature } from './system.ts';

export interface Shape {
  readonly operations: number;
  /** How many steps follow after the last of them, with faults. */
  readonly stepsAfter: number;
  /** How many calls of agents and people are under way at a time. */
  readonly concurrency: number;
  readonly gateways: 1 | 2;
  /** The policy in force at first, as its place among all. */
  readonly policy: number;
  readonly theme: Theme;
  /** Whether values come up that rules, validations and people are about. */
  readonly isOdd: boolean;
  readonly targets: readonly { readonly name: string; readonly nature: Nature }[];
  readonly fates: {
    readonly target: Weighted<Fate>;
    readonly read: Weighted<Fate>;
    readonly commit: Weighted<Fate>;
    readonly notifier: Weighted<Fate>;
    readonly signer: Weighted<Fate>;
  };
  readonly busy: number;
  /** How many crashes there are at steps of a kind, beside those at any time. */
  readonly aims: number;
  /** How often each step that is no call comes up, beside calls at 10. */
  readonly steps: Readonly<Record<StepKind, number>>;
  /** How often each kind of operation comes up beside the others. */
  readonly workload: Readonly<Record<OperationKind, number>>;
}

/** What a seed has much of. */
export type Theme =
  | 'anything'
  /** One agent proposes much at once, so that its writes meet at budgets, keys and rows. */
  | 'bursts'
  | 'stops'
  | 'regrets'
  /** Everything waits for two of them, who often say no. */
  | 'people'
  /** Two gateways, of which one is slow. */
  | 'takeovers';

export type StepKind =
  | 'begin'
  | 'time'
  | 'tick'
  | 'renew'
  | 'land'
  | 'drift'
  | 'crash'
  | 'skew'
  | 'checkpoint';

export const OPERATION_KINDS = [
  'propose',
  'chain',
  'again',
  'approve',
  'deny',
  'cancel',
  'rollback',
  'resolve',
  'stop',
  'release',
  'switch',
  'policy',
  'preview',
  'look',
] as const;
export type OperationKind = (typeof OPERATION_KINDS)[number];

/** What to leave out, in search of the shortest way to the same end. */
export interface Narrowing {
  readonly operations?: number;
  readonly without: readonly string[];
}

/** Everything that can be left out. */
export const NARROWED: readonly string[] = [
  'second-gateway',
  'crash',
  'skew',
  'drift',
  'time',
  'busy',
  'renew',
  'checkpoint',
  ...['target', 'commit', 'read', 'notifier', 'signer'].flatMap((port) =>
    ['answered', 'request-lost', 'reply-lost', 'late', 'slow'].map((fate) => `${port}-${fate}`),
  ),
  ...OPERATION_KINDS,
];

export function natureOf(name: string, chance: Chance): Nature {
  const fences = chance.hits(0.6);
  const common = { dedups: false, isAskable: true, journals: false, holds: false, steps: false };
  switch (name) {
    case 'ledger':
      return {
        ...common,
        guarantee: 'transactional',
        dedups: true,
        fences: true,
        holds: chance.hits(0.7),
        steps: chance.hits(0.7),
      };
    case 'xids':
      return {
        ...common,
        guarantee: 'transactional',
        fences: false,
        journals: true,
        holds: chance.hits(0.7),
        steps: chance.hits(0.7),
      };
    case 'api':
      return { ...common, guarantee: 'idempotent', dedups: true, fences };
    case 'files':
      return { ...common, guarantee: 'conditional', fences };
    case 'mail':
      return { ...common, guarantee: 'probe', fences };
    default:
      return { ...common, guarantee: 'at_most_once', isAskable: false, fences };
  }
}

const TIGHT: number = VARIANTS.findIndex(({ name }) => name === 'tight');

/** Where nothing is let through little happens. */
function policyOf(chance: Chance): number {
  return chance.weighted(VARIANTS.map(({ mode }, place) => [mode === 'observe' ? 0.2 : 1, place]));
}

export function shapeOf(chance: Chance, names: readonly string[], narrowing: Narrowing): Shape {
  const isOut = (what: string): boolean => narrowing.without.includes(what);
  const own = Array.from({ length: chance.between(1, 3) }, () => chance.pick(names));
  const level = chance.weighted([
    [1, 0],
    [4, 0.4],
    [5, 1.2],
  ]);
  const fault = (what: string, weight: number): number => {
    const isOn = chance.hits(0.65);
    return isOn && !isOut(what) ? weight * level : 0;
  };
  const fates = (port: string, done: number, kinds: Weighted<Fate>): Weighted<Fate> => [
    [done, 'done'],
    ...kinds.map(([weight, fate]) => [fault(`${port}-${fate}`, weight), fate] as const),
  ];
  const often = (what: string, weight: number): number => {
    const times = chance.weighted([
      [1, 0],
      [2, 1],
      [1, 3],
    ]);
    return isOut(what) ? 0 : weight * times;
  };
  const operations = chance.between(4, 12);
  const theme = chance.weighted<Theme>([
    [4, 'anything'],
    [1.5, 'bursts'],
    [1.8, 'stops'],
    [1.5, 'regrets'],
    [1.3, 'people'],
    [1.5, 'takeovers'],
  ]);
  const places: Partial<Record<Theme, number>> = { people: TIGHT, bursts: 0 };
  const first = places[theme] ?? policyOf(chance);
  const hasTwo = chance.hits(0.5) || theme === 'takeovers';
  /** As usual, but much of it under its theme. */
  const themed = (of: Theme, what: string, much: number, usual: number): number =>
    theme === of && !isOut(what) ? much : usual;
  return {
    operations: Math.min(operations, narrowing.operations ?? operations),
    stepsAfter: chance.hits(0.4) ? chance.between(10, 80) : 0,
    concurrency: theme === 'bursts' ? 5 : chance.between(1, 4),
    theme,
    gateways: hasTwo && !isOut('second-gateway') ? 2 : 1,
    policy: first,
    isOdd: VARIANTS[first]?.forbidden.length !== 0 || chance.hits(0.3),
    targets: [...new Set(own)].map((name) => ({ name, nature: natureOf(name, chance) })),
    fates: {
      target: fates('target', 10, [
        [2, 'answered'],
        [1, 'request-lost'],
        [2, 'reply-lost'],
        [2, 'late'],
        [theme === 'takeovers' ? 4 : 0.9, 'slow'],
      ]),
      read: fates('read', 100, [
        [1, 'request-lost'],
        [0.3, 'slow'],
        [3, 'answered'],
      ]),
      commit: fates('commit', 20, [
        [2, 'answered'],
        [1, 'request-lost'],
        [1, 'reply-lost'],
        [0.6, 'late'],
        [0.4, 'slow'],
      ]),
      notifier: fates('notifier', 4, [
        [1, 'request-lost'],
        [1, 'slow'],
      ]),
      signer: fates('signer', 4, [
        [1, 'request-lost'],
        [1, 'slow'],
      ]),
    },
    busy: fault('busy', 0.1),
    aims: isOut('crash')
      ? 0
      : chance.weighted([
          [2, 0],
          [2, 1],
          [3, 2],
          [2, 4],
        ]),
    steps: {
      begin: theme === 'bursts' ? 8 : 2,
      time: themed('takeovers', 'time', 1.4, often('time', 0.7)),
      tick: 0.5,
      renew: often('renew', 0.3),
      land: 0.7,
      drift: often('drift', 0.4),
      crash: fault('crash', 0.1),
      skew: often('skew', 0.1),
      checkpoint: often('checkpoint', 0.05),
    },
    workload: {
      propose: theme === 'bursts' ? 30 : 8,
      chain: themed('stops', 'chain', 10, often('chain', 4)),
      again: often('again', 1),
      approve: 14,
      deny: themed('people', 'deny', 6, often('deny', 0.5)),
      cancel: often('cancel', 0.7),
      rollback: themed('regrets', 'rollback', 14, often('rollback', 2.5)),
      resolve: often('resolve', 2),
      stop: themed('stops', 'stop', 5, often('stop', 0.7)),
      release: theme === 'stops' ? 12 : 3,
      switch: often('switch', 0.2),
      policy: often('policy', 0.8),
      preview: often('preview', 0.2),
      look: often('look', 0.2),
    },
  };
}
