import { canonicalJson, digestJson } from '../../src/lib/canonical.ts';
import type { Json, JsonObject } from '../../src/lib/json.ts';
import { effectJson, type Effect, type Plan, type StepPlan } from '../../src/model/plan.ts';
import type {
  ApplyAnswer,
  Compensated,
  Held,
  HoldRequest,
  PlanRequest,
  StepRequest,
  Target,
  TargetRefusal,
} from '../../src/model/ports.ts';

/** What happens to the next call of a kind, once. */
export type Fault =
  /** None: this call goes well, the next has its own. */
  | 'none'
  /** The target says no, for good. */
  | 'refused'
  /** It never reaches the target. */
  | 'request-lost'
  /** It takes effect, and the answer is lost. */
  | 'reply-lost'
  /** The target says that it cannot now. */
  | 'busy'
  /** It is still on its way when the caller gives up; `land` lets it arrive. */
  | 'late';

/**
 * A key-value target in memory with the promise of `postgres`: one effect per key, the digest
 * compared inside. Operation `set`, arguments `{key, value}`; `{key, value: null}` deletes.
 */
export interface FakeTarget extends Target {
  readonly rows: Map<string, string>;
  /** Every effect that was committed, in order: the keys of the proposals. */
  readonly committed: string[];
  /** One for each call to come; a call without one goes well. */
  readonly faults: Record<'plan' | 'apply' | 'probe', Fault[]>;
  /** Lets the late requests arrive. */
  land(): Promise<void>;
  /**
   * Called inside `apply`, and where a held transaction is kept, before anything happens; for a
   * world that moves at that instant.
   */
  beforeApply: (() => void | Promise<void>) | null;
  /** Whether it holds what it measured; else `hold` answers null. */
  holds: boolean;
  /** Whether it carries out several steps in one transaction. */
  steps?: true;
  /** Whether it keeps no receipts: then it must be asked by the reference that it journaled. */
  journals: boolean;
  /**
   * Whether it can refuse a key for good. One that cannot refuses no second effect either, and proves
   * that there was none only where it journaled a reference.
   */
  fences: boolean;
  /** One of `conditional` and below refuses a second effect of a key only once the key is fenced. */
  guarantee: Target['guarantee'];
  /** Every call that reached it, in order, and how held transactions ended. */
  readonly calls: string[];
  /** The latest request to plan or hold. */
  asked: PlanRequest | null;
  /** How many transactions are held open. */
  readonly open: () => number;
  /** Drops what is held open, as the target does when its client is gone. */
  drop(): void;
}

