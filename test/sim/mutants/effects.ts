/** Of what takes effect, when, and what is said of it. */
import type { Mutant } from './mutant.ts';

const EXECUTE = 'src/gate/execute.ts';

export const EFFECTS_MUTANTS: readonly Mutant[] = [
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
    caughtBy: ['G3', 'G4'],
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
        find: "      if (!isOfItsOwn(answer, guarantee)) return conclude(ports, present, answer, 'recovery');",
        replace: "      return conclude(ports, present, answer, 'recovery');",
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
    caughtBy: ['L1', 'G1', 'G3', 'G4'],
    edits: [
      {
        file: 'src/gate/intend.ts',
        find: '  const entry = intentEntry(proposal, assessment.planDigest, ports.clock, reference);',
        replace: '  const entry = intentEntry(proposal, assessment.planDigest, ports.clock);',
      },
    ],
  },
];
