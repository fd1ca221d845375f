/** Adds up the changed rows of one write as they stream by: counts, digest, value, samples, evidence. */
import { strict as assert } from 'node:assert';
import type { Digest } from '../../../lib/canonical.ts';
import type { ProposalId } from '../../../model/ids.ts';
import {
  PLAN_BOUNDS,
  type Cause,
  type ColumnChange,
  type Effect,
  type EvidenceReference,
} from '../../../model/plan.ts';
import type { EvidenceFiles, EvidenceWriter } from '../../../model/ports.ts';
import { Refused } from '../../connector.ts';
import type { Table } from '../catalog/catalog.ts';
import { imageBytes, type Change, type RowImage } from './change.ts';
import { ColumnDiffs } from './columns.ts';
import { Digests } from './digests.ts';
import { Form } from './form.ts';
import { ROWS_MEASURED_MAX, valueIn } from './images.ts';
import { Lines } from './lines.ts';
import type { Masks } from './masks.ts';
import type { RecipientCount } from './recipients.ts';
import type { ValueSum } from './value.ts';

/** Changed rows of one table that came about in one way. */
export interface Counted {
  readonly table: Table;
  readonly by: Cause | undefined;
  created: number;
  updated: number;
  deleted: number;
}

/** What was added up. */
export interface Tallied {
  readonly counts: readonly Counted[];
  /** The first ones, ordered by resource and key; masked columns are null in `after`. */
  readonly effects: readonly Effect[];
  /** As `effects`, with the real values of masked columns. */
  readonly filled: readonly Effect[];
  readonly effectsOmitted: number;
  readonly effectsDigest: Digest;
  readonly evidence: EvidenceReference | null;
  /** As `evidence`, with the real values of masked columns; the same where none is masked. */
  readonly filledEvidence: EvidenceReference | null;
  readonly columns: readonly ColumnChange[];
  readonly bytes: number;
  readonly value: ValueSum;
  readonly recipients: RecipientCount;
}

export interface TallyOptions {
  readonly rowsMax: number;
  readonly value: ValueSum;
  readonly recipients: RecipientCount;
  readonly masks: Masks;
  /** Where the effects go once they are more than `rowsMax`; undefined: the rest is only digested. */
  readonly evidence: EvidenceFiles | undefined;
  readonly owner: ProposalId | undefined;
  readonly step?: TalliedStep;
}

/** What is different about the rows of one step of several. */
export interface TalliedStep {
  /** Whether images before, in this table, may hold what an earlier step put there. */
  readonly isAgain: (table: Table) => boolean;
  /** Bytes of images that the plan still has room for. */
  readonly roomBytes: number;
}

/** How a change of each kind is counted. */
export const COUNTED: { readonly [Kind in Effect['kind']]: `${Kind}d` } = {
  create: 'created',
  update: 'updated',
  delete: 'deleted',
};

interface Kept {
  readonly masked: Effect;
  readonly filled: Effect;
  readonly digest: string;
}

/** What is put together once for all rows that came about in one way. */
interface Making {
  readonly form: Form;
  readonly counted: Counted;
  /** Whether an amount or a recipient of the table is mapped. */
  readonly isMapped: boolean;
  /** How its lines begin; none where no evidence is kept. */
  readonly lines: number;
  readonly filledLines: number;
}

/** Lines for one evidence file, which is begun when the plan cannot hold them. */
interface Evidence {
  readonly lines: Lines;
  writer: EvidenceWriter | null;
}

/** Takes rows one by one, in any order, and keeps bounded memory: 32 bytes a row and `rowsMax` images. */
export class Tally {
  readonly #options: TallyOptions;
  readonly #counts = new Map<Table | string, Counted>();
  readonly #digests = new Digests();
  readonly #columns = new ColumnDiffs();
  readonly #forms = new Map<Table, Form>();
  readonly #makings = new Map<string, Making>();
  readonly #direct = new Map<Table, Partial<Record<Effect['kind'], Making>>>();
  readonly #evidence: Evidence | null;
  /** Null where no column is masked. */
  readonly #filled: Evidence | null;
  readonly #kept: Kept[] = [];
  /** Whether the plan does not hold all of them. */
  #isOver = false;
  #bytes = 0;

  constructor(options: TallyOptions) {
    this.#options = options;
    const isMasked = options.masks.names().length > 0;
    this.#evidence = options.evidence === undefined ? null : { lines: new Lines(), writer: null };
    this.#filled = isMasked && this.#evidence ? { lines: new Lines(), writer: null } : null;
  }

