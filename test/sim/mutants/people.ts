/** Of what people say, when it counts, and what is taken back. */
import type { Mutant } from './mutant.ts';

const EXECUTE = 'src/gate/execute.ts';

export const PEOPLE_MUTANTS: readonly Mutant[] = [
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
    name: 'an approval counts after its time',
    caughtBy: ['G2'],
    edits: [
      {
        file: 'src/gate/expire.ts',
        find: "    if (look.kind !== 'over') return proposal;",
        replace: '    return proposal;',
      },
    ],
  },
  {
    name: 'what waits never expires',
    caughtBy: ['L1'],
    edits: [
      {
        file: 'src/gate/expire.ts',
        find: "if (look.kind === 'over' && (await expire(ports, proposal, look)) === undefined) {",
        replace: 'if (false) {',
      },
    ],
  },
  {
    name: 'time under a stop counts',
    caughtBy: ['L1'],
    edits: [
      {
        file: 'src/gate/expire.ts',
        find: '  if (now >= deadline) {',
        replace: '  if (now >= expiresAt) {',
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
    caughtBy: ['L1', 'G5'],
    edits: [
      {
        file: 'src/model/proposal.ts',
        find: '        assessment: entry.assessment,\n        waitingSince: null,\n        expiresAt: null,',
        replace: '        assessment: entry.assessment,',
      },
    ],
  },
  {
    name: "a person's no is not heard",
    caughtBy: ['G2'],
    edits: [
      {
        file: 'src/gate/decide.ts',
        find: "  const no = onThisPlan.find((approval) => approval.verdict === 'deny');",
        replace: '  const no = onThisPlan.find(() => false);',
      },
    ],
  },
  {
    name: 'an agent approves as a person does',
    caughtBy: ['G9'],
    edits: [
      {
        file: 'src/gate/approve.ts',
        find: "  withRole(approver, 'approver');",
        replace: '',
      },
    ],
  },
  {
    name: 'what was taken back after a doubt does not say so',
    caughtBy: ['G6'],
    edits: [
      {
        file: 'src/gate/execute.ts',
        find: "    const link = outcome.status === 'applied' ? await rollbackLink(ports.store, proposal) : [];",
        replace:
          "    const link = outcome.status === 'applied' && outcome.resolved === 'live' ? await rollbackLink(ports.store, proposal) : [];",
      },
    ],
  },
  {
    name: 'what did not take effect can be taken back',
    caughtBy: ['G6', 'bug'],
    edits: [
      {
        file: 'src/gate/rollback.ts',
        find: "  if (proposal.state !== 'applied' || proposal.assessment === null) {",
        replace: '  if (proposal.assessment === null) {',
      },
    ],
  },
  {
    name: 'what waits expires while a stop is on',
    caughtBy: ['L1'],
    edits: [
      {
        file: 'src/gate/expire.ts',
        find: '  const freezes = await store.freezes(proposal.tenant, waitingSince);',
        replace: '  const freezes: readonly Freeze[] = [];',
      },
    ],
  },
];
