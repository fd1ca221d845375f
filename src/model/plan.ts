import type { Digest } from '../lib/canonical.ts';
import { canonicalJson, digestJson } from '../lib/canonical.ts';
import type { Json, JsonObject } from '../lib/json.ts';
import type { EvidenceId } from './ids.ts';

/** What a write does at its strongest; the order is the order of strength. */
export const EFFECT_CLASSES = ['read', 'create', 'update', 'delete', 'destroy'] as const;
export type EffectClass = (typeof EFFECT_CLASSES)[number];

/** Returns the strongest of the classes, `read` of none. */
export function strongest(classes: Iterable<EffectClass>): EffectClass {
  let rank = 0;
  for (const each of classes) rank = Math.max(rank, EFFECT_CLASSES.indexOf(each));
  return EFFECT_CLASSES[rank] ?? 'destroy';
}

/** A row, file or message in the target's own text form, by column; null is the target's null. */
export type Image = { readonly [column: string]: string | null };

/** One atomic change in a target, with before and after. Insert has no before, delete no after. */
export interface Effect {
  /** What is changed: for `postgres` the table, `schema.table`. */
  readonly resource: string;
  readonly kind: 'create' | 'update' | 'delete';
  /** The values of the key that names the row, in key order; empty where the resource has no key. */
  readonly key: readonly (string | null)[];
  readonly before: Image | null;
  readonly after: Image | null;
  /** What made the change; absent where the statement itself did. */
  readonly by?: Cause;
}

/**
 * How rows came to change: by the statement itself, or as its consequence through a foreign key's
 * action, a trigger, a rewrite rule, or in a way that is not known.
 */
export type Attribution = 'direct' | 'cascade' | 'trigger' | 'rule' | 'indirect';

/** What made an indirect change. */
export interface Cause {
  readonly attribution: Exclude<Attribution, 'direct'>;
  /** The constraint, trigger, function or rule, where known. */
  readonly via: string | null;
}

/** Exact measured counts for one resource. */
export interface ResourceCount {
  readonly resource: string;
  readonly attribution: Attribution;
  /** What did it: the constraint, trigger or function, where known. */
  readonly via: string | null;
  readonly created: number;
  readonly updated: number;
  readonly deleted: number;
}

/** An amount in minor units (pence, cents) as a decimal integer in a string, and its currency. */
export interface Money {
  readonly currency: string;
  /** May exceed 2^53; never negative: magnitudes add up, they do not cancel out. */
  readonly amountMinor: string;
}

/** What became of one column over all effects: how many rows, and the commonest changes. */
export interface ColumnChange {
  readonly resource: string;
  readonly column: string;
  readonly rows: number;
  /** At most `PLAN_BOUNDS.examplesMax`, commonest first; values cut to `PLAN_BOUNDS.exampleMax`. */
  readonly examples: readonly {
    readonly before: string | null;
    readonly after: string | null;
    readonly rows: number;
  }[];
}

/** Images that are too many for the plan: every effect, kept encrypted beside the store. */
export interface EvidenceReference {
  readonly id: EvidenceId;
  /** How many effects it holds. */
  readonly rows: number;
  readonly bytes: number;
}

/** Whether the write can be taken back. `proved`: the inverse was tried on the target, or is exact by construction. */
export interface Reversibility {
  readonly kind: 'proved' | 'conditional' | 'one-way';
  /** One sentence for a person: what the proof is, or what stands in the way. */
  readonly reason: string;
  /**
   * What triggers own and write again when the rest is taken back: `resource.column`, or `resource`
   * for rows that they add. Only where `conditional`; nothing else may be left different.
   */
  readonly except?: readonly string[];
}

