/** What about a write is not usual for its agent, in plain words with figures. Pure. */
import { moneyText } from '../../lib/money.ts';
import { quote } from '../../lib/quote.ts';
import {
  BASELINE_BOUNDS,
  knownName,
  nothingsAt,
  pacesAt,
  repeatOf,
  windowOf,
  WINDOWS,
  type Baseline,
  type MeasureName,
} from '../../model/baseline.ts';
import { amounts, lineages } from '../../model/baseline-fact.ts';
import type { BudgetWindow } from '../../model/budget.ts';
import type { DecisionCode, Finding } from '../../model/decision.ts';
import { usualOf, type Measure } from '../../model/measure.ts';
import type { Sensitivity } from '../../model/policy.ts';
import { count, list } from './sentences.ts';
import type { PolicyFacts } from './write.ts';

/** What was usual when a write is decided on. */
export interface Usual {
  /** Undefined before the first proposal. */
  readonly baseline: Baseline | undefined;
  /** The write's derived key; null for a step of a chain whose repetition is not counted. */
  readonly key: string | null;
  /** How many writes of the proposal have this key; absent: this one alone. */
  readonly same?: number;
  /** How many writes of the proposal the baseline has not counted yet: 0 after its first commit. */
  readonly uncounted: number;
  /** What was found then, of a decision that is made again on the record: it stands for the rest. */
  readonly recorded?: readonly Pick<Finding, 'code' | 'reason'>[];
}

type Counted = BudgetWindow | 'records' | 'recipients' | 'repeats' | 'nothings';

interface Bounds {
  /** How many times the largest usual figure is still usual. */
  readonly factor: number;
  /** What is never unusual, however little is usual. */
  readonly floors: Readonly<Record<Counted, number>>;
  /** How likely something new must be, in thousandths of writes, not to be unusual. */
  readonly newPerMille: number;
}

const BOUNDS: Readonly<Record<Exclude<Sensitivity, 'off'>, Bounds>> = {
  low: {
    factor: 10,
    floors: {
      minute: 30,
      hour: 60,
      day: 120,
      records: 100,
      recipients: 20,
      repeats: 12,
      nothings: 24,
    },
    newPerMille: 5,
  },
  medium: {
    factor: 4,
    floors: {
      minute: 10,
      hour: 20,
      day: 40,
      records: 25,
      recipients: 10,
      repeats: 6,
      nothings: 16,
    },
    newPerMille: 20,
  },
  high: {
    factor: 2,
    floors: { minute: 5, hour: 10, day: 20, records: 5, recipients: 2, repeats: 3, nothings: 8 },
    newPerMille: 50,
  },
};

/** How many windows with a write in them make a pace. */
const WINDOWS_MIN: Readonly<Record<BudgetWindow, number>> = { minute: 10, hour: 10, day: 5 };
/** How many active hours, on how many days, make a daily rhythm; how many days make a weekly one. */
const RHYTHM_MIN = { hours: 24, days: 5, weekDays: 10 } as const;

/** One thing about a write that is not usual, with the figure and the usual ones. */
export interface Unusual {
  readonly code: Extract<DecisionCode, 'anomalous' | 'loop-detected'>;
  readonly reason: string;
}

/**
 * Returns what about a write is unusual at a sensitivity, however little was learned. What is
 * unusual at one is so at each that is higher.
 */
export function unusual(
  facts: PolicyFacts,
  usual: Usual,
  sensitivity: Sensitivity,
): readonly Unusual[] {
  const judged = judgedAt(facts, usual, sensitivity);
  if (judged === undefined) return [];
  const reasons = [
    ...WINDOWS.flatMap((window) => paceReasons(judged, window)),
    ...sizeReasons(judged),
    ...valueReasons(judged),
    ...resourceReasons(judged),
    ...nothingsReasons(judged),
  ];
  const loops = repeatReasons(judged);
  return [
    ...loops.map((reason) => ({ code: 'loop-detected' as const, reason })),
    ...reasons.map((reason) => ({ code: 'anomalous' as const, reason })),
  ];
}

interface Judged {
  readonly baseline: Baseline;
  readonly usual: Usual;
  readonly facts: PolicyFacts;
  readonly bounds: Bounds;
}

