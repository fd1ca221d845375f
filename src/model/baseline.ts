/**
 * What is usual for one agent and one operation of one target: the fold of the entries of its
 * proposals (G5), in the order of the log. Pure; time is that of the entries.
 *
 * 1. Only what was applied widens what is usual. What was denied, refused or made to wait counts
 *    towards the present pace, and towards what came to nothing.
 * 2. Its size is bounded, whatever the agent does.
 * 3. Nothing of it fades by mere silence.
 */
import type { HistogramBounds } from '../lib/histogram.ts';
import { BUDGET_WINDOWS_MS, type BudgetWindow } from './budget.ts';
import { met, NO_MEASURE, type Measure } from './measure.ts';

/** Whose baseline it is: all configured names. */
export interface BaselineSubject {
  readonly agent: string;
  readonly target: string;
  readonly operation: string;
}

export interface Baseline {
  readonly v: 1;
  /** When the first proposal came. */
  readonly since: number;
  /** How many applied writes it was learned from. */
  readonly applied: number;
  readonly paces: Readonly<Record<BudgetWindow, Pace>>;
  /** By `MeasureName`; value by currency. */
  readonly measures: Readonly<Record<string, Measure>>;
  /** In how many windows of each hour of the day (UTC), and on how many of each day of the week from
   * Thursday on, it applied something. */
  readonly hours: readonly number[];
  readonly weekdays: readonly number[];
  /** What it wrote to, and whether once (1) or more often (2): in the order of first writes. */
  readonly resources: readonly (readonly [name: string, times: 1 | 2])[];
  /** True once there were more resources than are kept: then none is new. */
  readonly isCrowded: boolean;
  /** The arguments proposed last, latest last. */
  readonly repeats: readonly Repeat[];
  /** Whether each of the latest proposals came to nothing: bits, latest lowest. */
  readonly nothings: { readonly bits: number; readonly at: number };
}

/** What was written to in value, of what kind `value:GBP`, and so on. */
export type MeasureName =
  | BudgetWindow
  | 'records'
  | 'recipients'
  | 'repeats'
  | 'nothings'
  | `value:${string}`;

/** The present window: minutes, hours and days of the clock (UTC). */
export interface Pace {
  /** Whole windows since the epoch. */
  readonly window: number;
  /** Proposals in it, without those that were denied or refused at once. */
  readonly proposed: number;
  /** Writes in it that were applied without a person's yes. */
  readonly applied: number;
  /** `proposed` of the window just before. */
  readonly before: number;
}

/** So many writes more in the present window, and it is not usual any more above `max`. */
export interface PaceGuard extends BaselineSubject {
  readonly window: BudgetWindow;
  readonly uncounted: number;
  readonly max: number;
}

interface Repeat {
  /** The beginning of the derived key. */
  readonly key: string;
  readonly times: number;
  readonly since: number;
}

/** What one entry tells a baseline. */
export type BaselineFact =
  /** `key` is null of a write whose repetition is not counted. */
  | { readonly kind: 'proposed'; readonly at: number; readonly key: string | null }
  | {
      readonly kind: 'nothing';
      readonly at: number;
      readonly proposedAt: number;
      readonly writes: number;
      /** Whether people were asked first. */
      readonly waited: boolean;
    }
  | { readonly kind: 'applied'; readonly at: number; readonly write: AppliedWrite };

export interface AppliedWrite {
  readonly key: string | null;
  readonly records: number;
  readonly recipients: number;
  /** Minor units by currency; empty where not all was measured. */
  readonly value: readonly (readonly [currency: string, amountMinor: number])[];
  /** Each resource with what it is a part of, nearest first. */
  readonly resources: readonly (readonly string[])[];
  /** People agreed: their pace is not the agent's. */
  readonly approved: boolean;
}

export const BASELINE_BOUNDS = {
  resourcesMax: 64,
  /** Of all their names together. */
  resourceCharactersMax: 2_048,
  currenciesMax: 8,
  repeatsMax: 12,
  /** Of the steps that a chain has of one operation: so many have their repetition counted. */
  repeatedStepsMax: 6,
  /** How long the same arguments count as repeated, from the first on. */
  repeatsMs: 3_600_000,
  /** How many of the latest proposals are looked at, and for how long after the last of them. */
  nothingsMax: 32,
  nothingsMs: 3_600_000,
  slotMax: 60,
} as const;

