/** What of a simulation is shown to people. */
import type { Coverage } from './coverage.ts';

const SHOWN_EACH_MS = 250;
const WIDTH = 28;

/** Draws how far it is, where somebody looks. */
export function progress(total: number): (done: number) => void {
  if (!process.stderr.isTTY) return () => undefined;
  const startedAt = performance.now();
  let shownAt = 0;
  return (done) => {
    const now = performance.now();
    if (now - shownAt < SHOWN_EACH_MS && done < total) return;
    shownAt = now;
    const perSecond = (done * 1_000) / Math.max(now - startedAt, 1);
    const filled = Math.round((WIDTH * done) / total);
    const bar = '█'.repeat(filled).padEnd(WIDTH, '░');
    const left = Math.ceil((total - done) / Math.max(perSecond, 0.001));
    const text = `${bar} ${done} of ${total} seeds, ${perSecond.toFixed(0)} a second, ${left} s left`;
    process.stderr.write(`\r${text.padEnd(80)}${done < total ? '' : '\n'}`);
  };
}

/** One line for each kind: what was reached, and how often. */
export function summary(coverage: Coverage): readonly string[] {
  const kinds = Map.groupBy(coverage.counts, ([key]) => key.slice(0, key.indexOf(':')));
  return [...kinds]
    .toSorted(([left], [right]) => (left < right ? -1 : 1))
    .map(([kind, counts]) => {
      const shown = counts
        .toSorted(([, left], [, right]) => right - left)
        .map(([key, count]) => `${key.slice(kind.length + 1)} ${count}`);
      return `${kind}: ${shown.join(' · ')}`;
    });
}
