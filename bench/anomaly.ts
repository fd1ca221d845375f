/**
 * How soon what goes wrong is noticed, and how often what does not. The traces are made from a seed;
 * what learns and what judges is the production code. People agree to what is unusual and right, and
 * to nothing of what goes wrong.
 */
import { learn, type Baseline, type BaselineFact } from '../src/model/baseline.ts';
import type { Sensitivity } from '../src/model/policy.ts';
import { unusual } from '../src/policy/stages/unusual.ts';
import { agent, POLICY, setDraft, testGate } from '../test/support/gate.ts';
import { direct, factsOf } from '../test/support/policy.ts';
import { ANOMALIES, Chance, TRACES, type Trace, type TraceWrite } from './anomaly-traces.ts';

/** A line of false alarms on a trace, of an anomaly on all traces, or of what it costs. */
export interface AnomalyRow {
  readonly bench: 'anomaly';
  readonly sensitivity: Exclude<Sensitivity, 'off'>;
  readonly subject: string;
  /** Normal writes judged, and how many of a thousand were called unusual. */
  readonly normal?: { readonly writes: number; readonly falsePerThousand: number };
  /** On how many of the traces it was noticed; the rest over those on which it was. */
  readonly noticed?: {
    readonly traces: number;
    readonly of: number;
    /** Wrong writes that came through before the first that did not: median and most. */
    readonly writesBefore: readonly [number, number];
    readonly secondsBefore: readonly [number, number];
    /** Wrong writes that came through in all, of the largest of the traces. */
    readonly throughMost: number;
  };
  readonly cost?: {
    readonly recordBytes: number;
    readonly learnMicroseconds: number;
    readonly judgeMicroseconds: number;
  };
}

const SEED = 20_261_129;
const WARM_UP = 30;
const LEVELS = ['low', 'medium', 'high'] as const;

export async function anomaly(progress: (line: string) => void): Promise<readonly AnomalyRow[]> {
  const rows: AnomalyRow[] = [];
  for (const sensitivity of LEVELS) {
    progress(`anomaly at ${sensitivity}`);
    const learned = TRACES.map((make, index) => {
      const trace = make(new Chance(SEED + index));
      const run = new Run(sensitivity);
      const flagged = trace.writes.filter((write) => run.propose(write, 'agreed') === 'stopped');
      const falsePerThousand = rounded((1_000 * flagged.length) / run.judged);
      const normal = { writes: run.judged, falsePerThousand };
      rows.push({ bench: 'anomaly', sensitivity, subject: trace.name, normal });
      return { trace, baseline: run.baseline };
    });
    for (const { name, of } of ANOMALIES) {
      const ends = learned.flatMap(({ trace, baseline }, index) => {
        const wrong = of(trace, new Chance(SEED + 100 + index));
        return wrong === undefined ? [] : [endOf(new Run(sensitivity, baseline), wrong)];
      });
      rows.push({ bench: 'anomaly', sensitivity, subject: name, noticed: noticedOf(ends) });
    }
  }
  progress('anomaly through the gate');
  rows.push(await throughGate());
  const [make] = TRACES;
  if (make !== undefined) rows.push(costOf(make(new Chance(SEED))));
  return rows;
}

/** One agent's baseline as the gateway would keep it along a trace. */
class Run {
  judged = 0;
  baseline: Baseline | undefined;
  readonly #sensitivity: Sensitivity;

  constructor(sensitivity: Sensitivity, baseline?: Baseline) {
    this.#sensitivity = sensitivity;
    this.baseline = baseline;
  }

  propose(write: TraceWrite, people: 'agreed' | 'against'): 'through' | 'stopped' | 'nothing' {
    const { at, key } = write;
    const isWarm = (this.baseline?.applied ?? 0) >= WARM_UP;
    if (isWarm) this.judged += 1;
    const usual = { baseline: this.baseline, key, uncounted: 1 };
    const isUnusual = isWarm && unusual(factsAt(write), usual, this.#sensitivity).length > 0;
    this.#learn({ kind: 'proposed', at, key });
    const nothing = { kind: 'nothing', at, proposedAt: at, writes: 1 } as const;
    if (write.comesToNothing) {
      this.#learn({ ...nothing, waited: false });
      return 'nothing';
    }
    if (isUnusual && people === 'against') this.#learn({ ...nothing, waited: true });
    else this.#learn({ kind: 'applied', at, write: appliedOf(write, isUnusual) });
    return isUnusual ? 'stopped' : 'through';
  }

  #learn(fact: BaselineFact): void {
    this.baseline = learn(this.baseline, fact);
  }
}

function factsAt({ at, records, valueMinor, resource }: TraceWrite) {
  return factsOf({
    now: at,
    plan: {
      resource,
      counts: [direct(resource, { updated: records })],
      value: [{ currency: 'GBP', amountMinor: String(valueMinor) }],
    },
  });
}

function appliedOf({ key, records, valueMinor, resource }: TraceWrite, approved: boolean) {
  const value = [['GBP', valueMinor] as const];
  return { key, records, recipients: 0, value, resources: [[resource]], approved };
}