/** The effects that a proposal would have now, made without leaving a change. */
export interface Plan {
  /** One plain sentence with the counts; the first line a person reads. */
  readonly headline: string;
  readonly class: EffectClass;
  /** What the statement names as its object: for `postgres` the table written to. */
  readonly resource: string;
  readonly counts: readonly ResourceCount[];
  /**
   * For each resource that is a part of others (a partition, a child table): those others, nearest
   * first. What tightens a resource tightens its parts.
   */
  readonly partOf: Readonly<Record<string, readonly string[]>>;
  /**
   * The effects that have images, indirect ones too, in a canonical order. At most
   * `PLAN_BOUNDS.effectsMax`; where there are more, `effectsOmitted` says how many, `evidence` has
   * them, and `effectsDigest` covers them all.
   */
  readonly effects: readonly Effect[];
  readonly effectsOmitted: number;
  /** Over every effect with images, omitted ones too, in canonical order, without masked columns. */
  readonly effectsDigest: Digest;
  /** Where every effect is kept when `effects` does not hold them all; null where it does. */
  readonly evidence: EvidenceReference | null;
  /** Per-column diffs over updated rows, in the order of resources and columns. */
  readonly columns: readonly ColumnChange[];
  /** `resource.column` whose value is only known at commit (clock, sequence, random). */
  readonly maskedColumns: readonly string[];
  readonly value: readonly Money[];
  /** False where some value could not be measured; then a person must look. */
  readonly valueComplete: boolean;
  readonly recipients: number;
  readonly bytes: number;
  /** Which of these two leave some of the effect out; absent where neither does. */
  readonly unmeasured?: readonly ('recipients' | 'bytes')[];
  readonly reversibility: Reversibility;
  /** Rows in the resource written to before the write, an estimate; null where unknown. */
  readonly resourceSize: number | null;
  /** What depends on the resources changed: foreign keys, views, triggers, catalogue entries. */
  readonly dependents: readonly string[];
  /** Anything that makes the measure incomplete; not empty means a person must look. */
  readonly warnings: readonly string[];
  /** What the policy's check queries said after the write, before it was kept; absent where none ran. */
  readonly checks?: readonly CheckResult[];
  /** Where it was measured, if not on the target itself: the commit measures there, and compares. */
  readonly measuredOn?: 'shadow';
  /**
   * Of several steps that one transaction carried out: each as it was measured there, in order.
   * Counts, value, recipients and bytes of the whole are their sums; `effects` are what the whole
   * leaves, a row that two steps changed once.
   */
  readonly steps?: readonly StepPlan[];
  /** Of a chain that no single transaction carries out: what each one does, in order, at least two. */
  readonly segments?: readonly SegmentPlan[];
}

/** What one check query of the policy said of the write. */
export interface CheckResult {
  readonly name: string;
  readonly holds: boolean;
  /** Why it does not hold, where that is known: the query's own words, or what became of it. */
  readonly message: string | null;
}

/** One step of a chain; its plan has no steps of its own. */
export interface StepPlan {
  readonly operation: string;
  readonly plan: Plan;
}

/** What one transaction of a chain does: one step, or several in a row on the same target. */
export interface SegmentPlan {
  readonly target: string;
  /** That of the step, `CHAIN_OPERATION` for several. */
  readonly operation: string;
  /** How many of the chain's steps it carries out. */
  readonly stepCount: number;
  readonly plan: Plan;
}

export const PLAN_BOUNDS = {
  effectsMax: 10_000,
  imageBytesMax: 16_777_216,
  /** Column changes listed, examples of each, characters of a value in them. */
  columnsMax: 200,
  examplesMax: 3,
  exampleMax: 200,
} as const;

/**
 * Digests what an approval binds to: every count, every effect with images, the value and the recipients.
 * Not the estimate of the table's size and not the sentences, which may differ with nothing moved.
 */
export function planDigest(target: string, operation: string, plan: Plan): Digest {
  const steps = plan.steps?.map((step) => planDigest(target, step.operation, step.plan));
  const segments = plan.segments?.map((each) => planDigest(each.target, each.operation, each.plan));
  return digestJson({
    v: 1,
    target,
    operation,
    class: plan.class,
    resource: plan.resource,
    counts: canonicalCounts(plan.counts),
    effects: plan.effectsDigest,
    masked: plan.maskedColumns.toSorted(),
    value: moneyJson(plan.value),
    recipients: plan.recipients,
    ...checksJson(plan),
    ...(steps === undefined ? {} : { steps }),
    ...(segments === undefined ? {} : { segments }),
  });
}

/**
 * Digests what an effect is known by whoever proposes it and however it is written: what becomes of
 * each resource, whatever made it, every row with images, and the value. Null where nothing changes.
 */
