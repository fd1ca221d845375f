/** Recorded-like traces of agents, made from a seed, and what goes wrong at the end of them. */

/** One proposal of a trace. */
export interface TraceWrite {
  readonly at: number;
  /** Names the arguments: the same text is the same arguments. */
  readonly key: string;
  readonly records: number;
  readonly valueMinor: number;
  readonly resource: string;
  /** Whether policy or the target turns it down, whatever is usual. */
  readonly comesToNothing: boolean;
}

export interface Trace {
  readonly name: string;
  readonly writes: readonly TraceWrite[];
  /** The day on which something goes wrong, and an hour at which this agent is at work. */
  readonly end: number;
  readonly busyHour: number;
  /** An hour at which it never is; null where it always is. */
  readonly quietHour: number | null;
}

export interface Anomaly {
  readonly name: string;
  /** Undefined where it makes no sense on the trace. */
  readonly of: (trace: Trace, chance: Chance) => readonly TraceWrite[] | undefined;
}

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
/** A Monday. */
const START = Date.UTC(2026, 8, 7);
const TABLES = ['public.orders', 'public.customers', 'public.notes', 'public.stock'];

/** Numbers that are the same for a seed on every machine (mulberry32). */
export class Chance {
  #state: number;

  constructor(seed: number) {
    this.#state = seed;
  }

  /** From 0 to below 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let bits = this.#state;
    bits = Math.imul(bits ^ (bits >>> 15), bits | 1);
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61);
    return ((bits ^ (bits >>> 14)) >>> 0) / 4_294_967_296;
  }

  between(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1));
  }

  /** Long-tailed around its middle; `spread` is the standard deviation of the logarithm. */
  around(middle: number, spread: number): number {
    const normal = Math.sqrt(-2 * Math.log(1 - this.next())) * Math.cos(2 * Math.PI * this.next());
    return Math.max(1, Math.round(middle * Math.exp(spread * normal)));
  }

  wait(meanMs: number): number {
    return Math.ceil(-Math.log(1 - this.next()) * meanMs);
  }
}

/** How large an agent's writes are. */
interface Sizes {
  readonly records: number;
  readonly spread: number;
  readonly tables: number;
  /** How many of a hundred come to nothing. */
  readonly nothings: number;
}

const SMALL: Sizes = { records: 2, spread: 0.8, tables: 3, nothings: 2 };

function written(chance: Chance, at: number, sizes: Sizes): TraceWrite {
  // The first table takes most, the last few.
  const table = Math.floor(chance.next() ** 2 * sizes.tables);
  return {
    at,
    key: `${at}/${chance.next()}`,
    records: chance.around(sizes.records, sizes.spread),
    valueMinor: chance.around(2_000, sizes.spread),
    resource: TABLES[table] ?? '',
    comesToNothing: chance.between(1, 100) <= sizes.nothings,
  };
}

function spaced(chance: Chance, from: number, until: number, meanMs: number): readonly number[] {
  const times: number[] = [];
  for (let at = from + chance.wait(meanMs); at < until; at += chance.wait(meanMs)) times.push(at);
  return times;
}

const days = (count: number): readonly number[] =>
  Array.from({ length: count }, (_, day) => START + day * DAY);
const isWeekday = (day: number): boolean => ((day - START) / DAY) % 7 < 5;

function steady(chance: Chance): Trace {
  const end = START + 28 * DAY;
  const writes = spaced(chance, START, end, 3 * MINUTE).map((at) => written(chance, at, SMALL));
  return { name: 'steady', writes, end, busyHour: 10, quietHour: null };
}

/** Sittings of some minutes, in office hours, from Monday to Friday. */
function office(chance: Chance): Trace {
  const writes = days(42)
    .filter(isWeekday)
    .flatMap((day) => spaced(chance, day + 8 * HOUR, day + 18 * HOUR, 12 * MINUTE))
    .flatMap((sitting) => {
      const until = sitting + chance.between(1, 8) * MINUTE;
      return spaced(chance, sitting, until, 25_000).map((at) => written(chance, at, SMALL));
    })
    .toSorted((left, right) => left.at - right.at);
  return { name: 'office hours', writes, end: START + 42 * DAY, busyHour: 10, quietHour: 3 };
}

/** Some hundred large writes within minutes, each night. */
function nightly(chance: Chance): Trace {
  const sizes = { records: 120, spread: 0.5, tables: 2, nothings: 0 };
  const writes = days(42).flatMap((day) => {
    const from = day + HOUR + chance.between(0, 5) * MINUTE;
    const times = spaced(chance, from, from + chance.between(8, 12) * MINUTE, 1_500);
    return times.map((at) => written(chance, at, sizes));
  });
  return { name: 'nightly batch', writes, end: START + 42 * DAY, busyHour: 1, quietHour: 13 };
}

/** Ten times as much after eight weeks as at first. */
function growing(chance: Chance): Trace {
  const writes = days(56).flatMap((day) => {
    const perDay = 40 * 10 ** ((day - START) / DAY / 56);
    const times = spaced(chance, day + 6 * HOUR, day + 20 * HOUR, (14 * HOUR) / perDay);
    return times.map((at) => written(chance, at, SMALL));
  });
  return { name: 'growing', writes, end: START + 56 * DAY, busyHour: 10, quietHour: 3 };
}