export function fakeTarget(name: string, rows: Readonly<Record<string, string>> = {}): FakeTarget {
  const receipts = new Map<string, 'applied' | 'void'>();
  const late: (() => Promise<unknown>)[] = [];
  const locks = new Locks();
  const target: FakeTarget = {
    name,
    kind: 'fake',
    guarantee: 'transactional',
    operations: ['set'],
    rows: new Map(Object.entries(rows)),
    committed: [],
    faults: { plan: [], apply: [], probe: [] },
    async land() {
      // Nobody listens any more: what goes wrong with it is told to nobody.
      for (const arrive of late.splice(0)) await arrive().catch(() => undefined);
    },
    beforeApply: null,
    holds: false,
    journals: false,
    fences: true,
    calls: [],
    asked: null,
    open: () => locks.size,
    drop: () => locks.dropAll(),
    async hold(request) {
      if (!target.holds) return null;
      target.calls.push('hold');
      target.asked = request;
      if (take(target, 'plan') !== undefined) return refusal('target-busy', 'the target is busy');
      if (!request.permits('rows')) return refusal('not-permitted', 'no permission on `rows`');
      const unlock = await locks.take();
      const measured = planned(target, request);
      if (measured.kind === 'planned') {
        return held(target, request, measured.plan, { unlock, receipts, late });
      }
      unlock();
      return measured;
    },
    async plan(request) {
      target.calls.push('plan');
      target.asked = request;
      if (take(target, 'plan') !== undefined) return refusal('target-busy', 'the target is busy');
      if (!request.permits('rows')) return refusal('not-permitted', 'no permission on `rows`');
      return planned(target, request);
    },
    async apply(request): Promise<ApplyAnswer> {
      target.calls.push('apply');
      const fault = take(target, 'apply');
      if (fault === 'request-lost') throw new Error('the request was lost');
      if (fault === 'late') {
        late.push(() => target.apply(request, new AbortController().signal));
        throw new Error('no answer yet');
      }
      if (fault === 'busy') return refusal('target-busy', 'the target is busy');
      await target.beforeApply?.();
      if (fault === 'refused') return refusal('constraint-violated', 'a constraint is against it');
      const receipt = target.fences ? receipts.get(request.key) : undefined;
      const answered = (answer: ApplyAnswer): ApplyAnswer => {
        if (fault === 'reply-lost') throw new Error('the reply was lost');
        return answer;
      };
      if (receipt === 'void') return answered(refusal('target-refused', 'the key was fenced'));
      const applied = {
        kind: 'applied',
        reference: `ref-${request.key}`,
        effects: null,
        evidence: null,
      } as const;
      if (receipt === 'applied' && dedups(target)) return answered({ ...applied, earlier: true });
      const answer = planned(target, request);
      if (answer.kind === 'refused') return answered(answer);
      if (request.digest(answer.plan) !== request.planDigest) {
        return answered({ kind: 'drifted', plan: answer.plan });
      }
      if (target.journals) await request.journal?.(`ref-${request.key}`);
      for (const each of answer.plan.effects) put(target.rows, each);
      receipts.set(request.key, 'applied');
      target.committed.push(request.key);
      return answered({ ...applied, earlier: false });
    },
    async probe({ key, fence, references = [] }) {
      if (take(target, 'probe') !== undefined) return { kind: 'unknown', reason: 'no answer' };
      const isLost = target.journals && receipts.get(key) === 'applied';
      if (isLost && !references.includes(`ref-${key}`))
        throw new Error('an effect without a trace');
      if (receipts.get(key) === 'applied') {
        return { kind: 'applied', reference: `ref-${key}`, effects: null, evidence: null };
      }
      if (!target.fences) return { kind: 'absent', fenced: fence && references.length > 0 };
      if (fence) receipts.set(key, 'void');
      return { kind: 'absent', fenced: receipts.get(key) === 'void' };
    },
    async close() {},
  };
  return target;
}

/** A measured transaction that is open until it is kept or let go, once. */
function held(
  target: FakeTarget,
  { key }: HoldRequest,
  plan: Plan,
  world: {
    readonly unlock: () => void;
    readonly receipts: Map<string, 'applied' | 'void'>;
    readonly late: (() => Promise<unknown>)[];
  },
): Held {
  const { unlock, receipts, late } = world;
  let isEnded = false;
  const end = (how: string): void => {
    if (isEnded) throw new Error('a held transaction was ended twice');
    isEnded = true;
    target.calls.push(how);
  };
  const land = (): void => {
    if (receipts.has(key)) return;
    for (const each of plan.effects) put(target.rows, each);
    receipts.set(key, 'applied');
    target.committed.push(key);
  };
  return {
    kind: 'held',
    plan,
    ...(target.journals ? { reference: `ref-${key}` } : {}),
    async commit() {
      end('keep');
      await target.beforeApply?.();
      const fault = take(target, 'apply');
      unlock();
      if (fault === 'late') late.push(async () => land());
      if (fault === 'busy') return refusal('target-busy', 'it could not be committed');
      if (fault === undefined || fault === 'none' || fault === 'reply-lost') land();
      if (fault !== undefined && fault !== 'none') throw new Error('no answer');
      const none = { effects: null, evidence: null, earlier: false };
      return { kind: 'applied', reference: `ref-${key}`, ...none };
    },
    async release() {
      end('release');
      unlock();
    },
  };
}

/** One transaction after the other, as over one row. */
class Locks {
  #held = new Set<() => void>();
  #last: Promise<void> = Promise.resolve();

  get size(): number {
    return this.#held.size;
  }

  async take(): Promise<() => void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const before = this.#last;
    this.#last = promise;
    await before;
    const unlock = (): void => {
      this.#held.delete(unlock);
      resolve();
    };
    this.#held.add(unlock);
    return unlock;
  }

  dropAll(): void {
    for (const unlock of this.#held) unlock();
  }
}

function dedups({ guarantee }: FakeTarget): boolean {
  return guarantee === 'transactional' || guarantee === 'idempotent';
}

function take(target: FakeTarget, call: 'plan' | 'apply' | 'probe'): Fault | undefined {
  const fault = target.faults[call].shift();
  return fault === 'none' ? undefined : fault;
}

