import type { Json } from '../../lib/json.ts';
import { quote } from '../../lib/quote.ts';
import type { Effect, Image, Plan } from '../../model/plan.ts';
import type { RuleFacts } from '../../model/policy.ts';
import { lineageOf } from '../stages/lineage.ts';
import { count, list } from '../stages/sentences.ts';
import type { Spent } from './work.ts';

/** Bounds on what a condition may look through; beyond them it cannot be evaluated, and denies. */
export const VIEW_BOUNDS = {
  /** Rows of the plan; together with the ban on loops in loops this bounds the time. */
  rowsMax: 2_000,
  /** Values in the arguments, counted through. */
  argumentValuesMax: 2_000,
} as const;

/** What the condition asked for exists and is not shown to it; the message is ours, for people. */
export class Withheld extends Error {
  override readonly name = 'Withheld';
}

/** CEL resolves fields by class: these classes are the types that `docs/spec/policy.md` lists. */
export class PrincipalView {
  readonly name: string;
  readonly kind: string;
  readonly owner: string;

  constructor(facts: RuleFacts) {
    this.name = facts.principal.name;
    this.kind = facts.principal.kind;
    this.owner = facts.principal.owner;
  }
}

export class OperationView {
  readonly name: string;
  readonly class: string;
  readonly target: string;
  readonly resource: string;

  constructor(facts: RuleFacts) {
    this.name = facts.operation;
    this.class = facts.class;
    this.target = facts.target;
    this.resource = facts.resource;
  }
}

export class RiskView {
  readonly score: bigint;
  readonly level: string;

  constructor(facts: RuleFacts) {
    this.score = BigInt(Math.round(facts.risk.score));
    this.level = facts.risk.level;
  }
}

type Withhold = (reason: string) => never;

/**
 * A row's `after` with columns whose value is only known at the commit: the plan has null for them,
 * which is no answer. To read one, or the whole map, is withheld; the other columns are readable.
 */
class MaskedImage extends Map<string, string | null> {
  readonly #masked: ReadonlySet<string>;
  readonly #refuse: () => never;

  static {
    // CEL tells a map by its constructor.
    Object.defineProperty(this.prototype, 'constructor', { value: Map });
  }

  constructor(image: Image, masked: ReadonlySet<string>, refuse: () => never) {
    super(Object.entries(image));
    this.#masked = masked;
    this.#refuse = refuse;
  }

  override get(column: string): string | null | undefined {
    return this.#masked.has(column) ? this.#refuse() : super.get(column);
  }

  override has(column: string): boolean {
    return this.#masked.has(column) ? this.#refuse() : super.has(column);
  }

  override get size(): number {
    return this.#refuse();
  }

  override keys(): never {
    return this.#refuse();
  }

  override values(): never {
    return this.#refuse();
  }

  override entries(): never {
    return this.#refuse();
  }

  override forEach(): never {
    return this.#refuse();
  }

  override [Symbol.iterator](): never {
    return this.#refuse();
  }
}

export class RowView {
  readonly resource: string;
  readonly kind: string;
  readonly before: ReadonlyMap<string, string | null>;
  readonly after: ReadonlyMap<string, string | null>;

  constructor(effect: Effect, masked: ReadonlySet<string>, withhold: Withhold) {
    const { resource, kind, before, after } = effect;
    this.resource = resource;
    this.kind = kind;
    this.before = imageMap(before);
    this.after =
      after === null || masked.size === 0
        ? imageMap(after)
        : new MaskedImage(after, masked, () => {
            const names = list([...masked].map((column) => quote(`${resource}.${column}`)));
            return withhold(
              `${names} ${masked.size === 1 ? 'is' : 'are'} only known at the commit`,
            );
          });
  }
}

/** Columns are masked by the name of what was written to; a row may be of a part of that. */
function rowViews(plan: Plan, withhold: Withhold): readonly RowView[] {
  const known = new Map<string, ReadonlySet<string>>();
  return plan.effects.map((effect) => {
    const masked = known.get(effect.resource) ?? maskedColumns(plan, effect.resource);
    known.set(effect.resource, masked);
    return new RowView(effect, masked, withhold);
  });
}

function maskedColumns(plan: Plan, resource: string): ReadonlySet<string> {
  const columns = lineageOf(plan, resource).flatMap((name) =>
    plan.maskedColumns
      .filter((masked) => masked.startsWith(`${name}.`))
      .map((masked) => masked.slice(name.length + 1)),
  );
  return new Set(columns);
}

