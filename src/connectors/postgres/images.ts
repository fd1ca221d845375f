/** Row images: which columns are fetched, how a row becomes an effect, how effects are digested. */
import { strict as assert } from 'node:assert';
import { hash } from 'node:crypto';
import pg from 'pg';
import type { Digest } from '../../lib/canonical.ts';
import { PLAN_BOUNDS, type Effect, type Image } from '../../model/plan.ts';
import { Refused } from '../connector.ts';
import type { Catalog, Table } from './catalog.ts';
import type { RowImage } from './change.ts';
import type { TextRow } from './rows.ts';
import type { ValueSum } from './value.ts';

/** Beyond this a statement is not measured: the digests of its rows would no longer fit into memory. */
export const ROWS_MEASURED_MAX = 1_000_000;

/** Aliases that no statement may use; the server refuses a second table of the name. */
export const OLD = 'writegate_old';
export const NEW = 'writegate_new';

/** The columns of one side of the images: the table's oid first, then each column as text. */
export function imageList(target: Table, qualifier: string): string {
  const side = pg.escapeIdentifier(qualifier);
  const columns = target.columns.map(
    (column) => `${side}.${pg.escapeIdentifier(column.name)}::text`,
  );
  return [`${side}.tableoid::text`, ...columns].join(', ');
}

/** Reads one side of the images out of a row; null where the side is not there. */
export function rowImage(catalog: Catalog, row: TextRow, from: number): RowImage | null {
  const oid = row[from] ?? null;
  if (oid === null) return null;
  const table = catalog.tables.get(Number(oid));
  if (table === undefined) {
    throw new Refused('target-busy', 'a partition was added in mid-measure; propose again', {
      permanent: false,
    });
  }
  return { table, values: row.slice(from + 1, from + 1 + catalog.target.columns.length) };
}

export interface DirectCount {
  created: number;
  updated: number;
  deleted: number;
}

/** The direct effects of one write, measured. */
export interface Direct {
  readonly counts: ReadonlyMap<number, Readonly<DirectCount>>;
  /** The first ones, ordered by resource and key; masked columns are null in `after`. */
  readonly effects: readonly Effect[];
  /** As `effects`, with the real values of masked columns. */
  readonly filled: readonly Effect[];
  readonly effectsOmitted: number;
  readonly effectsDigest: Digest;
  readonly bytes: number;
  readonly value: ValueSum;
  /** Rows whose image before the write could not be had. */
  readonly imagesMissing: number;
  /** False where a row lies in a child table with columns that the parent does not have. */
  readonly imagesWhole: boolean;
}

interface Kept {
  readonly masked: Effect;
  readonly filled: Effect;
  readonly digest: string;
}

/**
 * Takes rows one by one, in any order, and keeps bounded memory: 44 characters for each row and the
 * images of the first `rowsMax`.
 */
export class Tally {
  readonly #catalog: Catalog;
  readonly #names: readonly { readonly name: string; readonly json: string; readonly at: number }[];
  readonly #masked: ReadonlySet<string>;
  readonly #rowsMax: number;
  readonly #counts = new Map<number, DirectCount>();
  readonly #digests: string[] = [];
  readonly #kept: Kept[] = [];
  readonly #value: ValueSum;
  #bytes = 0;
  #imagesMissing = 0;
  #imagesWhole = true;

  constructor(
    catalog: Catalog,
    masked: ReadonlySet<string>,
    options: { readonly rowsMax: number; readonly value: ValueSum },
  ) {
    this.#catalog = catalog;
    this.#masked = masked;
    this.#rowsMax = options.rowsMax;
    this.#value = options.value;
    this.#names = catalog.target.columns
      .map((column, at) => ({ name: column.name, json: JSON.stringify(column.name), at }))
      .toSorted((left, right) => (left.name < right.name ? -1 : 1));
  }

  /** Adds one changed row. A row that moved to another partition is deleted there and created here. */
  add(before: RowImage | null, after: RowImage | null, kind: Effect['kind']): void {
    if (before !== null && after !== null && before.table.oid !== after.table.oid) {
      this.#one(before, null, 'delete', before.table);
      this.#one(null, after, 'create', after.table);
      return;
    }
    const table = after?.table ?? before?.table;
    assert(table !== undefined, 'a changed row has an image');
    this.#one(before, after, kind, table);
  }