/** Weeks of minutes with a write, seasons of hours, months of days; many writes. */
const WINDOW_BOUNDS: Readonly<Record<BudgetWindow, HistogramBounds>> = {
  minute: { totalMax: 32_768, binsMax: 24 },
  hour: { totalMax: 2_048, binsMax: 24 },
  day: { totalMax: 128, binsMax: 24 },
};
const WRITE_BOUNDS: HistogramBounds = { totalMax: 16_384, binsMax: 24 };

export const WINDOWS: readonly ['minute', 'hour', 'day'] = ['minute', 'hour', 'day'];

/** Folds one more fact in. */
export function learn(before: Baseline | undefined, fact: BaselineFact): Baseline {
  const baseline = atTime(before ?? emptyBaseline(fact.at), fact.at);
  switch (fact.kind) {
    case 'proposed': {
      const counted = paced(baseline, WINDOWS, 'proposed', 1);
      return fact.key === null ? counted : repeated(counted, fact.key, fact.at);
    }
    case 'nothing': {
      const isStill = (window: BudgetWindow): boolean =>
        windowOf(window, fact.proposedAt) === baseline.paces[window].window;
      // What waited stays counted: to be told no, or to cancel, must not make room.
      const given = fact.waited ? [] : WINDOWS.filter(isStill);
      return {
        ...paced(baseline, given, 'proposed', -fact.writes),
        nothings: ended(baseline, fact.at, 1),
      };
    }
    case 'applied':
      return applied(baseline, fact.at, fact.write);
  }
}

function emptyBaseline(at: number): Baseline {
  const pace = (window: BudgetWindow): Pace => ({
    window: windowOf(window, at),
    proposed: 0,
    applied: 0,
    before: 0,
  });
  return {
    v: 1,
    since: at,
    applied: 0,
    paces: { minute: pace('minute'), hour: pace('hour'), day: pace('day') },
    measures: {},
    hours: Array.from({ length: 24 }, () => 0),
    weekdays: Array.from({ length: 7 }, () => 0),
    resources: [],
    isCrowded: false,
    repeats: [],
    nothings: { bits: 0, at },
  };
}

/** The whole windows from the epoch to `at`. */
export function windowOf(window: BudgetWindow, at: number): number {
  return Math.floor(at / BUDGET_WINDOWS_MS[window]);
}

/** The paces as they stand at `at`, without learning from the windows that have gone by. */
export function pacesAt(baseline: Baseline, at: number): Baseline['paces'] {
  const { minute, hour, day } = baseline.paces;
  return {
    minute: paceAt(minute, windowOf('minute', at)),
    hour: paceAt(hour, windowOf('hour', at)),
    day: paceAt(day, windowOf('day', at)),
  };
}

function paceAt(pace: Pace, window: number): Pace {
  const passed = window - pace.window;
  if (passed > 0) {
    return { window, proposed: 0, applied: 0, before: passed === 1 ? pace.proposed : 0 };
  }
  // A clock that was set back gives nobody a fresh window; one that was far ahead holds nobody for long.
  return passed < -1 ? { ...pace, window } : pace;
}

/** Closes the windows that have gone by at `at`; one in which nothing was applied teaches nothing. */
function atTime(baseline: Baseline, at: number): Baseline {
  const paces = pacesAt(baseline, at);
  const measures: Record<string, Measure> = { ...baseline.measures };
  let { hours, weekdays } = baseline;
  for (const window of WINDOWS) {
    const { window: past, applied: count } = baseline.paces[window];
    if (paces[window].window <= past || count === 0) continue;
    measures[window] = met(
      measures[window] ?? NO_MEASURE,
      count,
      { at, since: baseline.since },
      WINDOW_BOUNDS[window],
    );
    if (window === 'hour') hours = slotted(hours, past % 24);
    if (window === 'day') weekdays = slotted(weekdays, past % 7);
  }
  return { ...baseline, paces, measures, hours, weekdays };
}

function slotted(slots: readonly number[], slot: number): readonly number[] {
  const more = slots.map((count, place) => (place === slot ? count + 1 : count));
  const isFull = more.some((count) => count > BASELINE_BOUNDS.slotMax);
  return isFull ? more.map((count) => Math.floor(count / 2)) : more;
}

function paced(
  baseline: Baseline,
  windows: readonly BudgetWindow[],
  what: 'proposed' | 'applied',
  by: number,
): Baseline {
  const paces = { ...baseline.paces };
  for (const window of windows) {
    paces[window] = { ...paces[window], [what]: Math.max(paces[window][what] + by, 0) };
  }
  return { ...baseline, paces };
}