/** The largest figure of a measure that is not unusual; undefined where nothing was met yet. */
function boundOf({ baseline, bounds }: Judged, name: Counted): number | undefined {
  const measure = baseline.measures[name];
  return measure && largestUsual(name, measure, bounds);
}

/** As `boundOf`, for those who look: null where a sensitivity judges nothing. */
export function unusualAbove(
  name: string,
  measure: Measure,
  sensitivity: Sensitivity,
): number | null {
  return sensitivity === 'off' ? null : largestUsual(name, measure, BOUNDS[sensitivity]);
}

function largestUsual(name: string, measure: Measure, { factor, floors }: Bounds): number {
  const { high } = usualOf(measure);
  // Of a share there is no multiple: half as much again is beyond what is usual.
  const times = name === 'nothings' ? 1.5 : factor;
  const floor = new Map<string, number>(Object.entries(floors)).get(name) ?? 0;
  return Math.min(Math.max(floor, Math.floor(high * times)), Number.MAX_SAFE_INTEGER);
}

/** What the pace of a window may come to, and what is said where it is more. */
interface PaceBound {
  readonly max: number;
  readonly said: (proposed: number) => string;
}

function paceBound(judged: Judged, window: BudgetWindow): PaceBound | undefined {
  const { baseline, facts, bounds } = judged;
  const offbeat = offbeatText(baseline, window, facts.now);
  if (offbeat !== undefined) {
    const said = (proposed: number) => `${count(proposed, 'write')} ${offbeat}`;
    return { max: bounds.floors.hour, said };
  }
  const max = boundOf(judged, window);
  const isKnown = (baseline.measures[window]?.seen.total ?? 0) >= WINDOWS_MIN[window];
  if (max === undefined || !isKnown) return undefined;
  const said = (proposed: number) =>
    `${count(proposed, 'write')} in the last ${window}; usual ${usualText(baseline, window, facts.now)}`;
  return { max, said };
}

function paceReasons(judged: Judged, window: BudgetWindow): string[] {
  const { baseline, usual, facts } = judged;
  const bound = paceBound(judged, window);
  if (bound === undefined) return [];
  const pace = pacesAt(baseline, facts.now)[window];
  const proposed = pace.proposed + usual.uncounted;
  if (proposed > bound.max) return [bound.said(proposed)];
  // A pace that is kept up does not become usual by the turn of the minute.
  if (window === 'day' || pace.before <= bound.max) return [];
  const range = usualText(baseline, window, facts.now);
  return [`${count(pace.before, 'write')} in the ${window} before; usual ${range}`];
}

/** Returns up to what each pace is usual, where that is known. */
export function usualPaces(
  facts: PolicyFacts,
  usual: Usual,
  sensitivity: Sensitivity,
): readonly { readonly window: BudgetWindow; readonly max: number }[] {
  const judged = judgedAt(facts, usual, sensitivity);
  if (judged === undefined) return [];
  return WINDOWS.flatMap((window) => {
    const bound = paceBound(judged, window);
    return bound === undefined ? [] : [{ window, max: bound.max }];
  });
}

function judgedAt(facts: PolicyFacts, usual: Usual, sensitivity: Sensitivity): Judged | undefined {
  const { baseline } = usual;
  if (baseline === undefined || sensitivity === 'off') return undefined;
  return { baseline, usual, facts, bounds: BOUNDS[sensitivity] };
}

/** Says when it never wrote, where that is now. */
function offbeatText(baseline: Baseline, window: BudgetWindow, now: number): string | undefined {
  const days = baseline.weekdays.reduce((sum, each) => sum + each, 0);
  if (window === 'hour') {
    const hours = baseline.hours.reduce((sum, each) => sum + each, 0);
    const hour = windowOf('hour', now) % 24;
    const near = [hour + 23, hour, hour + 1].map((each) => baseline.hours[each % 24] ?? 0);
    const isKnown = hours >= RHYTHM_MIN.hours && days >= RHYTHM_MIN.days;
    if (!isKnown || near.some((each) => each > 0)) return undefined;
    return `since ${String(hour).padStart(2, '0')}:00 UTC; usual at that hour are none`;
  }
  const isOff = baseline.weekdays[windowOf('day', now) % 7] === 0;
  if (window === 'minute' || days < RHYTHM_MIN.weekDays || !isOff) return undefined;
  return 'today; usual on this day of the week are none';
}

