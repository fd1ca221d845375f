/**
 * What so many seeds must have met: what never comes up is not tried. In each two thousand seeds that
 * were looked at each of it came up eight times or more.
 *
 * Not in it, because seeds come to it too seldom to be asked for:
 *
 * - crashes at a look that is put off (`putOff`): it takes a stop over what waits past its time;
 * - a stale proposal that is cancelled or denied: it is stale for as long as one call takes;
 * - doubt that another look leaves in doubt (`in_doubt → in_doubt`, `chain-stopped`): it takes a stop
 *   over half a chain;
 * - `too-many-requests`, which takes four policies within one decision; `release-spoken`;
 * - `target-refused`: a late write that meets its own fence;
 * - the budget of records, which is wider than most seeds are long.
 *
 * Not in it, because nothing in here can come to it:
 *
 * - reads, and images that are kept beside the plan: they change nothing, and stand in no entry;
 *   `src/gate/read.test.ts` and `src/gate/rows.test.ts` try them;
 * - what is unusual for an agent, and its paces: it takes ten applied writes of one operation to learn
 *   what is usual, and a seed is shorter; `src/gate/anomaly.test.ts` tries them;
 * - connections, credentials and files: there are none in here; `npm run crash` tries them.
 */
import { STATES } from '../../src/model/lifecycle.ts';
import type { Coverage } from './coverage.ts';
import { VARIANTS } from './policies.ts';
import { STEPS } from './steps.ts';

/** Of fewer seeds nothing is asked. */
export const SEEDS_MIN = 2_000;

const FATES: readonly string[] = ['done', 'answered', 'request-lost', 'reply-lost', 'late', 'slow'];

/** Where late would be the same as lost it does not come up. */
const NEVER_LATE: readonly string[] = ['plan', 'begin', 'drop'];
const MESSAGES: readonly string[] = STEPS.filter((step) => step.startsWith('target ')).flatMap(
  (step) =>
    FATES.filter((fate) => fate !== 'late' || !NEVER_LATE.some((verb) => step.endsWith(verb))).map(
      (fate) => `${step} ${fate}`,
    ),
);

/** A question whose answer nobody hears is one that never arrived; of these two nobody waits for more. */
const UNCHANGING: readonly string[] = ['store read', 'notifier', 'signer'];
const PORT_FATES: readonly string[] = [
  ...['store commit', 'store lease', 'target'].flatMap((port) =>
    FATES.map((fate) => `${port} ${fate}`),
  ),
  ...UNCHANGING.flatMap((port) =>
    ['done', 'request-lost', 'slow'].map((fate) => `${port} ${fate}`),
  ),
  'store read answered',
  'store commit together',
];

const CRASHED: readonly string[] = STEPS.filter((step) => step !== 'store putOff');

function listed(names: string): readonly string[] {
  return names.split(',').map((name) => name.trim());
}

const MUST_REACH: Readonly<Record<string, readonly string[]>> = {
  state: STATES,
  move: listed(`
    proposed → assessed, proposed → denied, proposed → refused,
    assessed → allowed, assessed → denied, assessed → waiting,
    waiting → allowed, waiting → cancelled, waiting → denied, waiting → expired, waiting → waiting,
    allowed → executing,
    executing → applied, executing → executing, executing → in_doubt, executing → refused,
    executing → stale, stale → assessed, stale → refused,
    in_doubt → applied, in_doubt → executing, in_doubt → refused`),
  entry: listed(`
    genesis, policy, proposal, preview, decision, approval, intent, outcome, rollback, freeze,
    release`),
  intent: listed('first, again, reference'),
  outcome: listed(`
    applied applied, stale plan-drifted, in_doubt in-doubt, in_doubt chain-halted,
    refused chain-compensated, refused constraint-violated, refused interrupted,
    refused plan-drifted, refused resolved-refused, refused rollback-conflict, refused target-busy,
    refused target-unavailable`),
  decision: listed(`
    allowed, approval-required, approved, budget-exceeded, cancelled, denied-by-person,
    duplicate-write, effect-incomplete, expired, frozen, limit-exceeded, never, not-permitted,
    nothing-permits, observed, read-only, risk-critical, rule-errored, rule-forbids, rule-requires,
    threshold-exceeded, unknown-agent, unknown-operation, unknown-target, validation-failed,
    value-unmeasured`),
  rule: listed(`
    agents.bot.permissions, agents.clerk.permissions, agents.temp, agents.temp.permissions,
    approval.person, approval.route, budgets.money, budgets.pace, configuration.agent,
    configuration.operation, configuration.target, connector.not-permitted, duplicates.window,
    effect.warnings, freeze.agent, freeze.all, freeze.run, freeze.target, freeze.tenant,
    limits.paid, limits.records, never.delete, people, risk.critical, rules, rules.all,
    rules.blind-7, rules.look-8, rules.no-7, thresholds.records, validations.not-6`),
  approval: listed('approve, deny'),
  stop: listed('all, tenant, agent, target, run, file'),
  release: listed('voice, last voice'),
  policy: [...VARIANTS.map(({ name }) => name), 'that is weaker', 'that is not weaker'],
  lease: [
    ...listed('taken, kept, renewed, let go, ended by a start, too late to commit'),
    ...listed('taken over from the dead, taken over from the living'),
    'kept, run out',
    'renewed, run out',
  ],
  fate: PORT_FATES,
  message: MESSAGES,
  arrival: [
    ...listed('target ask, target fence, target write, target keep'),
    ...listed('store claim, store endLeases, store release'),
    ...['decision', 'intent', 'outcome', 'policy', 'freeze'].map((last) => `store commit ${last}`),
    ...listed('end of what a crash left, end of what was given up'),
  ],
  crash: CRASHED.flatMap((step) => [`before ${step}`, `after ${step}`]),
  step: listed('time, drift, clock back, clock forward, checkpoint'),
  result: listed(`
    applied, waiting, denied, refused, stale, in_doubt, executing, cancelled, previewed`),
  problem: listed(`
    approver-decided, approver-is-proposer, credential-kind, digest-mismatch, draft-invalid,
    idempotency-key-reused, not-compensable, role-missing, state-conflict, store-unusable`),
};

/** All of it, as `kind:name`. */
export const MUST_REACH_KEYS: readonly string[] = Object.entries(MUST_REACH).flatMap(
  ([kind, names]) => names.map((name) => `${kind}:${name}`),
);

/** What was never reached. */
export function unreached(seeds: number, { counts }: Coverage): readonly string[] {
  return seeds < SEEDS_MIN ? [] : MUST_REACH_KEYS.filter((key) => !counts.has(key));
}
