/**
 * A target's own side: its rows, what it knows of keys, and the book of what took effect. It knows no
 * gateway, keeps its promises, and nothing more than these.
 */
import { CHAIN_OPERATION } from '../../src/model/draft.ts';
import type { WriteKey } from '../../src/model/ids.ts';
import { planDigest, type Effect } from '../../src/model/plan.ts';
import type {
  ApplyAnswer,
  ApplyRequest,
  Guarantee,
  HoldRequest,
  PlanRequest,
  ProbeAnswer,
  ProbeRequest,
} from '../../src/model/ports.ts';
import { planOn, put, refusal, rowsOf, type Planned } from './plan.ts';

/** Why a key that was fenced is refused: that is proof for every attempt. */
export const FENCED = 'the key was fenced';

/** What a target can. */
export interface Nature {
  readonly guarantee: Guarantee;
  /** Whether it refuses a second effect of a key. */
  readonly dedups: boolean;
  /** Whether it can be told to refuse a key for good. */
  readonly fences: boolean;
  /** Whether it can say what became of a key. */
  readonly isAskable: boolean;
  /** Whether it is asked by the reference of its transaction, and not by the key. */
  readonly journals: boolean;
  readonly holds: boolean;
  readonly steps: boolean;
}

/** What took effect, as the target itself wrote it down. */
export interface Booked {
  readonly target: string;
  readonly key: WriteKey;
  readonly effects: readonly Effect[];
  /** Over what was done, by the rule of plan digests. */
  readonly digest: string;
  readonly at: number;
  /** A person put it right by hand. */
  isTakenBack: boolean;
}

/** A transaction that is open. */
export interface Session {
  readonly kind: 'begun';
  readonly reference: string;
  readonly key: WriteKey;
  readonly rows: readonly string[];
  readonly planned: Extract<Planned, { kind: 'planned' }>;
  readonly operation: string;
}

/** What a key has that was tried before. */
export interface Earlier {
  readonly kind: 'earlier';
  readonly receipt: 'applied' | 'void';
}

export interface SystemPorts {
  readonly now: () => number;
  /** Whether it is too busy to do what it is asked. */
  readonly isBusy: () => boolean;
}

export class System {
  readonly name: string;
  readonly nature: Nature;
  readonly rows: Map<string, string>;
  readonly book: Booked[] = [];
  readonly #ports: SystemPorts;
  readonly #receipts = new Map<WriteKey, 'applied' | 'void'>();
  readonly #open = new Map<string, Session>();
  readonly #ended = new Map<string, 'committed' | 'aborted'>();
  readonly #former = new Map<string, string | undefined>();
  #count = 0;

  constructor(name: string, nature: Nature, rows: ReadonlyMap<string, string>, ports: SystemPorts) {
    this.name = name;
    this.nature = nature;
    this.rows = new Map(rows);
    this.#ports = ports;
  }