/** Windows without a write count as well: `0 to 4`. */
function usualText(baseline: Baseline, window: BudgetWindow, now: number): string {
  const measure = baseline.measures[window];
  if (measure === undefined) return '0';
  const { low, high } = usualOf(measure);
  const passed = windowOf(window, now) - windowOf(window, baseline.since);
  const isOftenNone = measure.seen.total < passed * 0.98;
  return rangeText(isOftenNone ? 0 : low, high);
}

function rangeText(low: number, high: number, text = (figure: number) => count(figure)): string {
  return low === high ? text(high) : `${text(low)} to ${text(high)}`;
}

function sizeReasons(judged: Judged): string[] {
  const { records, recipients } = judged.facts.blastRadius;
  return [
    ...sizeReason(judged, 'records', records),
    ...sizeReason(judged, 'recipients', recipients),
  ];
}

function sizeReason(judged: Judged, name: 'records' | 'recipients', size: number): string[] {
  const measure = judged.baseline.measures[name];
  const bound = boundOf(judged, name);
  if (measure === undefined || bound === undefined || size <= bound) return [];
  const { low, high } = usualOf(measure);
  return [`${count(size, name.slice(0, -1))} in one write; usual ${rangeText(low, high)}`];
}

function valueReasons({ baseline, facts, bounds }: Judged): string[] {
  return amounts(facts.plan).flatMap(([currency, amountMinor]) => {
    const text = (amount: number) => moneyText(BigInt(amount), currency);
    const name: MeasureName = `value:${currency}`;
    const measure = baseline.measures[name];
    if (measure === undefined) {
      return [`${text(amountMinor)} in one write; usual is no value in ${currency}`];
    }
    const { low, high } = usualOf(measure);
    if (amountMinor <= largestUsual(name, measure, bounds)) return [];
    return [`${text(amountMinor)} in one write; usual ${rangeText(low, high, text)}`];
  });
}

/**
 * What is new is unusual where new things are rare: the share of writes that bring one is about
 * that of the resources that were written to once (Good and Turing).
 */
function resourceReasons({ baseline, facts, bounds }: Judged): string[] {
  const { resources, isCrowded, applied } = baseline;
  const once = resources.filter(([, times]) => times === 1).length;
  if (isCrowded || once * 1_000 >= bounds.newPerMille * applied) return [];
  const fresh = lineages(facts.plan)
    .filter((lineage) => knownName(resources, lineage) === undefined)
    .map(([name = '']) => quote(name));
  if (fresh.length === 0) return [];
  const shown =
    fresh.length > NAMES_MAX
      ? [...fresh.slice(0, NAMES_MAX), `${fresh.length - NAMES_MAX} more`]
      : fresh;
  const before = `it wrote to ${count(resources.length, 'other')} in ${count(applied, 'write')}`;
  return [`${list(shown)} for the first time; ${before}`];
}

const NAMES_MAX = 3;

function repeatReasons(judged: Judged): string[] {
  const { baseline, usual, facts } = judged;
  const bound = boundOf(judged, 'repeats');
  const measure = baseline.measures['repeats'];
  if (usual.key === null) return [];
  const next = repeatOf(baseline, usual.key, facts.now).times;
  const times = Math.max(next - 1 + (usual.uncounted === 0 ? 0 : (usual.same ?? 1)), 1);
  if (bound === undefined || measure === undefined || times <= bound) return [];
  const { low, high } = usualOf(measure);
  const reason = `the same arguments ${count(times, 'time')} within an hour; usual ${rangeText(low, high)}`;
  return [reason];
}

function nothingsReasons(judged: Judged): string[] {
  const { baseline, facts } = judged;
  const measure = baseline.measures['nothings'];
  const bound = boundOf(judged, 'nothings');
  const nothings = nothingsAt(baseline, facts.now);
  if (measure === undefined || bound === undefined || nothings <= bound) return [];
  const { low, high } = usualOf(measure);
  const last = `${nothings} of its last ${BASELINE_BOUNDS.nothingsMax} proposals came to nothing`;
  return [`${last}; usual ${rangeText(low, high)}`];
}
