/** What is unusual for an agent, in plain words with figures. Pure; it tightens and never loosens. */
import { moneyText } from '../lib/money.ts';
import { quote } from '../lib/quote.ts';
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
  type PaceGuard,
} from '../model/baseline.ts';
import { amounts, lineages } from '../model/baseline-fact.ts';
import type { BudgetWindow } from '../model/budget.ts';
import type { DecisionCode, Finding } from '../model/decision.ts';
import { usualOf } from '../model/measure.ts';
import type { AnomalyRule, Policy, Sensitivity } from '../model/policy.ts';
import { matches } from './match.ts';
import { count, list } from './sentences.ts';
import { writeOf, type PolicyFacts } from './write.ts';

/** What was usual when a write is decided on. */
export interface Usual {
  /** Undefined before the first proposal. */
  readonly baseline: Baseline | undefined;
  /** The write's derived key; null for a step of a chain. */
  readonly key: string | null;
  /** How many writes of the proposal the baseline has not counted yet: 0 after its first commit. */
  readonly uncounted: number;
  /** What was found then, of a decision that is made again on the record: it stands for the rest. */
  readonly recorded?: readonly Finding[];
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

/**
 * Judges by what is usual for the agent and the operation: one finding for each thing that is not,
 * in the name of each line that matches, or of the section. None below `warmUp` applied writes, and
 * none for people or for a write that takes another back.
 */
export function anomalyFindings(
  policy: Policy,
  steps: readonly PolicyFacts[],
  usual: readonly Usual[],
): readonly Finding[] {
  return steps.flatMap((facts, index) => {
    const known = usual[index];
    if (known === undefined) throw new Error('every step has what is usual for it');
    const who = steps.length === 1 ? '' : `step ${index + 1} of ${steps.length}: `;
    return stepFindings(policy, facts, known, who);
  });
}

function stepFindings(
  policy: Policy,
  facts: PolicyFacts,
  usual: Usual,
  who: string,
): readonly Finding[] {
  const { recorded } = usual;
  if (recorded !== undefined) {
    return anomalyRules(policy, facts).flatMap((line) =>
      recorded.map(({ code, reason }) => findingOf(line, code, reason)),
    );
  }
  return judgedBy(policy, facts, usual).flatMap(({ line, judged }) =>
    unusualOf(judged).map(({ code, reason }) =>
      findingOf(line, code, `${who}unusual for ${quote(facts.principal.name)}: ${reason}`),
    ),
  );
}

function findingOf({ rule, verdict }: AnomalyRule, code: Finding['code'], reason: string): Finding {
  return {
    stage: 'anomaly',
    verdict: verdict === 'forbid' ? 'deny' : 'wait',
    rule,
    code,
    reason,
  };
}

/** How a write is judged, and by which lines; not at all where nothing can be unusual. */
function judgedBy(
  policy: Policy,
  facts: PolicyFacts,
  usual: Usual,
): readonly { readonly line: AnomalyRule; readonly judged: Judged }[] {
  const { baseline } = usual;
  if (facts.principal.kind !== 'agent' || facts.compensation) return [];
  if (baseline === undefined || baseline.applied < policy.anomaly.warmUp) return [];
  return anomalyRules(policy, facts).flatMap((line) => {
    const bounds = boundsAt(line.sensitivity);
    return bounds === undefined ? [] : [{ line, judged: { baseline, usual, facts, bounds } }];
  });
}

/** The lines that judge a write, or the section; those that are off are none. */
function anomalyRules({ anomaly }: Policy, facts: PolicyFacts): readonly AnomalyRule[] {
  const { subject } = writeOf(facts);
  const matching = anomaly.lines.filter((line) => matches(line.match, subject));
  return (matching.length > 0 ? matching : [anomaly.otherwise]).filter(
    ({ sensitivity }) => sensitivity !== 'off',
  );
}

function boundsAt(sensitivity: Sensitivity): Bounds | undefined {
  return sensitivity === 'off' ? undefined : BOUNDS[sensitivity];
}

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
  const { baseline } = usual;
  const bounds = boundsAt(sensitivity);
  if (baseline === undefined || bounds === undefined) return [];
  return unusualOf({ baseline, usual, facts, bounds });
}

function unusualOf(judged: Judged): readonly Unusual[] {
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

/** The largest figure that is not unusual; undefined where nothing was met yet. */
function boundOf({ baseline, bounds }: Judged, name: Counted): number | undefined {
  const measure = baseline.measures[name];
  if (measure === undefined) return undefined;
  return Math.max(bounds.floors[name], usualOf(measure).high * bounds.factor);
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
  const range = usualText(baseline, window, facts.now);
  const said = (proposed: number) =>
    `${count(proposed, 'write')} in the last ${window}; usual ${range}`;
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

/**
 * Returns the paces up to which a decision that found nothing unusual holds: where other proposals
 * have passed one by the time of the commit, it is made again.
 */
export function paceGuards(
  policy: Policy,
  steps: readonly PolicyFacts[],
  usual: readonly Usual[],
): readonly PaceGuard[] {
  return steps.flatMap((facts, index) => {
    const known = usual[index];
    if (known === undefined || known.uncounted === 0) return [];
    return judgedBy(policy, facts, known).flatMap(({ judged }) =>
      WINDOWS.flatMap((window): readonly PaceGuard[] => {
        const bound = paceBound(judged, window);
        if (bound === undefined) return [];
        const { principal, target, operation } = facts;
        const { uncounted } = known;
        return [{ agent: principal.name, target, operation, window, uncounted, max: bound.max }];
      }),
    );
  });
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
    ...sizeReason(judged, 'records', records, count(records, 'record')),
    ...sizeReason(judged, 'recipients', recipients, count(recipients, 'recipient')),
  ];
}

function sizeReason(
  judged: Judged,
  name: 'records' | 'recipients',
  size: number,
  text: string,
): string[] {
  const measure = judged.baseline.measures[name];
  const bound = boundOf(judged, name);
  if (measure === undefined || bound === undefined || size <= bound) return [];
  const { low, high } = usualOf(measure);
  return [`${text} in one write; usual ${rangeText(low, high)}`];
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
    if (amountMinor <= high * bounds.factor) return [];
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
  const times = usual.uncounted === 0 ? Math.max(next - 1, 1) : next;
  if (bound === undefined || measure === undefined || times <= bound) return [];
  const { low, high } = usualOf(measure);
  const reason = `the same arguments ${count(times, 'time')} within an hour; usual ${rangeText(low, high)}`;
  return [reason];
}

function nothingsReasons(judged: Judged): string[] {
  const { baseline, facts, bounds } = judged;
  const measure = baseline.measures['nothings'];
  const nothings = nothingsAt(baseline, facts.now);
  if (measure === undefined || nothings <= bounds.floors.nothings) return [];
  const { low, high } = usualOf(measure);
  // Of a share there is no multiple: half as much again is beyond what is usual.
  if (nothings <= high * 1.5) return [];
  const last = `${nothings} of its last ${BASELINE_BOUNDS.nothingsMax} proposals came to nothing`;
  return [`${last}; usual ${rangeText(low, high)}`];
}
