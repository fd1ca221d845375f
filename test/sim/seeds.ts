/** The seeds that ever found something: they are played before all others. */
import { readFileSync } from 'node:fs';

/** One for each line of `seeds.txt`, without what is said of it behind `#`. */
export function knownSeeds(): readonly number[] {
  const text = readFileSync(new URL('seeds.txt', import.meta.url), 'utf8');
  return text
    .split('\n')
    .map((line) => line.replace(/#.*/, '').trim())
    .filter((line) => line !== '')
    .map(Number);
}
