/** The rows that a statement on a sealed table returned, and the plan that they come to. */
import type { Carried, CarryContext } from './carry.ts';
import type { Catalog } from '../catalog/catalog.ts';
import type { Change } from './change.ts';
import { CopiedRows } from './copied.ts';
import type { Taker } from './copy-out.ts';
import { openGuards, type Guards } from './guards.ts';
import { rowImage } from './images.ts';
import type { Guard } from '../catalog/known.ts';
import type { TextRow } from '../session/rows.ts';
import { RecipientCount } from './recipients.ts';
import { sealedPlan } from './sealed-plan.ts';
import type { Ready } from './sealed-ready.ts';
import type { Statement } from '../text/statement.ts';
import { COUNTED, Tally } from './tally.ts';
import { ValueSum } from './value.ts';

/** Takes the rows that the statement returned, and makes the plan of them. */
export class Measure implements Taker {
  readonly #statement: Statement;
  readonly #ready: Ready;
  readonly #catalog: Catalog;
  readonly #tally: Tally;
  readonly #guards: Guards;
  readonly #counts = { created: 0, updated: 0, deleted: 0 };
  #copied: CopiedRows | null = null;
  /** What a copied row is refused for, told when the stamp is known (K1). */
  #failure: Error | null = null;

  constructor(statement: Statement, ready: Ready, context: CarryContext) {
    const { settings, evidence, owner } = context;
    const { masks, named } = ready;
    const { target } = ready.sealed.catalog;
    this.#statement = statement;
    this.#ready = ready;
    this.#catalog = ready.sealed.catalog;
    this.#guards = openGuards(settings, { kind: 'agent', named });
    const { rowsMax } = settings;
    const wholes = new Map([[target.resource, target.partOf]]);
    const value = new ValueSum(settings, wholes, context.stated);
    const recipients = new RecipientCount(settings, wholes);
    this.#tally = new Tally({ rowsMax, value, recipients, masks, evidence, owner });
  }

  get table(): string {
    return this.#catalog.target.resource;
  }

  /** Takes one row that was copied out. */
  take(bytes: Buffer, from: number, to: number): void {
    if (this.#failure !== null) return;
    try {
      this.#copied ??= new CopiedRows(
        this.#catalog.target,
        this.#statement.kind,
        this.#ready.hasBoth,
      );
      const change = this.#copied.read(bytes, from, to);
      this.#counts[COUNTED[change.kind]] += 1;
      this.#guards.add(change);
      this.#tally.addOne(change);
    } catch (error) {
      this.#failure = error instanceof Error ? error : new Error(String(error));
    }
  }

  rest(): Promise<void> | null {
    return this.#tally.isFull ? this.#tally.spill() : null;
  }

  async takeAll(rows: readonly TextRow[]): Promise<void> {
    const changes = rows.map((row) => this.#change(row));
    for (const change of changes) {
      this.#counts[`${change.kind}d`] += 1;
      this.#guards.add(change);
    }
    await this.#tally.add(changes);
  }

  /** Answers `more` where the counters know of work that no row shows (S2). */
  async finish(guard: Guard): Promise<Carried | 'more'> {
    if (this.#failure !== null) throw this.#failure;
    const { created, updated, deleted } = this.#counts;
    const isWhole =
      created === guard.created && updated === guard.updated && deleted === guard.deleted;
    // An INSERT that made no row may have used up a sequence, which the full lane tells of.
    const isQuiet = this.#statement.kind !== 'insert' || created > 0;
    if (!isWhole || !isQuiet) {
      await this.discard();
      return 'more';
    }
    const { resource } = this.#catalog.target;
    const counts = { resource, attribution: 'direct', via: null, ...this.#counts } as const;
    this.#guards.finish(created + updated + deleted === 0 ? [] : [counts]);
    const tallied = await this.#tally.finish();
    const plan = sealedPlan(this.#statement, this.#catalog, this.#ready.masks, tallied);
    const isMasked = plan.maskedColumns.length > 0;
    return {
      plan,
      filled: isMasked ? tallied.filled : null,
      filledEvidence: isMasked ? tallied.filledEvidence : null,
      transaction: guard.transaction,
    };
  }

  async discard(): Promise<void> {
    await this.#tally.discard();
  }

  #change(row: TextRow): Change {
    const { kind } = this.#statement;
    const first = rowImage(this.#catalog, row, 0);
    if (this.#ready.hasBoth) {
      const after = rowImage(this.#catalog, row, this.#catalog.target.columns.length + 1);
      const isNew = kind === 'insert' && first === null;
      return { kind: isNew ? 'create' : 'update', before: first, after };
    }
    return kind === 'delete'
      ? { kind: 'delete', before: first, after: null }
      : { kind: 'create', before: null, after: first };
  }
}
