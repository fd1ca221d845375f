/** A gate that decides nothing: it answers from a script and writes down what it was asked. */
import type { AppOptions } from '../../src/server/app.ts';
import type { CredentialPort } from '../../src/server/auth.ts';
import type { PolicyPort } from '../../src/server/routes/policies.ts';
import type { Gate } from '../../src/gate.ts';
import type { Past } from '../../src/gate/past.ts';
import type {
  BaselinePage,
  BudgetPage,
  CredentialSummary,
  FreezeView,
  GatewayStatus,
  OperationView,
  PolicyVersion,
  ProposalSummary,
  ProposalView,
  ResourceView,
  RowPage,
} from '../../src/model/api.ts';
import type { DependentsView } from '../../src/model/dependents.ts';
import {
  newCredentialId,
  newFreezeId,
  newProposalId,
  tenantId,
  type TenantId,
} from '../../src/model/ids.ts';
import type { Plan } from '../../src/model/plan.ts';
import type { AgentPrincipal, PersonPrincipal, Principal } from '../../src/model/principal.ts';
import { Problem } from '../../src/model/problem.ts';
import type { ReadResult } from '../../src/model/read.ts';
import type { ReplayReport } from '../../src/model/replay.ts';
import type { Result } from '../../src/model/result.ts';
import type { TraceLine } from '../../src/model/trace.ts';

export const AT = Date.UTC(2026, 10, 20);
export const PROPOSAL_ID = newProposalId(AT, new Uint8Array(10));
export const FREEZE_ID = newFreezeId(AT, new Uint8Array(10));
export const CREDENTIAL_ID = newCredentialId(AT, new Uint8Array(10));
export const DIGEST = `sha256:${'a'.repeat(64)}` as const;
export const DRAFT = {
  target: 'crm',
  operation: 'sql',
  arguments: { statement: 'update customers set email = $1', parameters: ['a@example.com'] },
};

export const TOKENS = {
  agent: `wga_${'a'.repeat(32)}`,
  person: `wgp_${'p'.repeat(32)}`,
  operator: `wgp_${'o'.repeat(32)}`,
} as const;

const TENANT = acme();

export const AGENT: AgentPrincipal = {
  kind: 'agent',
  tenant: TENANT,
  environment: 'production',
  name: 'ledger-bot',
  owner: 'ann',
  credential: CREDENTIAL_ID,
};
export const PERSON: PersonPrincipal = {
  kind: 'person',
  tenant: TENANT,
  environment: 'production',
  name: 'bob',
  roles: ['approver'],
  groups: ['finance'],
  credential: CREDENTIAL_ID,
};
export const OPERATOR: PersonPrincipal = { ...PERSON, name: 'olga', roles: ['operator'] };

function acme(): TenantId {
  const tenant = tenantId('acme');
  if (tenant === undefined) throw new Error('`acme` is a tenant name');
  return tenant;
}

const COMMON = {
  proposalId: PROPOSAL_ID,
  links: { self: `/v1/proposals/${PROPOSAL_ID}`, human: null },
  retryAfterMs: null,
  headline: 'updates 3 rows of customers',
  planDigest: DIGEST,
  replayed: false,
} as const;

const DIFFERENCE = {
  counts: [],
  rowsGone: [],
  rowsNew: [
    {
      resource: 'public.customers',
      kind: 'update',
      key: ['7'],
      before: { a: '1' },
      after: { a: null },
    },
  ],
  rowsMoved: [
    {
      resource: 'public.customers',
      key: ['1'],
      columns: [{ column: 'a', image: 'before', shown: '1', now: '2' }],
    },
  ],
  rowsOmitted: 0,
  sentence: '1 row more',
} as const;