  get openSessions(): readonly Session[] {
    return [...this.#open.values()];
  }

  plan(request: PlanRequest): Planned {
    if (this.#ports.isBusy()) return refusal('target-busy', 'the target is busy');
    return planOn(this.rows, request);
  }

  // ---- transactions that stay open

  /** Whether no open transaction has the rows or the key. */
  isFree(key: WriteKey, request: PlanRequest): boolean {
    const names = rowsOf(request);
    return this.openSessions.every(
      (session) =>
        !session.rows.some((row) => names.includes(row)) &&
        !(this.nature.dedups && session.key === key),
    );
  }

  isKeyFree(key: WriteKey): boolean {
    return this.openSessions.every((session) => session.key !== key);
  }

  /** Carries out a write and keeps its transaction open; `earlier` where the key was tried before. */
  begin(request: HoldRequest): Session | Earlier | Exclude<Planned, { kind: 'planned' }> {
    if (this.#ports.isBusy()) return refusal('target-busy', 'the target is busy');
    const receipt = this.#receipts.get(request.key);
    if (this.nature.dedups && receipt !== undefined) return { kind: 'earlier', receipt };
    const planned = planOn(this.rows, request);
    if (planned.kind === 'refused') return planned;
    this.#count += 1;
    const session: Session = {
      kind: 'begun',
      reference: `${this.name}-${this.#count}`,
      key: request.key,
      rows: rowsOf(request),
      planned,
      operation: operationOf(request),
    };
    this.#open.set(session.reference, session);
    return session;
  }

  /** False where the transaction is not there any more. */
  keep(reference: string): boolean {
    const session = this.#open.get(reference);
    if (session === undefined) return this.#ended.get(reference) === 'committed';
    this.#open.delete(reference);
    this.#ended.set(reference, 'committed');
    this.#take(session.key, session.operation, session.planned);
    return true;
  }

  drop(reference: string): void {
    if (this.#open.delete(reference)) this.#ended.set(reference, 'aborted');
  }

  // ---- in one message

  /** Does it once, where the key is new and the digest is that of the plan. */
  write(request: ApplyRequest): ApplyAnswer {
    const { key } = request;
    if (this.#ports.isBusy()) return refusal('target-busy', 'the target is busy');
    const receipt = this.#receipts.get(key);
    if (receipt === 'void') return refusal('target-refused', FENCED, true);
    if (receipt === 'applied' && this.nature.dedups) return this.#applied(key, true);
    const planned = planOn(this.rows, request);
    if (planned.kind === 'refused') return planned;
    if (request.digest(planned.plan) !== request.planDigest) {
      return { kind: 'drifted', plan: planned.plan };
    }
    this.#take(key, operationOf(request), planned);
    return this.#applied(key, false);
  }

  ask({ key, fence, references = [] }: ProbeRequest): ProbeAnswer {
    if (this.#ports.isBusy()) return { kind: 'unknown', reason: 'the target is busy' };
    if (this.nature.journals) return this.#askByReference(fence, references);
    const receipt = this.#receipts.get(key);
    if (fence && receipt === undefined && this.nature.fences) this.#receipts.set(key, 'void');
    if (!this.nature.isAskable) {
      const isVoid = this.#receipts.get(key) === 'void';
      if (isVoid) return { kind: 'absent', fenced: true };
      return { kind: 'unknown', reason: 'the target cannot be asked' };
    }
    if (receipt === 'applied') {
      return { kind: 'applied', reference: `ref-${key}`, effects: null, evidence: null };
    }
    return { kind: 'absent', fenced: this.#receipts.get(key) === 'void' };
  }

  #askByReference(fence: boolean, references: readonly string[]): ProbeAnswer {
    for (const reference of references) {
      const ended = this.#ended.get(reference);
      if (ended === 'committed') {
        return { kind: 'applied', reference, effects: null, evidence: null };
      }
      if (ended === undefined) return { kind: 'unknown', reason: 'its transaction is open' };
    }
    return { kind: 'absent', fenced: fence && references.length > 0 };
  }

  // ---- people and others

  /** What somebody else does to a row; nothing while a transaction has it. */
  move(name: string, value: string | undefined): boolean {
    if (this.openSessions.some(({ rows }) => rows.includes(name))) return false;
    this.#former.set(name, this.rows.get(name));
    if (value === undefined) this.rows.delete(name);
    else this.rows.set(name, value);
    return true;
  }

  /** What a row was before somebody else changed it. */
  former(name: string): string | undefined {
    return this.#former.get(name);
  }

  /** A person takes an effect back by hand. */
  putRight(booked: Booked): void {
    booked.isTakenBack = true;
    for (const { key, before } of booked.effects) {
      const name = key[0] ?? '';
      const value = before?.['value'];
      if (value === null || value === undefined) this.rows.delete(name);
      else this.rows.set(name, value);
    }
  }

  #applied(key: WriteKey, earlier: boolean): ApplyAnswer {
    const none = { effects: null, evidence: null };
    return { kind: 'applied', reference: `ref-${key}`, ...none, earlier };
  }

  #take(key: WriteKey, operation: string, { plan }: Extract<Planned, { kind: 'planned' }>): void {
    for (const effect of plan.effects) put(this.rows, effect);
    this.#receipts.set(key, 'applied');
    this.book.push({
      target: this.name,
      key,
      effects: plan.effects,
      digest: planDigest(this.name, operation, plan),
      at: this.#ports.now(),
      isTakenBack: false,
    });
  }
}

function operationOf({ operation, steps }: PlanRequest): string {
  return steps === undefined ? operation : CHAIN_OPERATION;
}