export function effectKey(target: string, plan: Plan): Digest | null {
  const changed = new Map<string, [created: number, updated: number, deleted: number]>();
  for (const { resource, created, updated, deleted } of plan.counts) {
    if (created + updated + deleted === 0) continue;
    const [c, u, d] = changed.get(resource) ?? [0, 0, 0];
    changed.set(resource, [c + created, u + updated, d + deleted]);
  }
  if (changed.size === 0) return null;
  return digestJson({
    v: 1,
    key: 'effect',
    target,
    counts: [...changed].map(([resource, counts]) => [resource, counts]).toSorted(byCanonicalJson),
    effects: plan.effectsDigest,
    masked: plan.maskedColumns.toSorted(),
    value: moneyJson(plan.value),
  });
}

/** An effect as it is digested: what changed, not what made it change. */
export function effectJson(effect: Effect): Json {
  return [effect.resource, effect.kind, effect.key, effect.before, effect.after];
}

function moneyJson(value: readonly Money[]): Json {
  return value
    .map(({ currency, amountMinor }) => [currency, amountMinor])
    .toSorted(byCanonicalJson);
}

/** Not the messages: they may have figures in them that move with rows which are none of the write's. */
function checksJson({ checks = [] }: Plan): JsonObject {
  if (checks.length === 0) return {};
  return { checks: checks.map(({ name, holds }) => [name, holds]).toSorted(byCanonicalJson) };
}

function byCanonicalJson(left: Json, right: Json): number {
  return canonicalJson(left) < canonicalJson(right) ? -1 : 1;
}

function canonicalCounts(counts: readonly ResourceCount[]): Json {
  return counts
    .map((count) => [
      count.resource,
      count.attribution,
      count.created,
      count.updated,
      count.deleted,
    ])
    .toSorted(byCanonicalJson);
}

/** The measured extent of a plan. */
export interface BlastRadius {
  readonly records: number;
  readonly recordsDirect: number;
  readonly recordsIndirect: number;
  readonly recordsDeleted: number;
  readonly resources: number;
  readonly value: readonly Money[];
  readonly recipients: number;
  readonly bytes: number;
  /** Indirect records ÷ direct ones; indirect ones themselves where there are no direct ones. */
  readonly amplification: number;
}

/** Adds up the measured extent of a plan. */
export function measure(plan: Plan): BlastRadius {
  let direct = 0;
  let indirect = 0;
  let deleted = 0;
  const resources = new Set<string>();
  for (const count of plan.counts) {
    const records = count.created + count.updated + count.deleted;
    if (count.attribution === 'direct') direct += records;
    else indirect += records;
    deleted += count.deleted;
    if (records > 0) resources.add(count.resource);
  }
  return {
    records: direct + indirect,
    recordsDirect: direct,
    recordsIndirect: indirect,
    recordsDeleted: deleted,
    resources: resources.size,
    value: plan.value,
    recipients: plan.recipients,
    bytes: plan.bytes,
    amplification: indirect / Math.max(direct, 1),
  };
}

/** A score from 0 to 100 and the three terms (each 0..1) that make it, each with its reason. */
export interface Risk {
  readonly score: number;
  readonly level: 'low' | 'medium' | 'high' | 'critical';
  readonly terms: readonly {
    readonly name: 'scope' | 'reversibility' | 'coupling';
    readonly value: number;
    readonly reason: string;
  }[];
}

/** Plan, blast radius and risk together. */
export interface Assessment {
  readonly plan: Plan;
  readonly planDigest: Digest;
  readonly blastRadius: BlastRadius;
  readonly risk: Risk;
  readonly assessedAt: number;
}

/** The difference between the plan that was shown and what the target would do now. */
export interface PlanDifference {
  readonly counts: readonly {
    readonly resource: string;
    readonly attribution: Attribution;
    readonly shown: {
      readonly created: number;
      readonly updated: number;
      readonly deleted: number;
    };
    readonly now: { readonly created: number; readonly updated: number; readonly deleted: number };
  }[];
  readonly rowsGone: readonly Effect[];
  readonly rowsNew: readonly Effect[];
  /** Rows in both plans whose before or after differs, with only the columns that moved. */
  readonly rowsMoved: readonly {
    readonly resource: string;
    readonly key: readonly (string | null)[];
    readonly columns: readonly {
      readonly column: string;
      readonly image: 'before' | 'after';
      readonly shown: string | null;
      readonly now: string | null;
    }[];
  }[];
  /** How many rows the three lists leave out beyond `DIFFERENCE_ROWS_MAX` each. */
  readonly rowsOmitted: number;
  readonly sentence: string;
}

export const DIFFERENCE_ROWS_MAX = 200;
