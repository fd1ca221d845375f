import { canonicalJson } from '../lib/canonical.ts';
import {
  DIFFERENCE_ROWS_MAX,
  effectJson,
  type Effect,
  type Image,
  type Plan,
  type PlanDifference,
  type ResourceCount,
} from './plan.ts';

type Moved = PlanDifference['rowsMoved'][number];
type MovedColumn = Moved['columns'][number];
type Count = PlanDifference['counts'][number];

/**
 * Compares the plan that was shown with what the target would do now: counts that changed, rows
 * gone, rows new, and rows in both whose images moved, with only the columns that did.
 */
export function difference(shown: Plan, now: Plan): PlanDifference {
  const before = byRow(shown.effects);
  const after = byRow(now.effects);
  const gone = shown.effects.filter((effect) => !after.has(rowName(effect)));
  const fresh = now.effects.filter((effect) => !before.has(rowName(effect)));
  const moved: Moved[] = [];
  for (const effect of now.effects) {
    const earlier = before.get(rowName(effect));
    if (earlier === undefined || sameEffect(earlier, effect)) continue;
    moved.push({
      resource: effect.resource,
      key: effect.key,
      columns: [
        ...movedColumns('before', earlier.before, effect.before),
        ...movedColumns('after', earlier.after, effect.after),
      ],
    });
  }
  const counts = differentCounts(shown.counts, now.counts);
  return {
    counts,
    rowsGone: gone.slice(0, DIFFERENCE_ROWS_MAX),
    rowsNew: fresh.slice(0, DIFFERENCE_ROWS_MAX),
    rowsMoved: moved.slice(0, DIFFERENCE_ROWS_MAX),
    rowsOmitted: beyond(gone) + beyond(fresh) + beyond(moved) + now.effectsOmitted,
    sentence: sentence(shown, now, {
      gone: gone.length,
      fresh: fresh.length,
      moved: moved.length,
      counts: counts.length,
    }),
  };
}

function beyond(found: readonly unknown[]): number {
  return Math.max(0, found.length - DIFFERENCE_ROWS_MAX);
}

/** A row without a key is named by its whole content: it cannot move, only go or come. */
function rowName(effect: Effect): string {
  const name = effect.key.length > 0 ? effect.key : effectJson(effect);
  return canonicalJson([effect.resource, effect.kind, name]);
}

function byRow(effects: readonly Effect[]): Map<string, Effect> {
  return new Map(effects.map((effect) => [rowName(effect), effect]));
}

function sameEffect(left: Effect, right: Effect): boolean {
  return canonicalJson(effectJson(left)) === canonicalJson(effectJson(right));
}

function movedColumns(
  image: 'before' | 'after',
  shown: Image | null,
  now: Image | null,
): MovedColumn[] {
  const columns = new Set([...Object.keys(shown ?? {}), ...Object.keys(now ?? {})]);
  return [...columns]
    .map((column) => ({
      column,
      image,
      shown: shown?.[column] ?? null,
      now: now?.[column] ?? null,
    }))
    .filter((column) => column.shown !== column.now);
}

function differentCounts(
  shown: readonly ResourceCount[],
  now: readonly ResourceCount[],
): readonly Count[] {
  const name = (count: ResourceCount): string => `${count.resource} ${count.attribution}`;
  const before = new Map(shown.map((count) => [name(count), count]));
  const after = new Map(now.map((count) => [name(count), count]));
  const different: Count[] = [];
  for (const key of new Set([...before.keys(), ...after.keys()])) {
    const either = after.get(key) ?? before.get(key);
    if (either === undefined) continue;
    const count = {
      resource: either.resource,
      attribution: either.attribution,
      shown: figures(before.get(key)),
      now: figures(after.get(key)),
    };
    if (canonicalJson(count.shown) !== canonicalJson(count.now)) different.push(count);
  }
  return different;
}

function figures(count: ResourceCount | undefined): {
  created: number;
  updated: number;
  deleted: number;
} {
  return {
    created: count?.created ?? 0,
    updated: count?.updated ?? 0,
    deleted: count?.deleted ?? 0,
  };
}

function sentence(
  shown: Plan,
  now: Plan,
  found: { gone: number; fresh: number; moved: number; counts: number },
): string {
  const parts: string[] = [];
  if (found.gone > 0) parts.push(`${rows(found.gone)} no longer touched`);
  if (found.fresh > 0) parts.push(`${rows(found.fresh)} newly touched`);
  if (found.moved > 0) parts.push(`${rows(found.moved)} with other values`);
  const turned = turnedChecks(shown, now);
  if (parts.length === 0 && turned.length > 0) parts.push(...turned);
  if (parts.length === 0 && found.counts > 0) parts.push('other counts in the same rows');
  if (parts.length === 0) parts.push('other values in rows that are not listed');
  return `shown: ${shown.headline}; now: ${now.headline} (${parts.join(', ')})`;
}

/** Checks of the policy whose answer is another now, or that were asked only once. */
function turnedChecks({ checks: shown = [] }: Plan, { checks: now = [] }: Plan): readonly string[] {
  return now.flatMap(({ name, holds }) => {
    if (shown.find((each) => each.name === name)?.holds === holds) return [];
    return [`check \`${name}\` ${holds ? 'holds now' : 'does not hold'}`];
  });
}

function rows(count: number): string {
  return `${count} row${count === 1 ? '' : 's'}`;
}