/** One result of every state that carries something, and one that does not. */
export const RESULTS = {
  applied: {
    ...COMMON,
    state: 'applied',
    code: 'applied',
    reason: 'committed as transaction 4711',
    next: 'none',
    compensatedBy: null,
    receipt: {
      proposalId: PROPOSAL_ID,
      planDigest: DIGEST,
      reference: '4711',
      appliedAt: AT,
      ledgerIndex: 5,
      leafHash: 'b'.repeat(64),
      reversible: 'proved',
    },
  },
  waiting: {
    ...COMMON,
    state: 'waiting',
    code: 'approval-required',
    reason: 'one approver of finance must agree',
    next: 'wait',
    retryAfterMs: 5_000,
    expiresAt: AT + 1_800_000,
    difference: null,
  },
  stale: {
    ...COMMON,
    state: 'stale',
    code: 'plan-drifted',
    reason: 'the target changed; 1 row more',
    next: 'wait',
    difference: DIFFERENCE,
  },
  denied: {
    ...COMMON,
    state: 'denied',
    code: 'limit-exceeded',
    reason: '47000 records, at most 100',
    next: 'narrow',
    duplicateOf: null,
  },
  refused: {
    ...COMMON,
    state: 'refused',
    code: 'rollback-conflict',
    reason: 'one row changed since',
    next: 'ask-human',
    conflicts: [
      {
        resource: 'public.customers',
        key: ['1'],
        problem: 'row-changed',
        columns: [{ column: 'a', expected: '1', found: null }],
      },
    ],
  },
  previewed: {
    ...COMMON,
    proposalId: null,
    links: { self: null, human: null },
    state: 'previewed',
    code: 'previewed',
    reason: 'policy would allow it',
    next: 'none',
    wouldBe: 'allow',
  },
  cancelled: {
    ...COMMON,
    state: 'cancelled',
    code: 'cancelled',
    reason: 'withdrawn by ledger-bot',
    next: 'none',
  },
} as const satisfies Record<string, Result>;

export const SUMMARY: ProposalSummary = {
  id: PROPOSAL_ID,
  state: 'waiting',
  agent: 'ledger-bot',
  target: 'crm',
  operation: 'sql',
  steps: 1,
  headline: COMMON.headline,
  planDigest: DIGEST,
  riskLevel: 'low',
  code: 'approval-required',
  proposedAt: AT,
  expiresAt: AT + 1_800_000,
  compensates: null,
  compensatedBy: null,
};

export const ROWS: RowPage = {
  items: DIFFERENCE.rowsNew,
  from: 0,
  total: 47_000,
  left: 46_999,
  as: 'planned',
  maskedColumns: [],
  missing: null,
};

/** One answer of each state of a read. */
export const READS = {
  read: {
    state: 'read',
    code: 'read',
    reason: '1 row, all there are',
    next: 'none',
    columns: [
      { name: 'id', isMasked: false },
      { name: 'email', isMasked: true },
    ],
    rows: [['1', null]],
    resources: ['public.customers'],
    bytes: 1,
    retryAfterMs: null,
  },
  refused: {
    state: 'refused',
    code: 'not-permitted',
    reason: 'no permission on `public.salaries`',
    next: 'ask-human',
    span: { from: 14, to: 22 },
    retryAfterMs: null,
  },
} as const satisfies Record<string, ReadResult>;

const PLAN: Plan = {
  headline: COMMON.headline,
  class: 'update',
  resource: 'public.customers',
  counts: [
    {
      resource: 'public.customers',
      attribution: 'direct',
      via: null,
      created: 0,
      updated: 3,
      deleted: 0,
    },
  ],
  effects: DIFFERENCE.rowsNew,
  partOf: {},
  effectsOmitted: 0,
  evidence: null,
  columns: [],
  effectsDigest: DIGEST,
  maskedColumns: [],
  value: [{ currency: 'GBP', amountMinor: '1200' }],
  valueComplete: true,
  recipients: 0,
  bytes: 120,
  reversibility: { kind: 'proved', reason: 'the inverse was tried' },
  resourceSize: 47_000,
  dependents: ['public.orders'],
  warnings: [],
};

