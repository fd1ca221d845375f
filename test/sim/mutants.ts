/**
 * Ways to break the product that the simulation must notice. Each changes lines of the source as it is
 * loaded: a line that is not there exactly once, as it was, is an error, so that no mutant dies out unseen.
 */
import type { Invariant } from './invariants/violation.ts';

export interface Edit {
  /** From the root. */
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

export interface Mutant {
  readonly name: string;
  /** Any of which may notice it first. */
  readonly caughtBy: readonly Invariant[];
  readonly edits: readonly Edit[];
}

const EXECUTE = 'src/gate/execute.ts';
const GUARDS = 'src/store/state/guards.ts';

export const MUTANTS: readonly Mutant[] = [
  {
    name: 'the effect comes before the intent',
    caughtBy: ['G1'],
    edits: [
      {
        file: 'src/gate/hold.ts',
        find: '    const commit = await commitHeld(journey, steps, hold);',
        replace: '    await hold.keep(); const commit = await commitHeld(journey, steps, hold);',
      },
    ],
  },
  {
    name: 'an exception is taken for a refusal',
    caughtBy: ['G4'],
    edits: [
      {
        file: EXECUTE,
        find: '  }).catch(() => null);',
        replace: `  }).catch(() => ({
          kind: 'refused', code: 'target-unavailable', reason: 'a mutant', permanent: false, span: null, conflicts: [],
        }));`,
      },
    ],
  },
  {
    name: 'an exception of a held commit is taken for a refusal',
    caughtBy: ['G4'],
    edits: [
      {
        file: 'src/gate/hold.ts',
        find: '    return this.#held.commit().catch(() => null);',
        replace: `    return this.#held.commit().catch(() => ({
          kind: 'refused', code: 'target-unavailable', reason: 'a mutant', permanent: false, span: null, conflicts: [],
        }));`,
      },
    ],
  },
  {
    name: 'nobody is fenced: neither leases nor steps are looked at',
    caughtBy: ['G8', 'G5', 'G3', 'bug'],
    edits: [
      {
        file: GUARDS,
        find: '    (guard?.lease && findLostLease(tables.leases, tenant, guard.lease)) ??\n    findMovedStep(tables, change) ??',
        replace: '',
      },
    ],
  },
  {
    name: 'leases are not looked at',
    caughtBy: ['G8'],
    edits: [
      {
        file: GUARDS,
        find: '    (guard?.lease && findLostLease(tables.leases, tenant, guard.lease)) ??\n',
        replace: '',
      },
    ],
  },
  {
    name: 'a stale attempt settles',
    caughtBy: ['G8', 'bug'],
    edits: [
      {
        file: EXECUTE,
        find: '    if (isLost || current.step !== proposal.step) return current;',
        replace: '    proposal = { ...proposal, step: current.step };',
      },
    ],
  },
  {
    name: 'a second attempt takes a key of its own',
    caughtBy: ['G1', 'G3', 'G4'],
    edits: [
      {
        file: EXECUTE,
        find: '    key: proposal.id,',
        replace:
          '    key: (proposal.attempt > 1 ? `${proposal.id}.${proposal.attempt}` : proposal.id) as typeof proposal.id,',
      },
    ],
  },
  {
    name: 'what did not answer is tried again blindly',
    caughtBy: ['G3'],
    edits: [
      {
        file: EXECUTE,
        find: '(request) => ports.target.apply(request, signal));',
        replace:
          '(request) => ports.target.apply(request, signal).catch(() => ports.target.apply(request, signal)));',
      },
    ],
  },
  {
    name: '"absent" is trusted',
    caughtBy: ['G3', 'G4'],
    edits: [
      {
        file: 'src/gate/reconcile.ts',
        find: "    if (found.kind === 'absent' && found.fenced) {",
        replace: "    if (found.kind === 'absent') {",
      },
    ],
  },
  {
    name: 'what a second attempt was refused is taken for the first, too',
    caughtBy: ['G3', 'G4'],
    edits: [
      {
        file: 'src/gate/reconcile.ts',
        find: "      if (answer?.kind !== 'refused') return conclude(ports, present, answer, 'recovery');",
        replace: "      return conclude(ports, present, answer, 'recovery');",
      },
    ],
  },
  {
    name: 'a budget is released in doubt, and again at the end',
    caughtBy: ['G7'],
    edits: [
      {
        file: EXECUTE,
        find: '      // It may have taken effect: the reservation stays until that is known.\n      return {};',
        replace: '      return { release: proposal.id };',
      },
    ],
  },
  {
    name: 'what was applied gives its budget back',
    caughtBy: ['G7'],
    edits: [
      {
        file: EXECUTE,
        find: '      return { settle: proposal.id };',
        replace: '      return { release: proposal.id };',
      },
    ],
  },
  {
    name: 'budgets are not looked at in the transaction',
    caughtBy: ['G7'],
    edits: [
      { file: GUARDS, find: '    findExceededBudget(tables, change, now) ??\n', replace: '' },
    ],
  },
  {
    name: 'an approval of any plan counts',
    caughtBy: ['G2'],
    edits: [
      {
        file: 'src/gate/decide.ts',
        find: '(approval) => approval.planDigest === assessment.planDigest,',
        replace: '() => true,',
      },
    ],
  },
  {
    name: 'nobody asks which plan was on the screen',
    caughtBy: ['G9'],
    edits: [
      {
        file: 'src/gate/approve.ts',
        find: '  if (body.planDigest !== assessment.planDigest) {',
        replace:
          '  assessment = { ...assessment, planDigest: body.planDigest as typeof assessment.planDigest }; if (false) {',
      },
      {
        file: 'src/gate/approve.ts',
        find: '  const { proposer, decision, assessment, id } = proposal;',
        replace: '  let { proposer, decision, assessment, id } = proposal;',
      },
    ],
  },
  {
    name: 'the owner of an agent may approve',
    caughtBy: ['G9'],
    edits: [
      {
        file: 'src/gate/approve.ts',
        find: '  if (isProposer || proposer.owner === approver.name) {',
        replace: '  if (isProposer) {',
      },
    ],
  },
  {
    name: 'duplicates are looked for outside of the transaction alone',
    caughtBy: ['idempotency'],
    edits: [
      {
        file: GUARDS,
        find: "  return held && { kind: 'key', ...held };",
        replace: '  return undefined;',
      },
    ],
  },
  {
    name: 'stops are not looked at in the transaction of the intent',
    caughtBy: ['G2'],
    edits: [
      {
        file: GUARDS,
        find: '    (guard?.notFrozen && findFrozen(tables, tenant, guard.notFrozen)) ??\n',
        replace: '',
      },
    ],
  },
  {
    name: 'the policy is not looked at in the transaction',
    caughtBy: ['G2'],
    edits: [{ file: GUARDS, find: '    findMovedPolicy(tables, change) ??\n', replace: '' }],
  },
  {
    name: 'an approval counts after its time',
    caughtBy: ['G2'],
    edits: [
      {
        file: 'src/gate/expire.ts',
        find: "  return look.kind === 'over' ? expire(ports, proposal, look.decision) : proposal;",
        replace: '  return proposal;',
      },
    ],
  },
  {
    name: 'what waits never expires',
    caughtBy: ['L1'],
    edits: [
      {
        file: 'src/gate/expire.ts',
        find: "          if (look.kind === 'over') await expire(ports, proposal, look.decision);",
        replace: '',
      },
    ],
  },
  {
    name: 'time under a stop counts',
    caughtBy: ['L1'],
    edits: [
      {
        file: 'src/gate/expire.ts',
        find: '  if (now >= deadline) return',
        replace: '  if (now >= expiresAt) return',
      },
    ],
  },
  {
    name: 'drift is not compared',
    caughtBy: ['G2'],
    edits: [
      {
        file: EXECUTE,
        find: '    digest: (plan) => planDigest(target, operation, plan),',
        replace: '    digest: () => assessment.planDigest,',
      },
    ],
  },
  {
    name: 'what was taken back does not say so',
    caughtBy: ['G6'],
    edits: [
      {
        file: EXECUTE,
        find: "    const link = outcome.status === 'applied' ? await rollbackLink(ports.store, proposal) : [];",
        replace: '    const link: readonly ActChange[] = [];',
      },
    ],
  },
  {
    name: 'a second attempt is not decided on',
    caughtBy: ['G2'],
    edits: [
      {
        file: 'src/gate/intend.ts',
        find: "  if (decision?.kind !== 'allow') return undefined;",
        replace: '  if (decision === undefined) return undefined;',
      },
      {
        file: 'src/gate/intend.ts',
        find: 'guard: { logStep, notFrozen: subjectOf(proposal), ...(keys === null ? {} : { keys }) },',
        replace: 'guard: {},',
      },
    ],
  },
  {
    name: 'later segments have no intent of their own',
    caughtBy: ['G1'],
    edits: [
      {
        file: 'src/gate/progress.ts',
        find: '    await request.journal?.(reference);',
        replace: '',
      },
    ],
  },
  {
    name: 'a chain is not taken back',
    caughtBy: ['G3'],
    edits: [
      {
        file: 'src/gate/saga.ts',
        find: '      const stuck = await this.#takeBackOne(segment, applied, { request, wasTried, why }, signal);',
        replace: '      const stuck = null;',
      },
    ],
  },
  {
    name: 'an intent of the reference comes after the effect',
    caughtBy: ['L1', 'G3', 'G4'],
    edits: [
      {
        file: 'src/gate/intend.ts',
        find: '  const entry = intentEntry(proposal, assessment.planDigest, ports.clock, reference);',
        replace: '  const entry = intentEntry(proposal, assessment.planDigest, ports.clock);',
      },
    ],
  },
  {
    name: 'people may say how a write ended that is not in doubt',
    caughtBy: ['G4'],
    edits: [
      {
        file: 'src/gate/resolve.ts',
        find: "  if (state !== 'in_doubt') {",
        replace: "  if (state !== 'in_doubt' && state !== 'executing') {",
      },
    ],
  },
  {
    name: 'one voice releases a stop',
    caughtBy: ['stop'],
    edits: [
      {
        file: 'src/policy/load/release.ts',
        find: 'missing: Math.max(release.quorum - spoken, 0)',
        replace: 'missing: 0',
      },
    ],
  },
  {
    name: 'what is stale is not taken up',
    caughtBy: ['L1'],
    edits: [
      {
        file: 'src/model/lease.ts',
        find: "['executing', 'in_doubt', 'stale']",
        replace: "['executing', 'in_doubt']",
      },
    ],
  },
  {
    name: 'one approval is enough for any quorum',
    caughtBy: ['G2'],
    edits: [
      {
        file: 'src/policy/stages/route.ts',
        find: 'Array.from({ length: step.quorum }, () => step)',
        replace: 'Array.from({ length: 1 }, () => step)',
      },
    ],
  },
  {
    name: 'a new plan keeps the deadline of the one before',
    caughtBy: ['G5'],
    edits: [
      {
        file: 'src/model/proposal.ts',
        find: '        assessment: entry.assessment,\n        waitingSince: null,\n        expiresAt: null,',
        replace: '        assessment: entry.assessment,',
      },
    ],
  },
];
