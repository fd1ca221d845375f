/** Values of a policy as the sentences of a comparison write them. */
import type { Match } from '../../model/policy.ts';
import type { RouteStep } from '../../model/decision.ts';
import { count, list } from '../stages/sentences.ts';

const UNITS = [
  [86_400_000, 'd'],
  [3_600_000, 'h'],
  [60_000, 'm'],
] as const;

/** `24h` for a day's milliseconds, `90s`: as the file would write it, in the largest unit that fits below two days. */
export function durationText(durationMs: number): string {
  for (const [unitMs, unit] of UNITS) {
    const whole = durationMs / unitMs;
    if (Number.isInteger(whole) && (whole >= 2 || unit !== 'd') && whole > 0)
      return `${whole}${unit}`;
  }
  return `${durationMs / 1000}s`;
}

/** `none` for what is not there. */
export function orNone(text: string | number | null | undefined): string {
  if (text === null || text === undefined) return 'none';
  return typeof text === 'number' ? count(text) : text;
}

/** `target crm, resource public.a or public.b`; `everything` for an empty match. */
export function matchText(match: Match): string {
  const keys = ['agent', 'environment', 'target', 'operation', 'resource', 'class'] as const;
  const parts = keys.flatMap((key) => {
    const values = match[key];
    return values === undefined ? [] : [`${key} ${values.join(' or ')}`];
  });
  return parts.length === 0 ? 'everything' : parts.join(', ');
}

/** `1 of finance, then 2 of anyone`. */
export function stepsText(steps: readonly RouteStep[]): string {
  return steps
    .map(
      ({ groups, quorum }) =>
        `${quorum} of ${groups.length === 0 ? 'anyone' : groups.join(' or ')}`,
    )
    .join(', then ');
}

/** `read, create and update` where a permission names no class. */
export function classesText(classes: Match['class']): string {
  return list([...(classes ?? ['read', 'create', 'update'])]);
}
