import type { Freeze } from '../../model/freeze.ts';
import type { Person, Policy, ReleaseRule } from '../../model/policy.ts';

/** How far the release of a stop has come. */
export interface ReleaseState {
  readonly quorum: number;
  /** How many distinct voices count by the policy at hand. */
  readonly spoken: number;
  readonly missing: number;
}

/**
 * Counts the voices for the release of a freeze. Each person counts once, as long as the policy
 * names them as one who may release; who made the stop may be one of them. The file that made a
 * freeze counts as one voice: by itself it releases only where no quorum asks for more.
 */
export function releaseState(policy: Policy, { voices = [] }: Freeze): ReleaseState {
  const { release } = policy.stop;
  const counted = new Set(
    voices
      .filter(({ by, source }) => source === 'file' || mayRelease(release, policy.people.get(by)))
      .map(({ by, source }) => (source === 'file' ? 'file' : `person ${by}`)),
  );
  const spoken = counted.size;
  return { quorum: release.quorum, spoken, missing: Math.max(release.quorum - spoken, 0) };
}

/** Reports whether the policy lets this person speak for a release. */
export function mayRelease(
  { groups }: ReleaseRule,
  person: Pick<Person, 'roles' | 'groups'> | undefined,
): boolean {
  if (person?.roles.includes('operator') !== true) return false;
  return groups.length === 0 || groups.some((group) => person.groups.includes(group));
}
