/** The scope: columns in which every image of a row, before and after, must carry a fixed value. */
import { Refused } from '../../connector.ts';
import type { Table } from '../catalog/catalog.ts';
import type { Change, RowImage } from './change.ts';
import { qualified, type PostgresSettings } from '../settings.ts';

export interface Scope {
  /** Why a changed row is out of scope; null where it is not. Never says the value that was found. */
  violation(change: Change): Refused | null;
  /** Whether rows of the table could be bound, as far as is known without seeing one. */
  mayBind(resource: string): boolean;
}

interface Bound {
  readonly at: number;
  readonly column: string;
  readonly value: string;
}

const NONE: Scope = { violation: () => null, mayBind: () => false };

export function openScope(settings: PostgresSettings): Scope {
  if (settings.scope.length === 0) return NONE;
  const scopes = settings.scope.map(({ column, value, tables }) => ({
    column,
    value,
    tables: tables === undefined ? null : new Set(tables.map((each) => qualified(settings, each))),
  }));
  const byTable = new Map<number, readonly Bound[]>();
  const seen = new Map<string, Table>();
  const boundsOf = (table: Table): readonly Bound[] => {
    const known = byTable.get(table.oid);
    if (known !== undefined) return known;
    const names = [table.resource, ...table.partOf];
    const bounds = scopes
      .filter(({ tables }) => tables === null || names.some((name) => tables.has(name)))
      .map(({ column, value }) => {
        return { column, value, at: table.columns.findIndex((each) => each.name === column) };
      })
      .filter(({ at }) => at >= 0);
    byTable.set(table.oid, bounds);
    seen.set(table.resource, table);
    return bounds;
  };
  const check = (image: RowImage | null): Refused | null => {
    if (image === null) return null;
    // A value that is not there counts as another: what is unsure is out of scope.
    const broken = boundsOf(image.table).find(({ at, value }) => image.values[at] !== value);
    return broken === undefined ? null : outside(image.table.resource, broken.column);
  };
  return {
    violation: ({ before, after }) => check(before) ?? check(after),
    mayBind(resource) {
      const table = seen.get(resource);
      if (table !== undefined) return boundsOf(table).length > 0;
      // A partition may be bound by the table that it is a part of, which is not known here.
      return true;
    },
  };
}

function outside(resource: string, column: string): Refused {
  return new Refused(
    'scope-violated',
    `a row of \`${resource}\` has another \`${column}\` than the one that this target is bound to; ` +
      'propose a write that touches rows within its scope alone',
  );
}
