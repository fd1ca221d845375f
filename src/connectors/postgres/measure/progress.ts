/** How far the steps of one transaction have come: what they touched, and by which ids it is known. */
import { strict as assert } from 'node:assert';
import type { Cause } from '../../../model/plan.ts';
import type { CarryContext } from './carry.ts';
import { readChanged, type Changed } from '../catalog/touched.ts';
import type { Change, RowImage } from './change.ts';
import { keyOf, readOwn, type Own } from './evidence.ts';
import { holdVersions } from './evidence-again.ts';
import { footprintSince, readFootprint, type Footprint, type Touched } from './footprint.ts';
import { isChanged, type Since } from './run.ts';
import type { TextRow } from '../session/rows.ts';
import type { Lane } from './write.ts';

/** What one step names to write to, and whether others follow it. */
export interface StepAt {
  /** `schema.table` or `schema.view`. */
  readonly named: readonly string[];
  readonly isLast: boolean;
}

/** One for each try of a transaction. */
export class Progress {
  readonly #lane: Lane;
  readonly #context: CarryContext;
  readonly #receipts: number;
  /** Tables that were changed, described once. */
  readonly #changed = new Map<number, Changed>();
  /** Everything that was touched before the present step. */
  #before: Footprint | null = null;
  #now: Footprint | null = null;
  /** How many ids were given out before the present step, counted from the transaction's own. */
  #from = 0;
  #span: number | null = null;

  constructor(lane: Lane, context: CarryContext, receipts: number) {
    this.#lane = lane;
    this.#context = context;
    this.#receipts = receipts;
  }

  /** What the transaction has touched by the end of the last step; null before the first. */
  get footprint(): Footprint | null {
    return this.#before;
  }

  /** Whether an earlier step than the present one changed the relation. */
  isChanged(oid: number): boolean {
    return this.#changed.has(oid);
  }

  /** Begins a step: makes sure that what earlier ones wrote can still be told when this one has run. */
  async begin({ named, isLast }: StepAt): Promise<Since> {
    const { transaction } = this.#before ?? {};
    const readable = [...this.#changed.values()].filter(({ unread }) => unread === null);
    if (transaction !== null && transaction !== undefined && readable.length > 0) {
      const own = { id: idOf(transaction), from: 0, span: this.#from };
      await holdVersions(this.#lane.session, readable, own);
    }
    return {
      isChanged: (oid) => this.isChanged(oid),
      footprint: async () => {
        const { settings } = this.#context;
        const { session } = this.#lane;
        this.#now = await readFootprint(session, settings, this.#receipts, !isLast);
        return footprintSince(this.#now, this.#before, named);
      },
      own: (of) => this.#own(of),
    };
  }

  /** Ends the step that ran: what it touched is earlier for the next. */
  async end(touched: Footprint): Promise<void> {
    const { relations, transaction } = touched;
    const changed = relations.filter(isChanged);
    if (changed.length > 0) {
      assert(transaction !== null, 'what changed has its id');
      if (this.#span === null) await this.#own(transaction);
      await this.#describe(changed);
    }
    this.#from = this.#span ?? this.#from;
    this.#span = null;
    this.#before = this.#now;
  }

  async #own(transaction: string): Promise<Own> {
    const { id, span } = await readOwn(this.#context.sessions, transaction);
    this.#span = span;
    return { id, from: this.#from, span };
  }

  async #describe(changed: readonly Touched[]): Promise<void> {
    const fresh = changed.filter(({ oid }) => !this.#changed.has(oid));
    const { session, snapshot } = this.#lane;
    for (const each of await readChanged(session, snapshot, fresh)) {
      this.#changed.set(each.table.oid, each);
    }
  }
}

function idOf(transaction: string): string {
  return String(BigInt(transaction) & 0xffff_ffffn);
}

/** Rows whose course is remembered over all steps; of more, it is not told which step changed them how. */
const COURSES_MAX = 200_000;

/**
 * Remembers, over all steps, which rows a statement changed itself and which got another key, so that
 * what the whole leaves can be told the same way.
 */
export class Courses {
  /** By table and key; null: by a statement itself. */
  readonly #causes = new Map<string, Cause | null>();
  /** By table, then by the key that a row has now: the key that it had at first. */
  readonly #origins = new Map<number, Map<string, TextRow>>();
  readonly #moving = new Map<number, Map<string, TextRow>>();
  #rows = 0;

  note(changes: readonly Change[]): void {
    for (const change of changes) {
      const { before, after, by } = change;
      for (const image of [before, after]) if (image !== null) this.#mark(image, by ?? null);
      if (before !== null && after !== null && before.table.oid === after.table.oid) {
        this.#move(before, after);
      }
    }
  }

  /** Ends a step: keys that it gave are those that the next one finds. */
  endStep(): void {
    for (const [oid, moves] of this.#moving) {
      const known = this.#origins.get(oid) ?? new Map<string, TextRow>();
      const found = [...moves].map(([to, from]) => {
        const text = JSON.stringify(from);
        return { to, from: text, origin: known.get(text) ?? from };
      });
      for (const { from } of found) known.delete(from);
      for (const { to, origin } of found) {
        if (JSON.stringify(origin) === to) known.delete(to);
        else known.set(to, origin);
      }
      this.#origins.set(oid, known);
    }
    this.#moving.clear();
  }

  originsOf(oid: number): ReadonlyMap<string, TextRow> {
    return this.#origins.get(oid) ?? new Map();
  }

  /** The same change with what made it: a statement, where one changed the row in any step. */
  withCause(change: Change): Change {
    const causes = [change.before, change.after].flatMap((image) => {
      const cause = image === null ? undefined : this.#causes.get(nameOf(image));
      return cause === undefined ? [] : [cause];
    });
    const [by] = causes;
    return by === undefined || by === null || causes.includes(null) ? change : { ...change, by };
  }

  #mark(image: RowImage, by: Cause | null): void {
    const name = nameOf(image);
    if (this.#causes.get(name) === null) return;
    if (!this.#causes.has(name) && !this.#hasRoom()) return;
    this.#causes.set(name, by);
  }

  #move(before: RowImage, after: RowImage): void {
    const { key, oid } = after.table;
    const [from, to] = [keyOf(before), JSON.stringify(keyOf(after))];
    if (key.length === 0 || JSON.stringify(from) === to || !this.#hasRoom()) return;
    const moves = this.#moving.get(oid) ?? new Map<string, TextRow>();
    this.#moving.set(oid, moves.set(to, from));
  }

  #hasRoom(): boolean {
    this.#rows += 1;
    return this.#rows <= COURSES_MAX;
  }
}

/** Rows of a table without a key are told by all of their columns. */
function nameOf({ table, values }: RowImage): string {
  return JSON.stringify([table.oid, table.key.length === 0 ? values : keyOf({ table, values })]);
}