export const VIEW: ProposalView = {
  ...SUMMARY,
  environment: 'production',
  arguments: DRAFT.arguments,
  reason: null,
  run: null,
  assessment: {
    plan: PLAN,
    planDigest: DIGEST,
    blastRadius: {
      records: 3,
      recordsDirect: 3,
      recordsIndirect: 0,
      recordsDeleted: 0,
      resources: 1,
      value: PLAN.value,
      recipients: 0,
      bytes: 120,
      amplification: 0,
    },
    risk: {
      score: 12,
      level: 'low',
      terms: [{ name: 'scope', value: 0.12, reason: '3 of 100 records' }],
    },
    assessedAt: AT,
  },
  decision: {
    kind: 'wait',
    code: 'approval-required',
    reason: 'one approver of finance must agree',
    findings: [
      {
        stage: 'approval',
        verdict: 'wait',
        rule: 'tiers.confirm',
        code: 'approval-required',
        reason: 'the tier is confirm',
      },
    ],
    settledBy: 'tiers.confirm',
    planDigest: DIGEST,
    policyDigest: DIGEST,
    decidedAt: AT,
    route: [{ groups: ['finance'], quorum: 1 }],
    expiresAt: AT + 1_800_000,
  },
  approvals: [
    { verdict: 'approve', person: 'bob', groups: [], planDigest: DIGEST, reason: null, at: AT },
  ],
  outcome: {
    status: 'stale',
    code: 'plan-drifted',
    reason: 'the target changed',
    resolved: 'live',
    attempt: 1,
    planDigest: DIGEST,
    reference: null,
    effects: null,
    evidence: null,
    difference: DIFFERENCE,
    conflicts: [],
  },
  drift: { shownDigest: DIGEST, difference: DIFFERENCE, at: AT },
  history: [{ type: 'proposal', at: AT, index: 1 }],
};

export const FREEZE: FreezeView = {
  id: FREEZE_ID,
  scope: { kind: 'agent', name: 'ledger-bot' },
  reason: 'looks wrong',
  by: 'olga',
  at: AT,
  releasedAt: null,
  voices: [],
  release: { quorum: 1, spoken: 0, missing: 1 },
};

export const BASELINES: BaselinePage = {
  items: [
    {
      agent: 'ledger-bot',
      target: 'billing',
      operation: 'sql',
      since: AT,
      applied: 960,
      warmUp: 30,
      sensitivity: 'medium',
      figures: [
        { measure: 'minute', low: 1, high: 4, unusualAbove: 16 },
        { measure: 'value:GBP', low: 1_280, high: 1_535, unusualAbove: null },
      ],
      hours: [8, 9, 10, 22],
      resources: ['public.invoices'],
      isCrowded: false,
    },
  ],
};

export const BUDGETS: BudgetPage = {
  items: [
    {
      budget: 'refunds',
      scope: 'agent=ledger-bot',
      measure: 'value:GBP',
      window: 'day',
      max: 5_000_000,
      spent: 120_000,
      inFlight: 30_000,
      left: 4_850_000,
      freesAt: AT + 3_600_000,
    },
  ],
  isCut: false,
};

export const STATUS: GatewayStatus = {
  name: 'writegate',
  version: '0.1.0',
  policyDigest: DIGEST,
  policyProblem: null,
  mode: 'active',
  ledger: { origin: 'writegate.example/acme', vkey: 'writegate.example/acme+00000000+AA', size: 7 },
  targets: [{ name: 'crm', kind: 'postgres', guarantee: 'transactional', problem: null }],
  startedAt: AT,
  store: 'sqlite',
  gateway: 'gateway-1',
  gateways: [{ name: 'gateway-1', version: '0.1.0', startedAt: AT, differs: [] }],
};