interface End {
  readonly through: number;
  /** Before the first that was stopped; null where none was. */
  readonly before: { readonly writes: number; readonly seconds: number } | null;
}

function endOf(run: Run, wrong: readonly TraceWrite[]): End {
  let through = 0;
  let before: End['before'] = null;
  const from = wrong[0]?.at ?? 0;
  for (const write of wrong) {
    const went = run.propose(write, 'against');
    if (went === 'through') through += 1;
    if (went === 'stopped' && before === null) {
      before = { writes: through, seconds: (write.at - from) / 1_000 };
    }
  }
  return { through, before };
}

function noticedOf(ends: readonly End[]): NonNullable<AnomalyRow['noticed']> {
  const found = ends.flatMap(({ before }) => (before === null ? [] : [before]));
  const writes = found.map((each) => each.writes);
  const seconds = found.map((each) => each.seconds);
  return {
    traces: found.length,
    of: ends.length,
    writesBefore: [middle(writes), Math.max(0, ...writes)],
    secondsBefore: [rounded(middle(seconds)), rounded(Math.max(0, ...seconds))],
    throughMost: Math.max(...ends.map(({ through }) => through)),
  };
}

/** A loop through the production gate and store, after 20 minutes of two writes each. */
async function throughGate(): Promise<AnomalyRow> {
  const { gate, clock, target } = await testGate({ policy: POLICY.replace(/budgets:\n.*\n/, '') });
  const bot = agent('bot');
  let turn = 0;
  const propose = () => gate.propose(bot, setDraft('a', `value ${(turn += 1)}`));
  for (let minute = 0; minute < 20; minute += 1) {
    await propose();
    await propose();
    clock.advance(60_000);
  }
  const from = { at: clock.now(), committed: target.committed.length };
  let before: End['before'] = null;
  for (let each = 0; each < 2_000; each += 1) {
    const { state } = await propose();
    if (state === 'waiting') before ??= { writes: each, seconds: (clock.now() - from.at) / 1_000 };
    clock.advance(8);
  }
  const through = target.committed.length - from.committed;
  const subject = 'loop through the gate, 2,000 in 16 seconds';
  const noticed = noticedOf([{ through, before }]);
  return { bench: 'anomaly', sensitivity: 'medium', subject, noticed };
}

/** What one proposal costs on a trace that has been learned: two facts, one judgement. */
function costOf(trace: Trace): AnomalyRow {
  const run = new Run('medium');
  for (const write of trace.writes) run.propose(write, 'agreed');
  const { baseline } = run;
  if (baseline === undefined) throw new Error('a trace has writes');
  const sample = trace.writes.slice(-2_000);
  const timed = (work: (write: TraceWrite) => unknown): number => {
    for (const write of sample) work(write);
    const from = performance.now();
    for (const write of sample) work(write);
    return rounded(((performance.now() - from) * 1_000) / sample.length);
  };
  const facts = new Map(sample.map((write) => [write, factsAt(write)]));
  return {
    bench: 'anomaly',
    sensitivity: 'medium',
    subject: 'cost',
    cost: {
      recordBytes: JSON.stringify(baseline).length,
      learnMicroseconds: timed((write) => {
        const { at, key } = write;
        const proposed = learn(baseline, { kind: 'proposed', at, key });
        return learn(proposed, { kind: 'applied', at, write: appliedOf(write, false) });
      }),
      judgeMicroseconds: timed((write) => {
        const given = facts.get(write) ?? factsAt(write);
        return unusual(given, { baseline, key: write.key, uncounted: 1 }, 'medium');
      }),
    },
  };
}

function middle(values: readonly number[]): number {
  return values.toSorted((left, right) => left - right)[Math.floor(values.length / 2)] ?? 0;
}

function rounded(value: number): number {
  return Math.round(value * 100) / 100;
}

/** For people: what `--json` says in members. */
export function anomalySentence(row: AnomalyRow): string {
  const who = `${row.bench} ${row.sensitivity}: ${row.subject}`;
  if (row.normal !== undefined) {
    const { writes, falsePerThousand } = row.normal;
    return `${who}: ${falsePerThousand} false alarms in 1,000 of ${writes} normal writes`;
  }
  if (row.cost !== undefined) {
    const { recordBytes, learnMicroseconds, judgeMicroseconds } = row.cost;
    return `${who}: ${recordBytes} bytes, learn ${learnMicroseconds} µs, judge ${judgeMicroseconds} µs`;
  }
  const { traces = 0, of = 0, writesBefore, secondsBefore, throughMost } = row.noticed ?? {};
  const before =
    traces === 0
      ? ''
      : `, after ${middleAndMost(writesBefore)} writes and ${middleAndMost(secondsBefore)} s`;
  return `${who}: noticed on ${traces} of ${of} traces${before}; at most ${throughMost} came through`;
}

function middleAndMost([median, most]: readonly [number, number] = [0, 0]): string {
  return median === most ? String(most) : `${median} (at most ${most})`;
}
