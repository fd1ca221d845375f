import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { TenantId } from '../../model/ids.ts';
import type { Line } from '../state/budgets.ts';
import { textOf, type Row } from './rows.ts';

export const OF_LINE: string =
  'tenant = :tenant AND budget = :budget AND scope = :scope' +
  ' AND measure = :measure AND "window" = :window';

/** Finds the lines that have rows, each by one look into an index however many rows it has. */
export class BudgetLines {
  readonly #next: readonly StatementSync[];

  constructor(database: DatabaseSync) {
    this.#next = ['reservations', 'spendings'].map((table) =>
      database.prepare(`
        SELECT budget, scope, measure, "window" FROM ${table}
        WHERE tenant = :tenant
          AND (budget, scope, measure, "window") > (:budget, :scope, :measure, :window)
        ORDER BY budget, scope, measure, "window" LIMIT 1`),
    );
  }

  /** Lines in order of their names. */
  *all(tenant: TenantId): Generator<Line> {
    let line: Line = { budget: '', scope: '', measure: '', window: '' };
    for (;;) {
      const [first] = this.#next
        .map((next) => next.get({ tenant, ...line }))
        .flatMap((row) => (row === undefined ? [] : [lineOf(row)]))
        .toSorted(inOrder);
      if (first === undefined) return;
      line = first;
      yield line;
    }
  }
}

export function lineOf(row: Row): Line {
  return {
    budget: textOf(row, 'budget'),
    scope: textOf(row, 'scope'),
    measure: textOf(row, 'measure'),
    window: textOf(row, 'window'),
  };
}

/** As SQLite orders texts: by their bytes in UTF-8. */
function inOrder(left: Line, right: Line): number {
  const parts = ['budget', 'scope', 'measure', 'window'] as const;
  for (const part of parts) {
    const order = Buffer.compare(Buffer.from(left[part]), Buffer.from(right[part]));
    if (order !== 0) return order;
  }
  return 0;
}
