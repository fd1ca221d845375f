/**
 * What of two matches can be shown: that one holds wherever the other does, or that both never hold
 * for one write. Where it cannot be shown the answer is no.
 */
import { EFFECT_CLASSES, type EffectClass } from '../../model/plan.ts';
import type { Match } from '../../model/policy.ts';
import { isPattern, matchesPattern } from '../stages/match.ts';

/** Members of a match whose values are names. */
const NAMED = ['agent', 'environment', 'target', 'operation', 'resource'] as const;
/** Of every write known when a line is asked, so that `*` says no more than a key left out. */
const ALWAYS_THERE: readonly string[] = ['environment', 'target', 'operation'];

/** Reports whether `outer` surely holds wherever `inner` does. */
export function covers(outer: Match, inner: Match): boolean {
  return (
    NAMED.every((key) => coversNames(key, outer[key], inner[key])) && coversClasses(outer, inner)
  );
}

/** Reports whether both surely hold for the same writes. */
export function isSameMatch(left: Match, right: Match): boolean {
  return covers(left, right) && covers(right, left);
}

function coversNames(
  key: (typeof NAMED)[number],
  outer: readonly string[] | undefined,
  inner: readonly string[] | undefined,
): boolean {
  if (outer === undefined) return true;
  if (inner === undefined) return ALWAYS_THERE.includes(key) && outer.includes('*');
  return inner.every((name) => outer.some((pattern) => coversPattern(pattern, name)));
}

/** A `*` of `inner` can only fall to a `*` of `outer`: no name has one. */
function coversPattern(outer: string, inner: string): boolean {
  return outer === inner || (isPattern(outer) && matchesPattern(outer, inner));
}

function coversClasses(outer: Match, inner: Match): boolean {
  if (outer.class === undefined) return true;
  const classes: readonly EffectClass[] = inner.class ?? EFFECT_CLASSES;
  return classes.every((each) => outer.class?.includes(each));
}

/**
 * Reports whether no write can concern both lines. Resources do not count: one write may change
 * many, and a part is meant by the names of what it is a part of.
 */
export function areApart(left: Match, right: Match): boolean {
  const named = (['agent', 'environment', 'target', 'operation'] as const).some((key) => {
    const [ours, theirs] = [left[key], right[key]];
    if (ours === undefined || theirs === undefined) return false;
    return ours.every((one) => theirs.every((other) => areApartNames(one, other)));
  });
  if (named || left.class === undefined || right.class === undefined) return named;
  return left.class.every((each) => right.class?.includes(each) !== true);
}

function areApartNames(one: string, other: string): boolean {
  if (isPattern(one) && isPattern(other)) return false;
  return !(isPattern(one) ? matchesPattern(one, other) : matchesPattern(other, one));
}

/** How many single writes the lists of one match are taken apart into, at most. */
const PARTS_MAX = 1_000;

/**
 * Takes a match apart into matches with one value for each key, which together hold where it does;
 * one with too many of them stays whole. Several lines may cover together what none covers alone.
 */
export function partsOf(match: Match): readonly Match[] {
  const keys = [...NAMED, 'class'] as const;
  const size = keys.reduce((product, key) => product * (match[key]?.length ?? 1), 1);
  if (size > PARTS_MAX) return [match];
  let parts: readonly Match[] = [{}];
  for (const key of keys) {
    const values = match[key];
    if (values === undefined) continue;
    parts = parts.flatMap((part) => values.map((value) => withValue(part, key, value)));
  }
  return parts;
}

function withValue(match: Match, key: keyof Match, value: string): Match {
  return { ...match, [key]: [value] };
}
