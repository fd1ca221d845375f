/** Row images: which columns a statement is asked to return, and how its rows become images. */
import pg from 'pg';
import { Refused } from '../../connector.ts';
import type { Catalog, Table } from '../catalog/catalog.ts';
import { byName, type RowImage } from './change.ts';
import type { TextRow } from '../session/rows.ts';

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

/**
 * Types whose text is what the server writes out anyway; of others a cast may make another (`true` of a
 * boolean, less blanks of a `character`). What is not sure is cast.
 */
const SAME_AS_TEXT =
  /^(?:smallint|integer|bigint|numeric(?:\([\d,-]+\))?|real|double precision|text|character varying(?:\(\d+\))?|date|time(?:stamp)?(?:\(\d\))? with(?:out)? time zone|interval|uuid|jsonb?|bytea)$/;

/** As `imageList`, for a COPY: the columns by name, and cast to text only where that makes a difference. */
export function copiedList(target: Table, qualifier: string): string {
  const side = pg.escapeIdentifier(qualifier);
  const columns = byName(target).map((at) => {
    const { name = '', type = '' } = target.columns[at] ?? {};
    return `${side}.${pg.escapeIdentifier(name)}${SAME_AS_TEXT.test(type) ? '' : '::text'}`;
  });
  return [`${side}.tableoid`, ...columns].join(', ');
}

/** Reads one side of the images out of a row; null where the side is not there. */
export function rowImage(catalog: Catalog, row: TextRow, from: number): RowImage | null {
  const oid = row[from] ?? null;
  if (oid === null) return null;
  const table = catalog.tables.get(Number(oid));
  if (table === undefined) throw partAdded();
  const values = row.slice(from + 1, from + 1 + catalog.target.columns.length);
  const places = table === catalog.target ? null : placesIn(catalog.target, table);
  // A partition may have its columns in another order than the whole, through which they came.
  return { table, values: places === null ? values : places.map((at) => values[at] ?? null) };
}

const places = new WeakMap<Table, { readonly of: Table; readonly at: readonly number[] | null }>();

/** Where the whole has each column of a part; null where they are the same. A column of its own: -1. */
function placesIn(whole: Table, part: Table): readonly number[] | null {
  const known = places.get(part);
  if (known?.of === whole) return known.at;
  const found = part.columns.map(({ name }) =>
    whole.columns.findIndex((each) => each.name === name),
  );
  const isSame = found.length === whole.columns.length && found.every((at, place) => at === place);
  const at = isSame ? null : found;
  places.set(part, { of: whole, at });
  return at;
}

/** The target and all its parts. */
export function treeOf({ target, tables }: Catalog): readonly Table[] {
  const parts = [...tables.values()].filter(
    (table) => table.oid !== target.oid && table.partOf.includes(target.resource),
  );
  return [target, ...parts];
}

/** Whether a statement on the whole shows every column of the part. */
export function isWhole(whole: Table, part: Table): boolean {
  return part.columns.every(({ name }) => whole.columns.some((each) => each.name === name));
}

export function partAdded(): Refused {
  return new Refused('target-busy', 'a partition was added in mid-measure; propose again', {
    permanent: false,
  });
}

/** A column's text in an image; undefined where its table has no such column. */
export function valueIn(image: RowImage, column: string): string | null | undefined {
  const at = image.table.columns.findIndex((each) => each.name === column);
  return at < 0 ? undefined : (image.values[at] ?? null);
}