export class EffectView {
  readonly records: bigint;
  readonly recordsDirect: bigint;
  readonly recordsIndirect: bigint;
  readonly recordsDeleted: bigint;
  readonly resources: bigint;
  readonly recipients: bigint;
  readonly bytes: bigint;
  readonly amplification: number;
  readonly reversibility: string;
  /** Why something that the condition asked for was not shown to it; null where nothing was withheld. */
  withheld: Withheld | null = null;
  readonly #plan: Plan;
  #rows: readonly RowView[] | null = null;

  constructor(facts: RuleFacts) {
    const { blastRadius, plan } = facts;
    this.records = BigInt(blastRadius.records);
    this.recordsDirect = BigInt(blastRadius.recordsDirect);
    this.recordsIndirect = BigInt(blastRadius.recordsIndirect);
    this.recordsDeleted = BigInt(blastRadius.recordsDeleted);
    this.resources = BigInt(blastRadius.resources);
    this.recipients = BigInt(blastRadius.recipients);
    this.bytes = BigInt(blastRadius.bytes);
    this.amplification = blastRadius.amplification;
    this.reversibility = plan.reversibility.kind;
    this.#plan = plan;
  }

  get valueMinor(): ReadonlyMap<string, bigint> {
    if (!this.#plan.valueComplete) this.withhold('not all of the value could be measured');
    return valueByCurrency(this.#plan);
  }

  get rows(): readonly RowView[] {
    const { effects, effectsOmitted } = this.#plan;
    const rows = effects.length + effectsOmitted;
    if (effectsOmitted > 0 || rows > VIEW_BOUNDS.rowsMax) {
      this.withhold(
        `${count(rows, 'row')} would change, a condition sees at most ${count(VIEW_BOUNDS.rowsMax)} and all or none`,
      );
    }
    this.#rows ??= rowViews(this.#plan, (reason) => this.withhold(reason));
    return this.#rows;
  }

  /** Begins anew for the next condition. */
  show(): void {
    this.withheld = null;
  }

  /** Says once for all that something was asked for that is not shown; every look after that throws. */
  withhold(reason: string): never {
    this.withheld ??= new Withheld(reason);
    throw this.withheld;
  }
}

/** Adds the plan's value up by currency. */
export function valueByCurrency(plan: Plan): ReadonlyMap<string, bigint> {
  const value = new Map<string, bigint>();
  for (const { currency, amountMinor } of plan.value) {
    value.set(currency, (value.get(currency) ?? 0n) + BigInt(amountMinor));
  }
  return value;
}

function imageMap(image: Image | null): ReadonlyMap<string, string | null> {
  return new Map(Object.entries(image ?? {}));
}

export interface ConditionContext {
  readonly principal: PrincipalView;
  readonly operation: OperationView;
  readonly args: unknown;
  readonly effect: EffectView;
  readonly risk: RiskView;
  readonly run: string;
  readonly environment: string;
  readonly now: Date;
  /** Of the stage that asks at present. */
  spent: Spent;
}

/** Many rules look at the same facts: they are dressed for CEL once. */
const CONTEXTS = new WeakMap<RuleFacts, ConditionContext>();

/** Returns what a condition sees of the facts. */
export function contextOf(facts: RuleFacts): ConditionContext {
  const known = CONTEXTS.get(facts);
  if (known !== undefined) return known;
  let args: unknown;
  const effect = new EffectView(facts);
  const context: ConditionContext = {
    principal: new PrincipalView(facts),
    operation: new OperationView(facts),
    get args() {
      return (args ??= celValue(facts.args, { values: 0 }, effect));
    },
    effect,
    risk: new RiskView(facts),
    run: facts.run,
    environment: facts.environment,
    // oxlint-disable-next-line no-restricted-globals -- not the clock: the instant comes with the facts, and CEL's timestamps are of this class
    now: new Date(facts.now),
    spent: { steps: 0 },
  };
  CONTEXTS.set(facts, context);
  return context;
}

/** Maps, not objects: a member called `constructor` is then a member like any other. */
function celValue(value: Json, seen: { values: number }, effect: EffectView): unknown {
  seen.values += 1;
  if (seen.values > VIEW_BOUNDS.argumentValuesMax) {
    effect.withhold(
      `the arguments hold more than the ${count(VIEW_BOUNDS.argumentValuesMax)} values that a condition looks through`,
    );
  }
  if (typeof value === 'number') return Number.isSafeInteger(value) ? BigInt(value) : value;
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map((each: Json) => celValue(each, seen, effect));
  return new Map(Object.entries(value).map(([key, each]) => [key, celValue(each, seen, effect)]));
}
