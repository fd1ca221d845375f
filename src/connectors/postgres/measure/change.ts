/** What every part of a measure hands on: one changed row with both images. */
import type { Cause, Effect } from '../../../model/plan.ts';
import type { Table } from '../catalog/catalog.ts';
import type { TextRow } from '../session/rows.ts';

/** One row of a table as text, with the table it lies in. */
export interface RowImage {
  readonly table: Table;
  /** In the order of `table.columns`. */
  readonly values: TextRow;
  /** The same as the server wrote it, where it came that way; good only until the next row is read. */
  readonly fields?: Fields;
}

/** An image as fields of a COPY, which a tab stands between, in the order of the columns' names. */
export interface Fields {
  readonly bytes: Buffer;
  readonly from: number;
  readonly to: number;
  /** Bytes that the values have, together. */
  readonly size: number;
  /** Where each field begins; it ends one before the next begins. */
  readonly starts: Int32Array;
}

/** A changed row. `by` is absent where the statement itself changed it. */
export interface Change {
  readonly kind: Effect['kind'];
  readonly before: RowImage | null;
  readonly after: RowImage | null;
  readonly by?: Cause;
  /** The image before is what an earlier step of the same transaction left. */
  readonly again?: true;
}

const orders = new WeakMap<Table, readonly number[]>();

/** The columns of a table in the order of their names, in which a field stands for each. */
export function byName(table: Table): readonly number[] {
  const known = orders.get(table);
  if (known !== undefined) return known;
  const order = [...table.columns.keys()].toSorted((left, right) =>
    (table.columns[left]?.name ?? '') < (table.columns[right]?.name ?? '') ? -1 : 1,
  );
  orders.set(table, order);
  return order;
}

/** The bytes of all values. */
export function imageBytes(image: RowImage | null): number {
  if (image === null) return 0;
  if (image.fields !== undefined) return image.fields.size;
  let bytes = 0;
  for (const value of image.values) bytes += value === null ? 0 : Buffer.byteLength(value);
  return bytes;
}
