/** Policies and facts for tests: a file's text, and a measured write with what matters to the test. */
import type { JsonObject } from '../../src/lib/json.ts';
import type { Finding } from '../../src/model/decision.ts';
import {
  measure,
  strongest,
  type EffectClass,
  type Effect,
  type Plan,
  type Risk,
} from '../../src/model/plan.ts';
import type { Policy } from '../../src/model/policy.ts';
import type { PolicyFacts } from '../../src/policy/evaluate.ts';
import { parseConfiguration } from '../../src/policy/parse.ts';

export function policyFrom(yaml: string): Policy {
  return parseConfiguration(yaml, 'writegate.yaml').policy;
}

/** An update of one row of `public.customers` on `crm`, proved, touching nothing else. */
export function planOf(plan: Partial<Plan> = {}): Plan {
  const counts = plan.counts ?? [direct('public.customers', { updated: 1 })];
  return {
    headline: '1 row of public.customers would change',
    class: strongest(counts.flatMap(classesOf)),
    resource: 'public.customers',
    effects: [],
    partOf: {},
    effectsOmitted: 0,
    evidence: null,
    columns: [],
    effectsDigest: `sha256:${'0'.repeat(64)}`,
    maskedColumns: [],
    value: [],
    valueComplete: true,
    recipients: 0,
    bytes: 0,
    reversibility: { kind: 'proved', reason: 'the inverse was tried' },
    resourceSize: null,
    dependents: [],
    warnings: [],
    ...plan,
    counts,
  };
}

type Changed = Partial<Pick<Plan['counts'][number], 'created' | 'updated' | 'deleted'>>;

export function direct(resource: string, changed: Changed): Plan['counts'][number] {
  return {
    resource,
    attribution: 'direct',
    via: null,
    created: 0,
    updated: 0,
    deleted: 0,
    ...changed,
  };
}

export function cascade(resource: string, changed: Changed): Plan['counts'][number] {
  return { ...direct(resource, changed), attribution: 'cascade', via: 'a foreign key' };
}

function classesOf(count: Plan['counts'][number]): readonly EffectClass[] {
  return [
    ...(count.created > 0 ? ['create' as const] : []),
    ...(count.updated > 0 ? ['update' as const] : []),
    ...(count.deleted > 0 ? ['delete' as const] : []),
  ];
}

export function row(effect: Partial<Effect> = {}): Effect {
  return {
    resource: 'public.customers',
    kind: 'update',
    key: ['1'],
    before: { id: '1', tier: 'basic' },
    after: { id: '1', tier: 'gold' },
    ...effect,
  };
}

export interface FactOptions {
  readonly agent?: string;
  readonly person?: string;
  readonly environment?: string;
  readonly target?: string;
  readonly operation?: string;
  readonly class?: EffectClass;
  readonly args?: JsonObject;
  readonly run?: string;
  readonly plan?: Partial<Plan>;
  readonly risk?: Partial<Risk>;
  readonly now?: number;
  readonly compensates?: EffectClass;
}

/** Facts about a write that `billing-bot` proposes, unless a person or another agent does. */
export function factsOf(options: FactOptions = {}): PolicyFacts {
  const plan = planOf(options.plan);
  const effectClass = options.class ?? plan.class;
  return {
    principal:
      options.person === undefined
        ? { name: options.agent ?? 'billing-bot', kind: 'agent', owner: 'alice' }
        : { name: options.person, kind: 'person', owner: '' },
    environment: options.environment ?? 'production',
    target: options.target ?? 'crm',
    operation: options.operation ?? 'sql',
    resource: plan.resource,
    class: effectClass,
    args: options.args ?? {},
    run: options.run ?? '',
    plan,
    blastRadius: measure(plan),
    risk: { score: 10, level: 'low', terms: [], ...options.risk },
    now: options.now ?? Date.UTC(2026, 10, 20, 13, 30),
    compensation: options.compensates !== undefined,
    decisionClass: options.compensates ?? effectClass,
  };
}

/** `deny limits.customers limit-exceeded`, one for each finding. */
export function spoken(findings: readonly Finding[]): readonly string[] {
  return findings.map(({ verdict, rule, code }) => `${verdict} ${rule} ${code}`);
}