function refusal(code: TargetRefusal['code'], reason: string): TargetRefusal {
  return { kind: 'refused', code, reason, permanent: false, span: null, conflicts: [] };
}

function planned(
  target: FakeTarget,
  request: PlanRequest,
): { readonly kind: 'planned'; readonly plan: Plan } | TargetRefusal {
  const effects =
    request.compensated === null
      ? requested(target, request.arguments)
      : inverse(target, request.compensated);
  if (effects === 'conflict') return refusal('rollback-conflict', 'the rows changed since');
  if (request.steps !== undefined) return plannedTogether(target, request.steps);
  return { kind: 'planned', plan: planOf(effects) };
}

/** Each step on what the one before it left; the whole on what was there before the first. */
function plannedTogether(
  target: FakeTarget,
  steps: readonly StepRequest[],
): { readonly kind: 'planned'; readonly plan: Plan } | TargetRefusal {
  const rows = new Map(target.rows);
  const done: StepPlan[] = [];
  for (const [step, { operation, arguments: given, permits }] of steps.entries()) {
    if (!permits('rows')) return { ...refusal('not-permitted', 'no permission on `rows`'), step };
    if (given['value'] === 'refused') {
      return { ...refusal('constraint-violated', 'a constraint is against it'), step };
    }
    const effects = requested({ rows }, given);
    for (const each of effects) put(rows, each);
    done.push({ operation, plan: planOf(effects) });
  }
  const names = new Set(done.flatMap(({ plan }) => plan.effects.map(({ key }) => key[0] ?? '')));
  const net = [...names].flatMap((name) => {
    const changed = effect(name, target.rows.get(name), rows.get(name));
    return changed === null ? [] : [changed];
  });
  const plan = {
    ...planOf(net),
    counts: done.flatMap((each) => each.plan.counts),
    steps: done,
  };
  return { kind: 'planned', plan };
}

function requested(
  target: { readonly rows: ReadonlyMap<string, string> },
  given: JsonObject,
): readonly Effect[] {
  const key = text(given['key']) ?? '';
  const before = target.rows.get(key);
  const after = text(given['value']);
  return [effect(key, before, after)].filter((each) => each !== null);
}

function text(value: Json | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

function inverse(target: FakeTarget, compensated: Compensated): readonly Effect[] | 'conflict' {
  const effects: Effect[] = [];
  for (const { key, before, after } of compensated.effects) {
    const name = key[0] ?? '';
    const present = target.rows.get(name);
    if (present !== (after?.['value'] ?? undefined)) return 'conflict';
    const back = effect(name, present, before?.['value'] ?? undefined);
    if (back !== null) effects.push(back);
  }
  return effects;
}

function effect(key: string, before: string | undefined, after: string | undefined): Effect | null {
  if (before === undefined && after === undefined) return null;
  const kind = before === undefined ? 'create' : after === undefined ? 'delete' : 'update';
  const image = (value: string | undefined) => (value === undefined ? null : { value });
  return { resource: 'rows', kind, key: [key], before: image(before), after: image(after) };
}

function put(rows: Map<string, string>, { key, after }: Effect): void {
  const name = key[0] ?? '';
  const value = after?.['value'];
  if (value === null || value === undefined) rows.delete(name);
  else rows.set(name, value);
}

function planOf(effects: readonly Effect[]): Plan {
  const count = (kind: Effect['kind']): number =>
    effects.filter((each) => each.kind === kind).length;
  const strongest = count('delete') > 0 ? 'delete' : count('update') > 0 ? 'update' : 'create';
  return {
    headline: `${count('create')} inserts, ${count('update')} updates, ${count('delete')} deletes in rows`,
    class: strongest,
    resource: 'rows',
    counts: [
      {
        resource: 'rows',
        attribution: 'direct',
        via: null,
        created: count('create'),
        updated: count('update'),
        deleted: count('delete'),
      },
    ],
    effects,
    partOf: {},
    effectsOmitted: 0,
    evidence: null,
    columns: [],
    effectsDigest: digestJson(effects.map(effectJson)),
    maskedColumns: [],
    value: [],
    valueComplete: true,
    recipients: 0,
    bytes: canonicalJson(effects.map(effectJson)).length,
    reversibility: { kind: 'proved', reason: 'a fake keeps both images' },
    resourceSize: 100,
    dependents: [],
    warnings: [],
  };
}