export const DEPENDENTS: DependentsView = {
  target: 'crm',
  resource: 'public.invoices',
  structure: [
    {
      kind: 'foreign key',
      name: 'lines_invoice_fkey, on delete cascade',
      resource: 'public.lines',
      nodes: [{ kind: 'view', name: 'open_lines', resource: 'public.open_lines', nodes: [] }],
    },
    { kind: 'trigger', name: 'audit, runs public.note', resource: null, nodes: [] },
  ],
  dependents: [
    { name: 'invoice-api', criticality: 'high', how: 'serves them', depth: 1, via: null },
    { name: 'web-shop', criticality: 'critical', how: null, depth: 2, via: 'invoice-api' },
    { name: 'reports', criticality: 'medium', how: null, depth: 1, via: null },
  ],
  coupling: 0.55,
};

export const OPERATIONS: readonly OperationView[] = [
  { target: 'crm', kind: 'postgres', operation: 'sql', schema: null },
  {
    target: 'crm',
    kind: 'postgres',
    operation: 'update',
    schema: {
      type: 'object',
      required: ['table'],
      additionalProperties: false,
      properties: { table: { type: 'string' }, filter: { $ref: '#/$defs/filter' } },
      $defs: { filter: { type: 'object' } },
    },
  },
];

export const RESOURCES: readonly ResourceView[] = [
  { target: 'crm', resources: ['public.customers', 'public.orders'] },
  { target: 'erp', resources: null },
];

/** One call that reached the gate or the credentials: the method and what it was given. */
export interface Recorded {
  readonly method: string;
  readonly given: readonly unknown[];
}

export const MUTATING = [
  'propose',
  'approve',
  'cancel',
  'resolve',
  'rollback',
  'stop',
  'release',
  'issue',
  'revoke',
  'apply',
] as const;

export interface FakeGate extends Gate {
  readonly calls: Recorded[];
  /** What `wait` and `status` answer, in turn; the last one again and again. */
  script: Result[];
}

/** A gate that proposes into `waiting` and answers `script` after it. Every method may be replaced. */
export function fakeGate(replaced: Partial<Gate> = {}): FakeGate {
  const calls: Recorded[] = [];
  const gate: FakeGate = {
    calls,
    script: [RESULTS.waiting],
    preview: async () => RESULTS.previewed,
    propose: async () => RESULTS.waiting,
    approve: async () => RESULTS.applied,
    cancel: async () => RESULTS.cancelled,
    resolve: async () => RESULTS.applied,
    rollback: async () => RESULTS.waiting,
    status: async () => gate.script[0] ?? RESULTS.waiting,
    wait: async () => {
      const [first = RESULTS.waiting, ...rest] = gate.script;
      if (rest.length > 0) gate.script = rest;
      return first;
    },
    view: async () => VIEW,
    list: async () => ({ items: [SUMMARY], before: PROPOSAL_ID }),
    rows: async () => ROWS,
    read: async () => READS.read,
    stop: async () => FREEZE,
    release: async () => ({ ...FREEZE, releasedAt: AT }),
    freezes: async () => [FREEZE],
    budgets: async () => BUDGETS,
    baselines: async () => BASELINES,
    ...replaced,
  };
  return recording(gate, calls);
}

export const CREDENTIAL_LINE: CredentialSummary = {
  id: CREDENTIAL_ID,
  holder: { kind: 'agent', name: AGENT.name },
  createdAt: AT,
  revokedAt: null,
};

/** Credentials of one agent, one approver and one operator. */
export function fakeCredentials(calls: Recorded[]): CredentialPort {
  const holders = new Map<string, Principal>([
    [TOKENS.agent, AGENT],
    [TOKENS.person, PERSON],
    [TOKENS.operator, OPERATOR],
  ]);
  const port: CredentialPort = {
    authenticate: async (token) => holders.get(token),
    issue: async (_by, holder) => {
      if (holder.name === 'nobody') {
        throw new Problem('credential-holder-unknown', 'the configuration names no `nobody`');
      }
      return { id: CREDENTIAL_ID, holder: { ...holder, roles: [] }, secret: TOKENS.agent };
    },
    list: async () => ({ items: [CREDENTIAL_LINE] }),
    revoke: async () => undefined,
  };
  const { authenticate } = port;
  return { ...recording(port, calls), authenticate };
}

