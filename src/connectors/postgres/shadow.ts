/**
 * Previews on a replica or branch, so that the primary carries no load and no locks for them.
 *
 * H1 The commit measures on the primary and compares the digest, so a shadow that differs leads to drift
 *    and never to another effect than the one that was shown.
 * H2 The inverse of a write is planned on the primary: a branch does not have what is to be taken back.
 * H3 Where the shadow is down, the answer is a refusal, or a preview on the primary that says so.
 */
import type { Plan } from '../../model/plan.ts';
import type { PlanAnswer, PlanRequest } from '../../model/ports.ts';
import { Problem } from '../../model/problem.ts';
import { Refused } from '../connector.ts';
import { asRefusal } from './session/refusals.ts';
import type { Sessions } from './session/session.ts';
import type { ShadowSettings } from './settings.ts';

/** What a preview is made with: the connections of one server, and all that goes by them. */
export interface Place {
  readonly sessions: Pick<Sessions, 'read'>;
}

/** The two servers of a target that has a shadow. */
export interface Shadowed<At extends Place> {
  readonly primary: At;
  readonly shadow: At;
  readonly whenDown: ShadowSettings['whenDown'];
}

/**
 * Makes a preview where it belongs. `plan` throws what goes wrong, as it comes from the server. A plan
 * of the shadow says so in `measuredOn`, one of the primary in its stead in a warning.
 */
export async function planOn<At extends Place>(
  places: Shadowed<At>,
  request: Pick<PlanRequest, 'compensated'>,
  plan: (at: At) => Promise<PlanAnswer>,
): Promise<PlanAnswer> {
  if (request.compensated !== null) return plan(places.primary);
  try {
    return withPlan(await plan(places.shadow), (made) => ({ ...made, measuredOn: 'shadow' }));
  } catch (error) {
    if (error instanceof Refused) throw error;
    if (await isStandby(places.shadow)) throw readOnly();
    const { code } = asRefusal(error);
    if (code !== 'target-unavailable') throw error;
    if (places.whenDown === 'refuse') throw down();
    return withPlan(await plan(places.primary), (made) => ({
      ...made,
      warnings: [...made.warnings, IN_ITS_STEAD],
    }));
  }
}

/**
 * Throws `target-misconfigured` where the shadow is a read-only standby, as soon as the target is opened;
 * one that is down is found out about by the preview.
 */
export async function checkShadow(target: string, shadow: Place | null): Promise<void> {
  if (shadow === null || !(await isStandby(shadow))) return;
  throw new Problem('target-misconfigured', `target \`${target}\`: ${READ_ONLY}`, {
    at: '/shadow',
  });
}

const READ_ONLY =
  'its shadow is a read-only standby, and a preview writes and takes it back; set `shadow` to a ' +
  'branch or a promoted copy';
const IN_ITS_STEAD =
  'the shadow could not be reached, so the preview ran on the primary and held locks there';

function withPlan(answer: PlanAnswer, change: (plan: Plan) => Plan): PlanAnswer {
  return answer.kind === 'planned' ? { ...answer, plan: change(answer.plan) } : answer;
}

/** Only a standby that answers is known to be one. */
async function isStandby({ sessions }: Place): Promise<boolean> {
  try {
    const [row] = await sessions.read({ text: 'SELECT pg_is_in_recovery()' });
    return row?.[0] === true;
  } catch {
    return false;
  }
}

function readOnly(): Refused {
  return new Refused('target-refused', `the write cannot be previewed: ${READ_ONLY}`, {
    permanent: false,
  });
}

function down(): Refused {
  return new Refused(
    'target-unavailable',
    'the shadow on which previews run cannot be reached; nothing was changed, try again later',
    { permanent: false },
  );
}
