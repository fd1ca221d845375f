import { planDigest } from '../../../src/model/plan.ts';
import type { Act } from './act.ts';

/** What a key of a write says: whose it is, of which segment, there or back. */
export function wayOf(key: string): {
  readonly id: string;
  readonly segment: number | null;
  readonly way: 'there' | 'back';
} {
  const [id = '', segment, back] = key.split('.');
  return {
    id,
    segment: segment === undefined ? null : Number(segment),
    way: back === 'back' ? 'back' : 'there',
  };
}

/** What was decided on for a segment, or for the whole where there are none. */
export function segmentTarget(
  { plan, draft, digest }: Act,
  segment: number | null,
): { readonly target: string; readonly digest: string | null } | undefined {
  if (segment === null) return { target: draft.steps?.[0]?.target ?? draft.target, digest };
  const part = plan?.segments?.[segment - 1];
  if (part === undefined) return undefined;
  const { target, operation } = part;
  return { target, digest: planDigest(target, operation, part.plan) };
}
