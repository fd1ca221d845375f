/** What is usual for one measure: how often each size was met, and how fast that may rise. */
import {
  binOfRank,
  counted,
  EMPTY_HISTOGRAM,
  largestOf,
  smallestOf,
  type Histogram,
  type HistogramBounds,
} from '../lib/histogram.ts';

export interface Measure {
  readonly seen: Histogram;
  /**
   * The bin above which nothing is usual yet, however often it was met, and when it moved last; null
   * in the first week. It follows what was met by one bin, at most, in `CEILING_STEP_MS`.
   */
  readonly ceiling: { readonly bin: number; readonly movedAt: number } | null;
}

export const NO_MEASURE: Measure = { seen: EMPTY_HISTOGRAM, ceiling: null };

/** From its first write on, so long does an agent set what is usual without being held back. */
const CEILING_AFTER_MS = 7 * 86_400_000;
/** Four bins double a number: what is usual doubles in a week at the fastest. */
const CEILING_STEP_MS = CEILING_AFTER_MS / 4;

/** The usual range leaves out one in fifty at each end, and the largest of all. */
const LEFT_OUT = 50;

/** Counts one more of the measure at `at`, of an agent that wrote first at `since`. */
export function met(
  { seen, ceiling }: Measure,
  value: number,
  when: { readonly at: number; readonly since: number },
  bounds: HistogramBounds,
): Measure {
  const { at, since } = when;
  const grown = counted(seen, value, bounds);
  if (at - since < CEILING_AFTER_MS) return { seen: grown, ceiling };
  const bin = usualBin(grown);
  if (ceiling === null) return { seen: grown, ceiling: { bin, movedAt: at } };
  if (at - ceiling.movedAt < CEILING_STEP_MS) return { seen: grown, ceiling };
  // One step, however long it was quiet: patience earns no leap.
  const next = ceiling.bin + Math.sign(bin - ceiling.bin);
  return { seen: grown, ceiling: { bin: next, movedAt: at } };
}

/** The usual range of a measure that was met at least once. */
export function usualOf({ seen, ceiling }: Measure): {
  readonly low: number;
  readonly high: number;
} {
  const lowBin = binOfRank(seen, Math.floor(seen.total / LEFT_OUT) + 1);
  const bin = Math.min(usualBin(seen), ceiling?.bin ?? Infinity);
  return { low: smallestOf(Math.min(lowBin, bin)), high: largestOf(bin) };
}

/** Of few, all but the largest: no single write makes itself usual. */
function usualBin(seen: Histogram): number {
  const rank = Math.min(Math.ceil(seen.total * (1 - 1 / LEFT_OUT)), seen.total - 1);
  return binOfRank(seen, Math.max(rank, 1));
}
