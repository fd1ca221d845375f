/** What so many seeds must have met: what never comes up is not tried. */
import type { Coverage } from './coverage.ts';

/** Of fewer seeds nothing is asked. */
const SEEDS_MIN = 10_000;

const MUST_REACH: Readonly<Record<string, readonly string[]>> = {};

/** What was never reached, as `kind:name`. */
export function unreached(seeds: number, { counts }: Coverage): readonly string[] {
  if (seeds < SEEDS_MIN) return [];
  return Object.entries(MUST_REACH)
    .flatMap(([kind, names]) => names.map((name) => `${kind}:${name}`))
    .filter((key) => !counts.has(key));
}
