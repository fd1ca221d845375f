/** Rows as a COPY writes them out, read without a string for each value. */
import { valueOfField } from '../../../model/effect-lines.ts';
import type { Table } from '../catalog/catalog.ts';
import { byName, type Change, type Fields, type RowImage } from './change.ts';
import { partAdded } from './images.ts';
import type { TextRow } from '../session/rows.ts';
import type { Statement } from '../text/statement.ts';

const TAB = 9;
const BACKSLASH = 92;
const NULL_LETTER = 78;

/**
 * One changed row after the other, each in the same objects: who keeps one copies it. A line has for each
 * side the oid of the row's table, null where that side is not there, and the columns by name.
 */
export class CopiedRows {
  readonly #kind: Statement['kind'];
  readonly #first: CopiedImage;
  readonly #second: CopiedImage | null;

  constructor(table: Table, kind: Statement['kind'], hasBoth: boolean) {
    this.#kind = kind;
    this.#first = new CopiedImage(table);
    this.#second = hasBoth ? new CopiedImage(table) : null;
  }

  /** Reads the line from `from` to `to`, its line feed left out. Throws where it is of another table. */
  read(bytes: Buffer, from: number, to: number): Change {
    const end = this.#first.read(bytes, from, to);
    const first = this.#first.isThere ? this.#first : null;
    if (this.#second === null) {
      if (end !== to || first === null) throw unreadable();
      return this.#kind === 'delete'
        ? { kind: 'delete', before: first, after: null }
        : { kind: 'create', before: null, after: first };
    }
    if (this.#second.read(bytes, end + 1, to) !== to || !this.#second.isThere) throw unreadable();
    const isNew = this.#kind === 'insert' && first === null;
    return { kind: isNew ? 'create' : 'update', before: first, after: this.#second };
  }
}

class CopiedImage implements RowImage, Fields {
  readonly table: Table;
  readonly fields: Fields = this;
  readonly starts: Int32Array;
  bytes: Buffer = Buffer.alloc(0);
  from = 0;
  to = 0;
  size = 0;
  isThere = false;
  readonly #oid: Buffer;
  #values: TextRow | null = null;

  constructor(table: Table) {
    this.table = table;
    this.starts = new Int32Array(table.columns.length + 1);
    this.#oid = Buffer.from(String(table.oid), 'latin1');
  }

  get values(): TextRow {
    this.#values ??= this.#decoded();
    return this.#values;
  }

  /** Returns where the image ends: at a tab, or at `end`. */
  read(bytes: Buffer, start: number, end: number): number {
    this.bytes = bytes;
    this.#values = null;
    this.from = this.#readOid(start, end);
    const fields = this.starts.length - 1;
    let size = 0;
    let at = this.from;
    for (let field = 0; field < fields; field += 1) {
      if (at > end) throw unreadable();
      this.starts[field] = at;
      for (; at < end; at += 1) {
        const byte = bytes[at];
        if (byte === TAB) break;
        size += 1;
        // What follows stands for one byte, or for null.
        if (byte === BACKSLASH) {
          at += 1;
          if (bytes[at] === NULL_LETTER) size -= 1;
        }
      }
      at += 1;
    }
    this.starts[fields] = at;
    this.to = at - 1;
    this.size = size;
    return this.to;
  }

  /** Every row is one of the table itself, which has no parts. */
  #readOid(start: number, end: number): number {
    const { length } = this.#oid;
    this.isThere = this.bytes[start] !== BACKSLASH;
    const after = start + (this.isThere ? length : 2);
    if (after >= end) throw unreadable();
    for (let at = 0; this.isThere && at < length; at += 1) {
      if (this.bytes[start + at] !== this.#oid[at]) throw partAdded();
    }
    if (this.bytes[after] !== TAB) throw partAdded();
    return after + 1;
  }

  #decoded(): TextRow {
    const values: (string | null)[] = [];
    for (const [place, at] of byName(this.table).entries()) {
      const start = this.starts[place] ?? 0;
      const end = (this.starts[place + 1] ?? 0) - 1;
      values[at] = valueOfField(this.bytes.toString('utf8', start, end));
    }
    return values;
  }
}

function unreadable(): Error {
  return new Error('a row that was copied out has another number of fields');
}
