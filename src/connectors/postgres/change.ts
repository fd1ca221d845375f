/** What every part of a measure hands on: one changed row with both images. */
import type { Cause, Effect } from '../../model/plan.ts';
import type { Table } from './catalog.ts';
import type { TextRow } from './rows.ts';

/** One row of a table as text, with the table it lies in. */
export interface RowImage {
  readonly table: Table;
  /** In the order of `table.columns`. */
  readonly values: TextRow;
}

/** A changed row. `by` is absent where the statement itself changed it. */
export interface Change {
  readonly kind: Effect['kind'];
  readonly before: RowImage | null;
  readonly after: RowImage | null;
  readonly by?: Cause;
}
