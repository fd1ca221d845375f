/**
 * How changed rows of one table are written down: for the digest, for the evidence, and as effects.
 * The form of a row is the digest of its making, then its fields as `effect-lines.ts` has them.
 */
import { canonicalJson } from '../../../lib/canonical.ts';
import { hash } from 'node:crypto';
import { fieldOf, NULL_FIELD, type EffectMaking } from '../../../model/effect-lines.ts';
import type { Cause, Effect, Image } from '../../../model/plan.ts';
import type { Table } from '../catalog/catalog.ts';
import { byName, type Change, type Fields, type RowImage } from './change.ts';
import type { Masks } from './masks.ts';

type Kind = Effect['kind'];

/** A row's form; good only until the next one is written. */
export interface Written {
  /** Of which the form is the whole. */
  readonly form: Buffer;
  readonly bytes: Buffer;
  /** Where the fields begin, the tab of the first included. */
  readonly fields: number;
  readonly end: number;
}

const TAB = 9;
/** A SHA-256 in base64. */
const MAKING_BYTES = 44;
const ROOM_BYTES = 16_384;
const VIEWS_MAX = 2_048;
/** A larger room is given back after the row that took it. */
const ROOM_KEPT_BYTES = 1_048_576;
/** UTF-8 bytes that one unit of a string may come to. */
const BYTES_A_UNIT = 3;

/** Room for one row, for all forms together: each is read before the next is written. */
let room: Buffer = Buffer.allocUnsafeSlow(ROOM_BYTES);
/** Views of it by their length: forms are alike in length, and a view is dearer than what it is used for. */
let views: Buffer[] = [];

function makeRoom(used: number, more: number): void {
  if (used + more <= room.length) return;
  const larger = Buffer.allocUnsafeSlow(2 * (used + more));
  room.copy(larger, 0, 0, used);
  room = larger;
  views = [];
}

function viewTo(end: number): Buffer {
  if (end > VIEWS_MAX) return room.subarray(0, end);
  return (views[end] ??= room.subarray(0, end));
}

/**
 * One for each table of a write, with its masks. With `hidesBefore` they hold for the images before too:
 * an earlier step of the same transaction may have put there what only the commit knows.
 */
export class Form {
  readonly table: Table;
  readonly masked: ReadonlySet<string>;
  readonly #hidesBefore: boolean;
  readonly #order: readonly number[];
  /** By the place of a field. */
  readonly #hidden: readonly boolean[] | null;
  readonly #key: readonly { readonly at: number; readonly isMasked: boolean }[];
  readonly #digests: Partial<Record<Kind, string>> = {};

  constructor(table: Table, masks: Masks, hidesBefore = false) {
    this.table = table;
    this.#hidesBefore = hidesBefore;
    this.masked = masks.of(table);
    this.#order = byName(table);
    const isMasked = this.#order.map((at) => this.masked.has(table.columns[at]?.name ?? ''));
    this.#hidden = isMasked.includes(true) ? isMasked : null;
    this.#key = table.key.map((name) => ({
      at: table.columns.findIndex((column) => column.name === name),
      isMasked: this.masked.has(name),
    }));
  }

  /** Whether a row's form differs with its masks. */
  hides({ after }: Change): boolean {
    return this.#hidden !== null && (after !== null || this.#hidesBefore);
  }

  making(kind: Kind, by: Cause | undefined): EffectMaking {
    const places: number[] = [];
    for (const [place, at] of this.#order.entries()) places[at] = place;
    return {
      resource: this.table.resource,
      kind,
      columns: this.table.columns.map(({ name }) => name),
      places,
      key: this.#key.map(({ at }) => places[at] ?? -1),
      ...(by === undefined ? {} : { by }),
    };
  }

  /** Writes the form of a row, masked columns as null in the image after. */
  write({ kind, before, after }: Change, isMasked: boolean): Written {
    if (room.length > ROOM_KEPT_BYTES) {
      room = Buffer.allocUnsafeSlow(ROOM_BYTES);
      views = [];
    }
    room.write(this.#digestOf(kind), 0, 'latin1');
    let end = MAKING_BYTES;
    const hiddenBefore = isMasked && this.#hidesBefore ? this.#hidden : null;
    if (before !== null) end = this.#put(before, hiddenBefore, end);
    if (after !== null) end = this.#put(after, isMasked ? this.#hidden : null, end);
    return { form: viewTo(end), bytes: room, fields: MAKING_BYTES, end };
  }

  effect(change: Change, isMasked: boolean): Effect {
    const { kind, before, after, by } = change;
    return {
      resource: this.table.resource,
      kind,
      key: this.#keyOf(change, isMasked),
      before: this.#image(before, isMasked && this.#hidesBefore),
      after: this.#image(after, isMasked),
      ...(by === undefined ? {} : { by }),
    };
  }

  /** Of what makes the rows what they are, beside their values. */
  #digestOf(kind: Kind): string {
    const known = this.#digests[kind];
    if (known !== undefined) return known;
    const { resource, columns, key } = this.table;
    const names = this.#order.map((at) => columns[at]?.name ?? '');
    const digest = hash('sha256', canonicalJson([resource, kind, names, key]), 'base64');
    this.#digests[kind] = digest;
    return digest;
  }

  #put(image: RowImage, hidden: readonly boolean[] | null, at: number): number {
    if (image.fields !== undefined) return putFields(image.fields, hidden, at);
    let text = '';
    for (const [place, column] of this.#order.entries()) {
      const isHidden = hidden !== null && hidden[place] === true;
      text += `\t${isHidden ? NULL_FIELD : fieldOf(image.values[column] ?? null)}`;
    }
    makeRoom(at, text.length * BYTES_A_UNIT);
    return at + room.write(text, at, 'utf8');
  }

  #keyOf({ before, after }: Change, isMasked: boolean): (string | null)[] {
    return this.#key.map((part) => {
      if (isMasked && (before === null || this.#hidesBefore) && part.isMasked) return null;
      return (before ?? after)?.values[part.at] ?? null;
    });
  }

  #image(image: RowImage | null, isMasked: boolean): Image | null {
    if (image === null) return null;
    const columns = this.table.columns.map(({ name }, at): [string, string | null] => [
      name,
      isMasked && this.masked.has(name) ? null : (image.values[at] ?? null),
    ]);
    return Object.fromEntries(columns);
  }
}

/** The server's own fields are written as `fieldOf` writes them. */
function putFields(fields: Fields, hidden: readonly boolean[] | null, at: number): number {
  const { bytes, from, to, starts } = fields;
  makeRoom(at, to - from + 1 + NULL_FIELD.length * starts.length);
  if (hidden === null) {
    room[at] = TAB;
    return at + 1 + bytes.copy(room, at + 1, from, to);
  }
  let end = at;
  for (const [place, isHidden] of hidden.entries()) {
    room[end] = TAB;
    end += 1;
    if (isHidden) end += room.write(NULL_FIELD, end, 'latin1');
    else end += bytes.copy(room, end, starts[place] ?? 0, (starts[place + 1] ?? 0) - 1);
  }
  return end;
}
