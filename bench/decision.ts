import {
  ConflictResolutionStrategy,
  PolicyEngine,
  type PolicyRule,
} from '@microsoft/agent-governance-sdk';
import { decide, type DecisionInput } from '../src/gate/decide.ts';
import type { Digest } from '../src/lib/canonical.ts';
import type { Plan } from '../src/model/plan.ts';
import type { Policy } from '../src/model/policy.ts';
import { budgetLines, type PolicyFacts } from '../src/policy/evaluate.ts';
import { learnedFrom } from '../test/support/baseline.ts';
import { factsOf, policyFrom } from '../test/support/policy.ts';
import { compareAll, type BenchRow } from './measure.ts';

/** How many rules each policy has. */
const SIZES = [10, 100, 1_000] as const;
/** Different writes that are decided on, in turn. */
const WRITES = 512;
const ROUNDS = 7;
const PER_ROUND = 4_096;

const AGENTS = 8;
const TABLES = 16;
const HOURS = 24;

/**
 * The whole pure decision, every stage of it, on fresh facts, beside the toolkit's documented
 * expression rules. Both sides get the same rules and are held to the same answers first.
 */
export async function decision(progress: (line: string) => void): Promise<BenchRow[]> {
  const rows: BenchRow[] = [];
  for (const rules of SIZES) {
    progress(`decision, ${rules} rules …`);
    const lines = Array.from({ length: rules }, (_, index) => lineOf(index));
    const policy = policyFrom(fileOf(lines));
    const engine = engineOf(lines);
    const writes = Array.from({ length: WRITES }, (_, index) => writeOf(index));
    checkAgreement(policy, engine, writes);
    const at = (turn: number): Write => writes[turn % WRITES] ?? writeOf(turn);
    const [figures] = await compareAll(
      [async (turn) => void decide(inputOf(policy, at(turn)))],
      async (turn) => void engine.evaluatePolicy(at(turn).agent, contextOf(at(turn))),
      { clients: 1, rounds: ROUNDS, perRound: PER_ROUND },
    );
    if (figures === undefined) throw new Error('a comparison of one subject gave none');
    rows.push({
      bench: 'decision',
      subject: 'decide, all stages',
      peer: '@microsoft/agent-governance-sdk 4.0.0, PolicyEngine.evaluatePolicy',
      rules,
      ...figures,
    });
  }
  return rows;
}

/** One rule of both sides: who, what, and two predicates on the effect. */
interface Line {
  readonly id: string;
  readonly effect: 'permit' | 'forbid';
  readonly agent: string;
  readonly resource: string;
  readonly operation: 'insert' | 'update';
  readonly recordsMax: number;
  readonly fromHour: number;
}

/** Four permits to a forbid, spread over agents, tables and operations. */
function lineOf(index: number): Line {
  const effect = index % 5 === 4 ? 'forbid' : 'permit';
  return {
    id: `rule-${index}`,
    effect,
    agent: `bot-${index % AGENTS}`,
    resource: `public.table_${(index * 7) % TABLES}`,
    operation: index % 3 === 0 ? 'insert' : 'update',
    recordsMax: 5 + ((index * 13) % 90),
    fromHour: effect === 'forbid' ? 16 + (index % 8) : index % 12,
  };
}

interface Write {
  readonly agent: string;
  readonly resource: string;
  readonly operation: 'insert' | 'update';
  readonly records: number;
  readonly hour: number;
  readonly facts: PolicyFacts;
}

const DAY_MS = 86_400_000;
const DAY = Date.UTC(2026, 10, 20);

function writeOf(index: number): Write {
  const agent = `bot-${index % AGENTS}`;
  const resource = `public.table_${(index * 5) % TABLES}`;
  const operation = index % 2 === 0 ? 'insert' : 'update';
  const records = 1 + ((index * 11) % 80);
  const hour = (index * 5) % HOURS;
  const changed = operation === 'insert' ? { created: records } : { updated: records };
  const counts: Plan['counts'] = [
    { resource, attribution: 'direct', via: null, created: 0, updated: 0, deleted: 0, ...changed },
  ];
  const now = DAY + (hour * DAY_MS) / HOURS;
  const facts = factsOf({ agent, operation, now, plan: { resource, counts } });
  return { agent, resource, operation, records, hour, facts };
}

