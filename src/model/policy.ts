import type { Digest } from '../lib/canonical.ts';
import type { JsonObject } from '../lib/json.ts';
import type { BudgetMeasure, BudgetWindow } from './budget.ts';
import type { RouteStep } from './decision.ts';
import type { DependentLine } from './dependents.ts';
import type { BlastRadius, EffectClass, Plan, Risk } from './plan.ts';
import type { Role } from './principal.ts';

/** How much an agent may do on its own; NEVER is a list of its own, above every tier. */
export type Tier = 'read-only' | 'confirm' | 'autonomous';

/**
 * What a line applies to. An absent member matches everything; `*` in a name matches any run of
 * characters. Classes match the plan's strongest class.
 */
export interface Match {
  readonly agent?: readonly string[];
  readonly environment?: readonly string[];
  readonly target?: readonly string[];
  readonly operation?: readonly string[];
  readonly resource?: readonly string[];
  readonly class?: readonly EffectClass[];
}

/** Everything a condition may look at; `policy/conditions/conditions.ts` gives it types in CEL. */
export interface RuleFacts {
  readonly principal: {
    readonly name: string;
    readonly kind: 'agent' | 'person';
    readonly owner: string;
  };
  readonly environment: string;
  readonly target: string;
  readonly operation: string;
  readonly resource: string;
  readonly class: EffectClass;
  readonly args: JsonObject;
  readonly run: string;
  readonly plan: Plan;
  readonly blastRadius: BlastRadius;
  readonly risk: Risk;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** One rule of a loaded policy. Forbid beats require beats permit; a condition that throws denies. */
export interface Rule {
  readonly id: string;
  readonly effect: 'permit' | 'require' | 'forbid';
  readonly match: Match;
  /** Compiled and type-checked at load; absent holds always. Throws where it cannot be evaluated. */
  readonly when: ((facts: RuleFacts) => boolean) | null;
  readonly whenText: string | null;
  readonly reason: string;
  /** For `require`: the route that must agree. */
  readonly route: string | null;
}

/** One line that a write has to satisfy; what it asks for is exactly one of three. */
export interface Validation {
  readonly name: string;
  readonly match: Match;
  readonly reason: string;
  /** What it asks for, as the file has it: a condition, a query, or a schema in canonical JSON. */
  readonly text: string;
  readonly asks:
    /** Compiled at load, as `Rule.when`; must be true. */
    | { readonly kind: 'holds'; readonly holds: (facts: RuleFacts) => boolean }
    /** What is wrong with the arguments, each with its JSON pointer; empty where nothing is. */
    | { readonly kind: 'schema'; readonly faults: (args: JsonObject) => readonly string[] }
    /** Asked of the target inside the measured transaction; `Plan.checks` has the answer. */
    | { readonly kind: 'check'; readonly query: string };
}

export interface Permission {
  readonly match: Omit<Match, 'agent'>;
  readonly tier: Tier;
}

export interface AgentPolicy {
  readonly name: string;
  readonly owner: string | null;
  readonly permissions: readonly Permission[];
}

/** A hard bound on the measured effect; no approval lifts it. */
export interface Limit {
  readonly name: string;
  readonly match: Match;
  readonly recordsMax: number | null;
  readonly recordsPerResourceMax: number | null;
  /** Minor units by currency. */
  readonly valueMinorMax: Readonly<Record<string, number>>;
  readonly recipientsMax: number | null;
  readonly bytesMax: number | null;
  readonly amplificationMax: number | null;
}

/** A soft bound: over it, people decide by `route`. */
export interface Threshold {
  readonly name: string;
  readonly match: Match;
  readonly recordsOver: number | null;
  readonly recordsPerResourceOver: number | null;
  /** Minor units by currency. */
  readonly valueMinorOver: Readonly<Record<string, number>>;
  readonly recipientsOver: number | null;
  readonly bytesOver: number | null;
  readonly amplificationOver: number | null;
  readonly riskOver: number | null;
  readonly route: string;
}

export interface BudgetRule {
  readonly name: string;
  readonly match: Match;
  /** Each distinct combination has a budget of its own; empty shares one over the tenant. */
  readonly per: readonly ('agent' | 'run' | 'target' | 'resource')[];
  readonly measure: BudgetMeasure;
  readonly window: BudgetWindow;
  readonly max: number;
}

/** From what is unusual by far to what is unusual at all; `off` judges nothing. */
export const SENSITIVITIES = ['off', 'low', 'medium', 'high'] as const;
export type Sensitivity = (typeof SENSITIVITIES)[number];

/** How writes that are unusual for their agent are judged. */
export interface AnomalyRule {
  /** `anomaly`, or `anomaly.<name>` of a line: what findings name. */
  readonly rule: string;
  readonly match: Omit<Match, 'resource' | 'class'>;
  readonly sensitivity: Sensitivity;
  /** People decide, or nobody may. */
  readonly verdict: 'require' | 'forbid';
  readonly route: string;
}

export interface AnomalyPolicy {
  /** How many applied writes make a baseline; below it nothing is unusual. */
  readonly warmUp: number;
  /** Where no line matches. */
  readonly otherwise: AnomalyRule;
  /** Each that matches speaks for itself. */
  readonly lines: readonly AnomalyRule[];
}

export interface Route {
  readonly name: string;
  readonly steps: readonly RouteStep[];
  readonly expiresAfterMs: number;
}

/** How many distinct operators release a stop, and of which groups (none: any operator). */
export interface ReleaseRule {
  readonly quorum: number;
  readonly groups: readonly string[];
}

export interface Person {
  readonly name: string;
  readonly roles: readonly Role[];
  readonly groups: readonly string[];
}

/** A tenant's loaded rules: immutable, hashable by `digest`. */
export interface Policy {
  /** Over the canonical form of the policy's part of the file. */
  readonly digest: Digest;
  readonly mode: 'active' | 'observe';
  readonly agents: ReadonlyMap<string, AgentPolicy>;
  readonly people: ReadonlyMap<string, Person>;
  /** Beside the rows that no file can remove: `destroy` always, `delete` unless allowed with proof. */
  readonly never: readonly {
    readonly name: string;
    readonly match: Match;
    readonly reason: string;
  }[];
  readonly limits: readonly Limit[];
  readonly thresholds: readonly Threshold[];
  readonly budgets: readonly BudgetRule[];
  readonly rules: readonly Rule[];
  readonly validations: readonly Validation[];
  readonly duplicates: { readonly windowMs: number; readonly repeatable: readonly Match[] };
  /** What relies on what is written to; makes risk higher, and nothing else. */
  readonly dependents: readonly DependentLine[];
  readonly stop: { readonly release: ReleaseRule };
  readonly anomaly: AnomalyPolicy;
  readonly routes: ReadonlyMap<string, Route>;
  /** The route of `confirm`, of critical risk, and where a line names none. */
  readonly defaultRoute: string;
}

/** One target as the file configures it; `settings` is checked by the connector's own schema. */
export interface TargetConfiguration {
  readonly name: string;
  readonly kind: string;
  readonly settings: JsonObject;
}

/** The database in which gateways keep their state together; URLs may hold references to secrets. */
export interface StoreConfiguration {
  readonly url: string;
  /** A connection past a pool; null: none. Absent: `url`, where that is no pool. */
  readonly listenUrl?: string | null;
  readonly schema?: string;
  readonly connectionsMax?: number;
}

/** `writegate.yaml`, parsed and checked. */
export interface Configuration {
  readonly tenant: string;
  readonly environment: string;
  readonly listen: { readonly host: string; readonly port: number };
  /** Host header values that are served beside the listening address; for a reverse proxy. */
  readonly allowedHosts: readonly string[];
  /** Null: the data folder. */
  readonly store: StoreConfiguration | null;
  readonly targets: readonly TargetConfiguration[];
  readonly policy: Policy;
  /** The text as loaded, for the ledger's `policy` entry. */
  readonly text: string;
}
