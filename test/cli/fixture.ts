/** Views, results and a terminal for the tests of the command line; every option set matters to a test. */
import type { ProposalView } from '../../src/model/api.ts';
import type { Effect, Plan } from '../../src/model/plan.ts';
import type { Io } from '../../src/cli/io.ts';

export const ID = 'prop_01jd0000000000000000000000';
export const DIGEST = `sha256:${'9f2c41d07b3e'.padEnd(64, 'a')}` as const;
const AT = Date.UTC(2026, 10, 20, 14, 0, 0);

/** An `UPDATE` of so many customers' addresses. */
export function updates(count: number): readonly Effect[] {
  return Array.from({ length: count }, (_, row) => ({
    resource: 'public.customers',
    kind: 'update' as const,
    key: [String(row + 1)],
    before: { id: String(row + 1), email: `old${row + 1}@example.org`, status: 'late' },
    after: { id: String(row + 1), email: `new${row + 1}@example.org`, status: 'late' },
  }));
}

export function plan(changes: Partial<Plan> = {}): Plan {
  const effects = changes.effects ?? updates(1);
  return {
    headline: '1 update in public.customers; reversible: proved',
    class: 'update',
    resource: 'public.customers',
    counts: [
      {
        resource: 'public.customers',
        attribution: 'direct',
        via: null,
        created: 0,
        updated: effects.length,
        deleted: 0,
      },
    ],
    effects,
    partOf: {},
    effectsOmitted: 0,
    evidence: null,
    columns: [],
    effectsDigest: DIGEST,
    maskedColumns: [],
    value: [],
    valueComplete: true,
    recipients: 0,
    bytes: 100,
    reversibility: { kind: 'proved', reason: 'the inverse was applied and taken back' },
    resourceSize: 47_000,
    dependents: [],
    warnings: [],
    ...changes,
  };
}

/** A proposal that waits because it is over a threshold. */
export function waitingView(
  changes: Partial<ProposalView> & { readonly plan?: Plan } = {},
): ProposalView {
  const { plan: measured = plan(), ...rest } = changes;
  return {
    id: ID,
    state: 'waiting',
    agent: 'crm-bot',
    target: 'crm',
    operation: 'sql',
    steps: 1,
    headline: measured.headline,
    planDigest: DIGEST,
    riskLevel: 'medium',
    code: 'threshold-exceeded',
    proposedAt: AT,
    expiresAt: AT + 1_800_000,
    compensates: null,
    compensatedBy: null,
    environment: 'production',
    arguments: {
      statement: 'UPDATE customers SET email = $1 WHERE id = $2',
      parameters: ['a@b', '1'],
    },
    reason: 'address corrected',
    run: null,
    assessment: {
      plan: measured,
      planDigest: DIGEST,
      blastRadius: {
        records: 1,
        recordsDirect: 1,
        recordsIndirect: 0,
        recordsDeleted: 0,
        resources: 1,
        value: [],
        recipients: 0,
        bytes: 100,
        amplification: 0,
      },
      risk: {
        score: 31,
        level: 'medium',
        terms: [{ name: 'scope', value: 0.31, reason: '312 of 47,000 rows' }],
      },
      assessedAt: AT,
    },
    decision: {
      kind: 'wait',
      code: 'threshold-exceeded',
      reason: '312 records are over the threshold of 100',
      findings: [
        {
          stage: 'approval',
          verdict: 'wait',
          rule: 'thresholds.records',
          code: 'threshold-exceeded',
          reason: '312 records are over the threshold of 100',
        },
        {
          stage: 'rule',
          verdict: 'allow',
          rule: 'rules.corrections',
          code: 'rule-permits',
          reason: 'corrections of customers',
        },
      ],
      settledBy: 'thresholds.records',
      planDigest: DIGEST,
      policyDigest: DIGEST,
      decidedAt: AT,
      route: [{ groups: ['finance'], quorum: 2 }],
      expiresAt: AT + 1_800_000,
    },
    approvals: [],
    outcome: null,
    drift: null,
    history: [],
    ...rest,
  };
}

/** A JSON object out of what a command printed. */
export function jsonOf(text: string): Readonly<Record<string, unknown>> {
  return JSON.parse(text) as Readonly<Record<string, unknown>>;
}

/** A command line that nobody sits at: what it printed can be read back. */
export function captureIo(
  options: {
    readonly cwd?: string;
    readonly env?: Readonly<Record<string, string>>;
    readonly answers?: readonly string[];
    readonly input?: string;
    readonly stop?: AbortSignal;
    readonly onOutput?: (text: string) => void;
  } = {},
): Io & { readonly out: () => string; readonly err: () => string; hangUp(): void } {
  const written = { out: '', err: '' };
  const answers = [...(options.answers ?? [])];
  const hangups: (() => void)[] = [];
  const output = (stream: 'out' | 'err') => ({
    isTerminal: false,
    columns: 80,
    write: (text: string) => {
      written[stream] += text;
      options.onOutput?.(text);
    },
  });
  return {
    stdout: output('out'),
    stderr: output('err'),
    env: options.env ?? {},
    cwd: options.cwd ?? process.cwd(),
    isInteractive: options.answers !== undefined,
    now: () => AT + 60_000,
    readInput: () => Promise.resolve(options.input ?? ''),
    inputEnd: () => new Promise(() => {}),
    ask: () => Promise.resolve(answers.shift() ?? ''),
    signals: () => ({
      stop: options.stop ?? new AbortController().signal,
      onHangup: (listener) => void hangups.push(listener),
      endWithin: () => {},
      release: () => {},
    }),
    out: () => written.out,
    err: () => written.err,
    hangUp: () => hangups.forEach((listener) => listener()),
  };
}