function repeated(baseline: Baseline, key: string, at: number): Baseline {
  const others = baseline.repeats.filter((each) => each.key !== shortKey(key));
  const repeats = [...others, repeatOf(baseline, key, at)].slice(-BASELINE_BOUNDS.repeatsMax);
  return { ...baseline, repeats };
}

/** How often the arguments were proposed within the hour, this time included. */
export function repeatOf(baseline: Baseline, key: string, at: number): Repeat {
  const before = baseline.repeats.find((each) => each.key === shortKey(key));
  const isOver = before === undefined || at - before.since >= BASELINE_BOUNDS.repeatsMs;
  return isOver
    ? { key: shortKey(key), times: 1, since: at }
    : { ...before, times: before.times + 1 };
}

function shortKey(key: string): string {
  return key.slice(-12);
}

/** How many of the latest proposals came to nothing; 0 where the last of them is long ago. */
export function nothingsAt({ nothings }: Baseline, at: number): number {
  if (at - nothings.at >= BASELINE_BOUNDS.nothingsMs) return 0;
  let count = 0;
  for (let bits = nothings.bits; bits > 0; bits = Math.floor(bits / 2)) count += bits % 2;
  return count;
}

function ended(baseline: Baseline, at: number, bit: 0 | 1): Baseline['nothings'] {
  const bits = nothingsAt(baseline, at) === 0 ? 0 : baseline.nothings.bits;
  // What comes to something does not keep the rest in memory longer.
  const last = bit === 1 ? Math.max(at, baseline.nothings.at) : baseline.nothings.at;
  return { bits: (bits * 2 + bit) % 2 ** BASELINE_BOUNDS.nothingsMax, at: last };
}

function applied(baseline: Baseline, at: number, write: AppliedWrite): Baseline {
  const { since } = baseline;
  const measures: Record<string, Measure> = { ...baseline.measures };
  const take = (name: MeasureName, value: number): void => {
    measures[name] = met(measures[name] ?? NO_MEASURE, value, { at, since }, WRITE_BOUNDS);
  };
  take('records', write.records);
  take('recipients', write.recipients);
  if (write.key !== null) take('repeats', timesProposed(baseline, write.key));
  take('nothings', nothingsAt(baseline, at));
  for (const [currency, amountMinor] of write.value) {
    const isRoom = currenciesOf(measures).length < BASELINE_BOUNDS.currenciesMax;
    if (isRoom || Object.hasOwn(measures, `value:${currency}`))
      take(`value:${currency}`, amountMinor);
  }
  const alone = write.approved ? baseline : paced(baseline, WINDOWS, 'applied', 1);
  return {
    ...alone,
    applied: baseline.applied + 1,
    measures,
    ...withResources(baseline, write.resources),
    nothings: ended(baseline, at, 0),
  };
}

function timesProposed(baseline: Baseline, key: string): number {
  return baseline.repeats.find((each) => each.key === shortKey(key))?.times ?? 1;
}

/** The currencies in which a value was ever met. */
export function currenciesOf(measures: Baseline['measures']): readonly string[] {
  return Object.keys(measures).flatMap((name) =>
    name.startsWith('value:') ? [name.slice('value:'.length)] : [],
  );
}

function withResources(
  baseline: Baseline,
  lineages: AppliedWrite['resources'],
): Pick<Baseline, 'resources' | 'isCrowded'> {
  let { resources, isCrowded } = baseline;
  for (const lineage of lineages) {
    // A part that is new is not: what it is a part of stands for all of them.
    const name = knownName(resources, lineage) ?? lineage.at(-1) ?? '';
    if (resources.some(([each]) => each === name)) {
      resources = resources.map((each) => (each[0] === name ? [name, 2] : each));
    } else if (isRoomFor(resources, name)) resources = [...resources, [name, 1]];
    else isCrowded = true;
  }
  return { resources, isCrowded };
}

function isRoomFor(resources: Baseline['resources'], name: string): boolean {
  const characters = resources.reduce((sum, [each]) => sum + each.length, name.length);
  return (
    resources.length < BASELINE_BOUNDS.resourcesMax &&
    characters <= BASELINE_BOUNDS.resourceCharactersMax
  );
}

/** The name by which a resource, or what it is a part of, was written to before. */
export function knownName(
  resources: Baseline['resources'],
  lineage: readonly string[],
): string | undefined {
  return lineage.find((name) => resources.some(([each]) => each === name));
}
