/**
 * Counts of whole numbers by size, in a bounded record: exact below 8, four bins for each doubling
 * above. Whole numbers and exact steps alone, so that every machine counts the same.
 */
export interface Histogram {
  /** Bins in rising order, each with how often it was met: `[bin, count]`. */
  readonly bins: readonly (readonly [number, number])[];
  readonly total: number;
}

export interface HistogramBounds {
  /** At this many, every count is halved: what is old weighs less and less. */
  readonly totalMax: number;
  /** Beyond it the two neighbours met least become one, counted as the smaller. */
  readonly binsMax: number;
}

export const EMPTY_HISTOGRAM: Histogram = { bins: [], total: 0 };

/** Below this, each number has a bin of its own. */
const EXACT_BELOW = 8;
const BINS_PER_DOUBLING = 4;

/** The bin of a whole number; one that is larger than can be exact counts as the largest that is. */
export function binOf(value: number): number {
  const whole = Math.min(Math.max(Math.floor(value), 0), Number.MAX_SAFE_INTEGER);
  if (!(whole >= EXACT_BELOW)) return whole > 0 ? whole : 0;
  let doublings = 0;
  let leading = whole;
  while (leading >= 2 * BINS_PER_DOUBLING) {
    leading = Math.floor(leading / 2);
    doublings += 1;
  }
  return EXACT_BELOW + (doublings - 1) * BINS_PER_DOUBLING + leading - BINS_PER_DOUBLING;
}

/** The smallest number that a bin counts. */
export function smallestOf(bin: number): number {
  if (bin < EXACT_BELOW) return bin;
  const doublings = Math.floor((bin - EXACT_BELOW) / BINS_PER_DOUBLING) + 1;
  const leading = BINS_PER_DOUBLING + ((bin - EXACT_BELOW) % BINS_PER_DOUBLING);
  return leading * 2 ** doublings;
}

/** The largest number that a bin counts. */
export function largestOf(bin: number): number {
  return Math.min(smallestOf(bin + 1) - 1, Number.MAX_SAFE_INTEGER);
}

/** Counts one more. */
export function counted(
  histogram: Histogram,
  value: number,
  { totalMax, binsMax }: HistogramBounds,
): Histogram {
  const bin = binOf(value);
  const at = histogram.bins.findIndex(([each]) => each >= bin);
  const place = at < 0 ? histogram.bins.length : at;
  const found = histogram.bins[place];
  const isHere = found !== undefined && found[0] === bin;
  const bins = histogram.bins.toSpliced(place, isHere ? 1 : 0, [bin, isHere ? found[1] + 1 : 1]);
  const fewer = bins.length > binsMax ? joined(bins) : bins;
  const total = histogram.total + 1;
  return total < totalMax ? { bins: fewer, total } : halved(fewer);
}

/** Joins the two neighbours that were met least into the smaller of them: never upwards. */
function joined(bins: Histogram['bins']): Histogram['bins'] {
  let least = 0;
  const together = (place: number) => (bins[place]?.[1] ?? 0) + (bins[place + 1]?.[1] ?? 0);
  for (let place = 1; place + 1 < bins.length; place += 1) {
    if (together(place) < together(least)) least = place;
  }
  return bins.toSpliced(least, 2, [bins[least]?.[0] ?? 0, together(least)]);
}

/** What was met once only is forgotten. */
function halved(bins: Histogram['bins']): Histogram {
  const kept = bins
    .map(([bin, count]): readonly [number, number] => [bin, Math.floor(count / 2)])
    .filter(([, count]) => count > 0);
  return { bins: kept, total: kept.reduce((sum, [, count]) => sum + count, 0) };
}

/** The bin of the `rank`-th smallest, counted from 1; 0 of an empty one. */
export function binOfRank({ bins }: Histogram, rank: number): number {
  let passed = 0;
  for (const [bin, count] of bins) {
    passed += count;
    if (passed >= rank) return bin;
  }
  return bins.at(-1)?.[0] ?? 0;
}