  get counts(): readonly Counted[] {
    return [...this.#counts.values()];
  }

  /** Whether `spill` has something to do. */
  get isFull(): boolean {
    return this.#isOver && (this.#evidence?.lines.isFull ?? false);
  }

  /** Adds changed rows. A row that moved to another partition is deleted there and created here. */
  async add(changes: readonly Change[]): Promise<void> {
    for (const change of changes) this.addOne(change);
    await this.spill();
  }

  /** As `add`; who calls it calls `spill` when there is time. */
  addOne(change: Change): void {
    const { before, after, by } = change;
    if (before !== null && after !== null && before.table.oid !== after.table.oid) {
      this.#one({ kind: 'delete', before, after: null, ...(by === undefined ? {} : { by }) });
      this.#one({ kind: 'create', before: null, after, ...(by === undefined ? {} : { by }) });
    } else {
      this.#one(change);
    }
  }

  /** Gives to the evidence what the plan cannot hold. */
  async spill(isLast = false): Promise<void> {
    const { evidence, owner } = this.#options;
    if (!this.#isOver || evidence === undefined) return;
    for (const each of [this.#evidence, this.#filled]) {
      if (each === null) continue;
      each.writer ??= await evidence.create(owner);
      await each.lines.flush(each.writer, isLast);
    }
  }

  async finish(): Promise<Tallied> {
    await this.spill(true);
    const kept = this.#kept.toSorted(byResourceAndKey);
    const evidence = (await this.#evidence?.writer?.finish()) ?? null;
    const filledEvidence = (await this.#filled?.writer?.finish()) ?? evidence;
    return {
      counts: this.counts,
      effects: kept.map((each) => each.masked),
      filled: kept.map((each) => each.filled),
      effectsOmitted: this.#digests.count - kept.length,
      effectsDigest: this.#digests.finish(),
      evidence,
      filledEvidence,
      columns: this.#columns.changes(),
      bytes: this.#bytes,
      value: this.#options.value,
      recipients: this.#options.recipients,
    };
  }

  /** Drops what went to the evidence; for a run that comes to nothing. */
  async discard(): Promise<void> {
    await this.#evidence?.writer?.discard();
    await this.#filled?.writer?.discard();
  }

  #one(change: Change): void {
    if (this.#digests.count >= ROWS_MEASURED_MAX) {
      throw new Refused(
        'effect-unmeasurable',
        `the write changes more than ${ROWS_MEASURED_MAX} rows; propose it in parts`,
      );
    }
    const { before, after, kind } = change;
    const table = after?.table ?? before?.table;
    assert(table !== undefined, 'a changed row has an image');
    const making = this.#makingOf(table, change);
    const { form, counted } = making;
    counted[COUNTED[kind]] += 1;
    this.#bytes += imageBytes(before) + imageBytes(after);
    if (before !== null && after !== null) this.#columns.add(before, after, form.masked);
    if (making.isMapped) this.#mapped(form, change);
    const written = form.write(change, true);
    this.#digests.add(written.form);
    this.#evidence?.lines.add(making.lines, written);
    this.#filled?.lines.add(making.filledLines, form.write(change, false));
    if (this.#kept.length < this.#options.rowsMax && !this.#isLarge()) this.#keep(form, change);
    else this.#isOver = true;
  }

  #keep(form: Form, change: Change): void {
    const filled = form.effect(change, false);
    const masked = form.hides(change) ? form.effect(change, true) : filled;
    this.#kept.push({ filled, masked, digest: this.#digests.last() });
  }

  /** Gives columns by name to what counts them; undefined for what is not known before the commit. */
  #mapped({ table, masked }: Form, { before, after, kind }: Change): void {
    const { value, recipients } = this.#options;
    const named = (image: RowImage | null) =>
      image && ((name: string) => (masked.has(name) ? undefined : valueIn(image, name)));
    const [from, to] = [named(before), named(after)];
    value.add(table.resource, from, to, kind);
    recipients.add(table.resource, from, to);
  }

  #isLarge(): boolean {
    return this.#bytes > (this.#options.step?.roomBytes ?? PLAN_BOUNDS.imageBytesMax);
  }

  #makingOf(table: Table, { kind, by }: Change): Making {
    if (by !== undefined) {
      const name = `${table.oid} ${kind} ${by.attribution} ${by.via ?? ''}`;
      const known = this.#makings.get(name) ?? this.#newMaking(table, kind, by);
      this.#makings.set(name, known);
      return known;
    }
    let direct = this.#direct.get(table);
    if (direct === undefined) this.#direct.set(table, (direct = {}));
    return (direct[kind] ??= this.#newMaking(table, kind, undefined));
  }

  #newMaking(table: Table, kind: Effect['kind'], by: Cause | undefined): Making {
    const isAgain = this.#options.step?.isAgain(table) ?? false;
    const form = this.#forms.get(table) ?? new Form(table, this.#options.masks, isAgain);
    this.#forms.set(table, form);
    const name = by === undefined ? table : `${table.oid} ${by.attribution} ${by.via ?? ''}`;
    const counted = this.#counts.get(name) ?? { table, by, created: 0, updated: 0, deleted: 0 };
    this.#counts.set(name, counted);
    const making = form.making(kind, by);
    const tables = [table.resource, ...table.partOf];
    const { value, recipients } = this.#options;
    return {
      form,
      counted,
      isMapped: value.covers(tables) || recipients.covers(tables),
      lines: this.#evidence?.lines.addMaking(making) ?? 0,
      filledLines: this.#filled?.lines.addMaking(making) ?? 0,
    };
  }
}

/** What the statement did itself first: it is what people look for. */
function byResourceAndKey(left: Kept, right: Kept): number {
  const isIndirect = ({ masked }: Kept): number => (masked.by === undefined ? 0 : 1);
  if (isIndirect(left) !== isIndirect(right)) return isIndirect(left) - isIndirect(right);
  if (left.masked.resource !== right.masked.resource) {
    return left.masked.resource < right.masked.resource ? -1 : 1;
  }
  const length = Math.max(left.masked.key.length, right.masked.key.length);
  for (let at = 0; at < length; at += 1) {
    const order = byText(left.masked.key[at] ?? null, right.masked.key[at] ?? null);
    if (order !== 0) return order;
  }
  return left.digest < right.digest ? -1 : 1;
}

const WHOLE = /^-?\d{1,15}$/;

/** Whole numbers by size, so that people find rows where they look for them; other text by code unit. */
function byText(left: string | null, right: string | null): number {
  if (left === right) return 0;
  if (left === null) return -1;
  if (right === null) return 1;
  if (WHOLE.test(left) && WHOLE.test(right)) return Number(left) - Number(right);
  return left < right ? -1 : 1;
}