/** Follows its customers: more by day than by night, and now and then something large. */
function customers(chance: Chance): Trace {
  const sizes = { records: 3, spread: 1.2, tables: 4, nothings: 8 };
  const end = START + 28 * DAY;
  const writes = spaced(chance, START, end, 90_000)
    .filter((at) => chance.next() < 0.55 - 0.45 * Math.cos((2 * Math.PI * (at % DAY)) / DAY))
    .map((at) => written(chance, at, sizes));
  return { name: 'customers', writes, end, busyHour: 13, quietHour: null };
}

/** One agent that does both: sittings by day and a batch by night. */
function mixed(chance: Chance): Trace {
  const writes = [...office(chance).writes, ...nightly(chance).writes];
  const sorted = writes.toSorted((left, right) => left.at - right.at);
  return {
    name: 'office and batch',
    writes: sorted,
    end: START + 42 * DAY,
    busyHour: 10,
    quietHour: 22,
  };
}

export const TRACES: readonly ((chance: Chance) => Trace)[] = [
  steady,
  office,
  nightly,
  growing,
  customers,
  mixed,
];

// ---- what goes wrong

/** So many writes of the agent's own kind, so far apart, from the hour of its last day on. */
function usualWrites(
  trace: Trace,
  chance: Chance,
  shape: { readonly hour: number; readonly count: number; readonly everyMs: number },
): readonly TraceWrite[] {
  const from = trace.end + shape.hour * HOUR + 7 * MINUTE;
  return Array.from({ length: shape.count }, (_, each) => {
    const like = trace.writes[chance.between(0, trace.writes.length - 1)];
    if (like === undefined) throw new Error('a trace has writes');
    const at = from + Math.floor(each * shape.everyMs);
    return Object.assign({}, like, { at, key: `${at}/${each}`, comesToNothing: false });
  });
}

function one(trace: Trace, chance: Chance, change: Partial<TraceWrite>): readonly TraceWrite[] {
  const shape = { hour: trace.busyHour, count: 1, everyMs: 0 };
  return usualWrites(trace, chance, shape).map((write) => Object.assign({}, write, change));
}

function median(values: readonly number[]): number {
  return values.toSorted((left, right) => left - right)[Math.floor(values.length / 2)] ?? 0;
}

/** AG-302's: 340,000 in 45 minutes, of which the first four minutes are gone through. */
const LOOP = { count: 30_000, everyMs: (45 * MINUTE) / 340_000 } as const;

export const ANOMALIES: readonly Anomaly[] = [
  {
    name: 'journal loop, the first 30,000 of 340,000 in 45 minutes',
    of: (trace, chance) => usualWrites(trace, chance, { hour: trace.busyHour, ...LOOP }),
  },
  {
    name: 'slow loop, one in 15 seconds for a day',
    of: (trace, chance) =>
      usualWrites(trace, chance, { hour: trace.busyHour, count: 5_760, everyMs: 15_000 }),
  },
  {
    name: 'mass update, 47,000 records',
    of: (trace, chance) => one(trace, chance, { records: 47_000 }),
  },
  {
    name: 'value × 100',
    of: (trace, chance) =>
      one(trace, chance, { valueMinor: 100 * median(trace.writes.map((each) => each.valueMinor)) }),
  },
  {
    name: 'value × 10',
    of: (trace, chance) =>
      one(trace, chance, { valueMinor: 10 * median(trace.writes.map((each) => each.valueMinor)) }),
  },
  { name: 'new table', of: (trace, chance) => one(trace, chance, { resource: 'hr.payroll' }) },
  {
    name: 'retry storm, nine of ten come to nothing',
    of: (trace, chance) =>
      usualWrites(trace, chance, { hour: trace.busyHour, count: 200, everyMs: 20_000 }).map(
        (write, each) => Object.assign({}, write, { comesToNothing: each % 10 !== 9 }),
      ),
  },
  {
    name: 'the same arguments each minute',
    of: (trace, chance) =>
      usualWrites(trace, chance, { hour: trace.busyHour, count: 60, everyMs: MINUTE }).map(
        (write) => Object.assign({}, write, { key: 'again' }),
      ),
  },
  {
    name: 'batch of 400 at a new hour',
    of: (trace, chance) =>
      trace.quietHour === null
        ? undefined
        : usualWrites(trace, chance, { hour: trace.quietHour, count: 400, everyMs: 3_000 }),
  },
  {
    name: 'ramp, records × 1.25 a day for 30 days',
    of: (trace, chance) => ramp(trace, chance, 1.25),
  },
  {
    name: 'ramp, records × 1.08 a day for 30 days',
    of: (trace, chance) => ramp(trace, chance, 1.08),
  },
];

/** The agent's own last two weeks again and again, each day larger than the one before. */
function ramp(trace: Trace, chance: Chance, perDay: number): readonly TraceWrite[] {
  const last = trace.writes.filter(({ at }) => at >= trace.end - 14 * DAY);
  return Array.from({ length: 30 }, (_, day) => day).flatMap((day) => {
    const from = trace.end - 14 * DAY + (day % 14) * DAY;
    const grown = perDay ** (day + 1);
    return last
      .filter(({ at }) => at >= from && at < from + DAY)
      .map((write) => ({
        at: write.at - from + trace.end + day * DAY,
        key: `${day}/${chance.next()}`,
        records: Math.round(write.records * grown),
        valueMinor: write.valueMinor,
        resource: write.resource,
        comesToNothing: false,
      }));
  });
}