  finish(): Direct {
    const kept = this.#kept.toSorted(byResourceAndKey);
    return {
      counts: this.#counts,
      effects: kept.map((each) => each.masked),
      filled: kept.map((each) => each.filled),
      effectsOmitted: this.#digests.length - kept.length,
      effectsDigest: `sha256:${hash('sha256', this.#digests.toSorted().join('\n'), 'hex')}`,
      bytes: this.#bytes,
      value: this.#value,
      imagesMissing: this.#imagesMissing,
      imagesWhole: this.#imagesWhole,
    };
  }

  #one(before: RowImage | null, after: RowImage | null, kind: Effect['kind'], table: Table): void {
    if (this.#digests.length >= ROWS_MEASURED_MAX) {
      throw new Refused(
        'effect-unmeasurable',
        `the write changes more than ${ROWS_MEASURED_MAX} rows; propose it in parts`,
      );
    }
    this.#count(table, kind);
    if (kind !== 'create' && before === null) this.#imagesMissing += 1;
    if (table.columns.length !== this.#catalog.target.columns.length) this.#imagesWhole = false;
    this.#bytes += imageBytes(before) + imageBytes(after);
    this.#value.add(table.resource, this.#valueOf(before), this.#valueOf(after), kind);
    const key = this.#key(table, before, after, true);
    const digest = hash(
      'sha256',
      this.#canonical(table.resource, kind, key, before, after),
      'base64',
    );
    this.#digests.push(digest);
    if (this.#kept.length >= this.#rowsMax || this.#bytes > PLAN_BOUNDS.imageBytesMax) return;
    const effect = { resource: table.resource, kind, key, before: this.#image(before, false) };
    const filled = {
      ...effect,
      key: this.#key(table, before, after, false),
      after: this.#image(after, false),
    };
    const isMasked = this.#masked.size > 0 && after !== null;
    const masked = isMasked ? { ...effect, after: this.#image(after, true) } : filled;
    this.#kept.push({ masked, filled, digest });
  }

  #count(table: Table, kind: Effect['kind']): void {
    const count = this.#counts.get(table.oid) ?? { created: 0, updated: 0, deleted: 0 };
    if (kind === 'create') count.created += 1;
    else if (kind === 'update') count.updated += 1;
    else count.deleted += 1;
    this.#counts.set(table.oid, count);
  }

  #key(
    table: Table,
    before: RowImage | null,
    after: RowImage | null,
    isMasked: boolean,
  ): (string | null)[] {
    return table.key.map((column) => {
      if (isMasked && before === null && this.#masked.has(column)) return null;
      const at = this.#catalog.target.columns.findIndex((each) => each.name === column);
      return (before ?? after)?.values[at] ?? null;
    });
  }

  /** The canonical form of `effectJson(effect)`, written directly because it is made for every row. */
  #canonical(
    resource: string,
    kind: string,
    key: readonly (string | null)[],
    before: RowImage | null,
    after: RowImage | null,
  ): string {
    return (
      `[${JSON.stringify(resource)},"${kind}",${JSON.stringify(key)},` +
      `${this.#canonicalImage(before, false)},${this.#canonicalImage(after, true)}]`
    );
  }

  #canonicalImage(image: RowImage | null, isMasked: boolean): string {
    if (image === null) return 'null';
    let text = '{';
    for (const { name, json, at } of this.#names) {
      const value = isMasked && this.#masked.has(name) ? null : (image.values[at] ?? null);
      text += `${text === '{' ? '' : ','}${json}:${JSON.stringify(value)}`;
    }
    return `${text}}`;
  }

  #image(image: RowImage | null, isMasked: boolean): Image | null {
    if (image === null) return null;
    const columns = this.#catalog.target.columns.map(({ name }, at): [string, string | null] => [
      name,
      isMasked && this.#masked.has(name) ? null : (image.values[at] ?? null),
    ]);
    return Object.fromEntries(columns);
  }

  #valueOf(image: RowImage | null): ((column: string) => string | null | undefined) | null {
    if (image === null) return null;
    return (column) => {
      const at = this.#catalog.target.columns.findIndex((each) => each.name === column);
      if (at < 0 || this.#masked.has(column)) return undefined;
      return image.values[at] ?? null;
    };
  }
}

function imageBytes(image: RowImage | null): number {
  let bytes = 0;
  for (const value of image?.values ?? []) bytes += value === null ? 0 : Buffer.byteLength(value);
  return bytes;
}

function byResourceAndKey(left: Kept, right: Kept): number {
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