// ---- ours

function fileOf(lines: readonly Line[]): string {
  const agents = Array.from(
    { length: AGENTS },
    (_, index) => `  bot-${index}: { permissions: [{ target: crm, tier: autonomous }] }`,
  );
  const rules = lines.map(
    (line) =>
      `  - { id: ${line.id}, effect: ${line.effect}, reason: measured, ` +
      `match: { agent: ${line.agent}, target: crm, operation: ${line.operation}, resource: ${line.resource} }, ` +
      `when: 'effect.records <= ${line.recordsMax} && now.getHours() >= ${line.fromHour}' }`,
  );
  return [
    'version: 1',
    'targets: { crm: { kind: postgres, url: "${env:CRM_URL}" } }',
    'people: { alice: { roles: [approver] } }',
    'agents:',
    ...agents,
    'limits: [{ name: records, recordsMax: 1000, amplificationMax: 10 }]',
    'thresholds: [{ name: many, recordsOver: 500 }]',
    'budgets: [{ name: pace, per: agent, measure: writes, window: minute, max: 1000 }]',
    'rules:',
    ...rules,
  ].join('\n');
}

const DIGEST: Digest = `sha256:${'0'.repeat(64)}`;

/** What is usual is judged too; nothing here is unusual. */
const BASELINE = learnedFrom({
  writes: 200,
  records: 80,
  resources: Array.from({ length: TABLES }, (_, index) => [`public.table_${index}`]),
});

/** As the gate puts it together, with facts that no earlier decision has seen. */
function inputOf(policy: Policy, write: Write): DecisionInput {
  const facts = { ...write.facts };
  const { plan, blastRadius, risk, now } = facts;
  const assessment = { plan, planDigest: DIGEST, blastRadius, risk, assessedAt: now };
  return {
    policy,
    subject: { agent: write.agent, target: 'crm', run: null },
    freezes: [],
    unknown: null,
    duplicateOf: null,
    measured: {
      assessment,
      facts: [facts],
      sameEffectAs: null,
      budgets: budgetLines(policy, [facts]).map((line) => ({ line, used: 3 })),
      usual: [{ baseline: BASELINE, key: DIGEST, uncounted: 1 }],
    },
    approvals: [],
    barred: [write.agent],
    expiresAt: null,
    now,
  };
}

// ---- the peer

function engineOf(lines: readonly Line[]): PolicyEngine {
  const engine = new PolicyEngine([], ConflictResolutionStrategy.DenyOverrides);
  const rules = lines.map((line): PolicyRule => ({
    name: line.id,
    effect: line.effect === 'permit' ? 'allow' : 'deny',
    ruleAction: line.effect === 'permit' ? 'allow' : 'deny',
    condition:
      `agent.name == '${line.agent}' and target == 'crm' and operation == '${line.operation}' and ` +
      `resource == '${line.resource}' and effect.records <= ${line.recordsMax} and hour >= ${line.fromHour}`,
  }));
  engine.loadPolicy({ name: 'bench', agents: ['*'], default_action: 'deny', rules });
  return engine;
}

function contextOf({ agent, resource, operation, records, hour }: Write): Record<string, unknown> {
  return { agent: { name: agent }, target: 'crm', resource, operation, effect: { records }, hour };
}

/** The same rules must mean the same, or the figures compare nothing. */
function checkAgreement(policy: Policy, engine: PolicyEngine, writes: readonly Write[]): void {
  let allowed = 0;
  for (const write of writes) {
    const ours = decide(inputOf(policy, write))?.kind === 'allow';
    const theirs = engine.evaluatePolicy(write.agent, contextOf(write)).allowed;
    if (ours !== theirs) {
      throw new Error(`the two sides differ on ${JSON.stringify(contextOf(write))}`);
    }
    if (ours) allowed += 1;
  }
  if (allowed === writes.length) throw new Error('every write was allowed: nothing is compared');
}
