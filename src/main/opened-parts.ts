/** What a gateway opened once, at its start, told apart part by part without saying what it is. */
import { digestJson } from '../lib/canonical.ts';
import type { Json } from '../lib/json.ts';
import type { Configuration } from '../model/policy.ts';
import { withoutSecrets } from '../policy/parse.ts';
import type { OpenedParts } from '../store/shared.ts';

/** Enough of a digest to tell a few settings apart. */
const DIGITS = 12;

/** `environment` and each `targets.NAME`, without secrets: what may not differ between gateways for long. */
export function openedParts({ environment, targets }: Configuration): OpenedParts {
  const parts = targets.map(({ name, kind, settings }): readonly [string, string] => [
    `targets.${name}`,
    short([kind, withoutSecrets(settings, 1)]),
  ]);
  return { environment: short(environment), ...Object.fromEntries(parts) };
}

/** The parts in which two gateways differ; none where one has not said yet what it opened. */
export function differingParts(one: OpenedParts, other: OpenedParts): readonly string[] {
  const isKnown = [one, other].every((each) => Object.keys(each).length > 0);
  if (!isKnown) return [];
  const names = new Set([...Object.keys(one), ...Object.keys(other)]);
  return [...names].filter((name) => one[name] !== other[name]).toSorted();
}

function short(value: Json): string {
  return digestJson(value).slice(-DIGITS);
}