export const POLICY_VERSION: PolicyVersion = {
  digest: DIGEST,
  mode: 'active',
  at: AT,
  index: 3,
  by: 'olga',
  weakens: 1,
  atStart: false,
};

/** A policy in force that anything may follow. */
export function fakePolicies(calls: Recorded[]): PolicyPort {
  const port: PolicyPort = {
    current: () => ({ digest: DIGEST, mode: 'active', text: 'version: 1\n', problem: null }),
    apply: async () => ({
      digest: DIGEST,
      mode: 'active',
      weakens: 1,
      changes: [{ path: 'mode', sentence: 'observe → active', effect: 'weaker' }],
      inForce: 'now',
    }),
    history: async () => ({ items: [POLICY_VERSION], before: 3 }),
  };
  return recording(port, calls);
}

/** The same object, every call of a method written down before it is made. */
function recording<T extends object>(port: T, calls: Recorded[]): T {
  return new Proxy(port, {
    get(target, name, receiver) {
      const member: unknown = Reflect.get(target, name, receiver);
      if (typeof member !== 'function') return member;
      return (...given: unknown[]): unknown => {
        calls.push({ method: String(name), given });
        return Reflect.apply(member, target, given);
      };
    },
  });
}

export const REPLAY_REPORT: ReplayReport = {
  candidate: { digest: DIGEST, mode: 'active', isInForce: true },
  since: AT,
  until: AT + 1,
  proposals: 2,
  unchanged: 2,
  changed: 0,
  groups: [],
  notReplayed: [],
  policies: 1,
  cutShort: null,
};

/** Two lines of the run of that name. */
function traceNamed(run: string): readonly TraceLine[] {
  return [
    {
      run_id: run,
      step: 1,
      at: AT,
      proposal: PROPOSAL_ID,
      tool: 'crm.sql',
      event: 'tool_call',
      args_hash: DIGEST,
      decision: 'wait',
      code: 'approval-required',
      rule: 'agents.bot.permissions[0]',
      ok: false,
    },
    {
      run_id: run,
      step: 2,
      at: AT,
      proposal: PROPOSAL_ID,
      tool: 'crm.sql',
      event: 'stop',
      reason: 'approval_required',
      code: 'approval-required',
    },
  ];
}

/** A past that says how far it is once, and then answers. */
function fakePast(calls: Recorded[]): Past {
  const past: Past = {
    async *replay() {
      yield { kind: 'progress', done: 1, of: 2 };
      yield { kind: 'done', answer: REPLAY_REPORT };
    },
    trace: async (_principal, run) => ({ left: 0, items: traceNamed(run) }),
    async *suggest() {
      yield { kind: 'done', answer: { text: 'version: 1\n', agents: [], replay: REPLAY_REPORT } };
    },
  };
  return recording(past, calls);
}

/** Options of an app over a fake gate; what is logged goes to `logged`. */
export function appOptions(gate: FakeGate, logged: unknown[] = []): AppOptions {
  return {
    gate,
    credentials: fakeCredentials(gate.calls),
    policies: fakePolicies(gate.calls),
    status: async () => STATUS,
    operations: () => OPERATIONS,
    past: fakePast(gate.calls),
    dependents: async ({ target = 'crm', resource }) => ({ ...DEPENDENTS, target, resource }),
    resources: async () => RESOURCES,
    ledgerFolder: null,
    allowedHosts: ['gateway.example.com'],
    version: '0.1.0',
    log: (line, cause) => logged.push([line, cause]),
  };
}
