/** Patterns held against each other, where no name is known yet: `*` stands for any run of characters. */
import { matchesPattern } from '../stages/match.ts';

/** Stands for every name that no pattern at hand spells out: of all patterns `*` alone matches it. */
export const ANY_OTHER = '';

/**
 * Reports whether a pattern matches every name that another one matches. A `*` of the inner one is
 * read as a character: no literal part of the outer one can be that.
 */
export function coversPattern(outer: string, inner: string): boolean {
  return matchesPattern(outer, inner);
}

/** Reports whether some name matches both patterns. */
export function mayOverlap(left: string, right: string): boolean {
  // Reached: for each place in `left`, whether what stands before it can be what stands before
  // the place in `right`; one row at a time, so that no pattern makes this slow.
  let reached = closed(
    left,
    Array.from({ length: left.length + 1 }, (_, place) => place === 0),
  );
  for (const character of right) {
    const isStar = character === '*';
    const next = reached.map((isReached, place) => {
      if (isStar) return reached.slice(0, place + 1).includes(true);
      if (isReached && left[place] === '*') return true;
      return place > 0 && reached[place - 1] === true && left[place - 1] === character;
    });
    reached = closed(left, next);
  }
  return reached.at(-1) === true;
}

/** A `*` may stand for nothing: who stands before one stands after it too. */
function closed(pattern: string, reached: readonly boolean[]): readonly boolean[] {
  const next = [...reached];
  for (let place = 0; place < pattern.length; place += 1) {
    if (next[place] === true && pattern[place] === '*') next[place + 1] = true;
  }
  return next;
}
