/**
 * Which rows a structured write means: by key, or by a filter in JSON. `{"status": {"eq": "open"},
 * "or": [{"total": {"gt": 5}}, {"total": {"isNull": true}}]}`; members of one object hold together.
 */
import { isJsonObject, type Json, type JsonObject } from '../../../lib/json.ts';
import { below, columnsAt, columnSql, listAt, own, wrong, type Binding } from './binding.ts';

export const FILTER_BOUNDS = {
  depthMax: 8,
  /** Comparisons in one filter. */
  termsMax: 500,
  /** Values of one `in`, keys of one write. */
  itemsMax: 1_000,
} as const;

const COMPARISONS: Readonly<Record<string, string>> = {
  eq: '=',
  ne: '<>',
  lt: '<',
  lte: '<=',
  gt: '>',
  gte: '>=',
  like: 'LIKE',
};
const OPERATORS: readonly string[] = [...Object.keys(COMPARISONS), 'in', 'between', 'isNull'];

/** Compiles `key`, `keys` or `filter`, of which there must be exactly one, into a condition. */
export function whichRows(args: JsonObject, binding: Binding): string {
  const given = ['key', 'keys', 'filter'].filter((name) => own(args, name) !== undefined);
  if (given.length !== 1) {
    throw wrong('', 'expected exactly one of `key`, `keys` and `filter` to say which rows');
  }
  const key = own(args, 'key');
  if (key !== undefined) return oneKey(key, '/key', binding);
  const keys = own(args, 'keys');
  if (keys !== undefined) return manyKeys(keys, binding);
  return compileFilter(own(args, 'filter'), '/filter', binding);
}

/** Compiles a filter; one that says nothing is refused, since it would mean every row. */
export function compileFilter(filter: Json | undefined, at: string, binding: Binding): string {
  return new FilterCompiler(binding).all(filter, at, 0);
}

class FilterCompiler {
  readonly #binding: Binding;
  #terms = 0;

  constructor(binding: Binding) {
    this.#binding = binding;
  }

  all(filter: Json | undefined, at: string, depth: number): string {
    if (!isJsonObject(filter)) throw wrong(at, 'expected a filter: an object of columns');
    if (depth > FILTER_BOUNDS.depthMax) {
      throw wrong(at, `expected at most ${FILTER_BOUNDS.depthMax} levels`);
    }
    const members = Object.entries(filter);
    if (members.length === 0) throw wrong(at, 'the filter is empty and would mean every row');
    const parts = members.map(([name, value]) => this.#member(name, value, below(at, name), depth));
    return parts.length === 1 ? (parts[0] ?? '') : `(${parts.join(' AND ')})`;
  }

  #member(name: string, value: Json, at: string, depth: number): string {
    switch (name) {
      case 'and':
      case 'or': {
        const parts = listAt(value, at, FILTER_BOUNDS.termsMax).map((each, index) =>
          this.all(each, below(at, index), depth + 1),
        );
        return `(${parts.join(name === 'and' ? ' AND ' : ' OR ')})`;
      }
      case 'not':
        return `(NOT ${this.all(value, at, depth + 1)})`;
      default:
        return this.#column(name, value, at);
    }
  }

  #column(name: string, value: Json, at: string): string {
    const column = columnSql(name, at);
    const expected = `expected an operator: ${OPERATORS.map((each) => `\`${each}\``).join(', ')}`;
    if (!isJsonObject(value)) throw wrong(at, `${expected}, such as \`{"eq": …}\``);
    const members = Object.entries(value);
    if (members.length === 0) throw wrong(at, expected);
    const parts = members.map(([operator, operand]) => {
      this.#terms += 1;
      const place = below(at, operator);
      if (this.#terms > FILTER_BOUNDS.termsMax) {
        throw wrong(place, `expected at most ${FILTER_BOUNDS.termsMax} comparisons`);
      }
      if (!OPERATORS.includes(operator)) throw wrong(place, expected);
      return this.#compare(column, operator, operand, place);
    });
    return parts.length === 1 ? (parts[0] ?? '') : `(${parts.join(' AND ')})`;
  }

  #compare(column: string, operator: string, operand: Json, at: string): string {
    if (operator === 'isNull') {
      if (typeof operand !== 'boolean') throw wrong(at, 'expected true or false');
      return `${column} IS ${operand ? '' : 'NOT '}NULL`;
    }
    if (operator === 'in') {
      const values = listAt(operand, at, FILTER_BOUNDS.itemsMax).map((each, index) =>
        this.#binding.compared(each, below(at, index)),
      );
      return `${column} IN (${values.join(', ')})`;
    }
    if (operator === 'between') {
      const bounds = listAt(operand, at, 2);
      const [from, to] = bounds;
      if (from === undefined || to === undefined) throw wrong(at, 'expected two bounds');
      const low = this.#binding.compared(from, below(at, 0));
      return `${column} BETWEEN ${low} AND ${this.#binding.compared(to, below(at, 1))}`;
    }
    return `${column} ${COMPARISONS[operator] ?? ''} ${this.#binding.compared(operand, at)}`;
  }
}

function oneKey(key: Json, at: string, binding: Binding): string {
  const parts = columnsAt(key, at).map(([name, value]) => {
    const place = below(at, name);
    return `${columnSql(name, place)} = ${binding.compared(value, place)}`;
  });
  return parts.length === 1 ? (parts[0] ?? '') : `(${parts.join(' AND ')})`;
}

/** Keys of one column become one IN, which the planner knows how to look up. */
function manyKeys(keys: Json, binding: Binding): string {
  const list = listAt(keys, '/keys', FILTER_BOUNDS.itemsMax);
  const entries = list.map((key, index) => columnsAt(key, below('/keys', index)));
  const first = entries[0]?.[0]?.[0] ?? '';
  const isPlain = entries.every((columns) => columns.length === 1 && columns[0]?.[0] === first);
  if (!isPlain) {
    const parts = list.map((key, index) => oneKey(key, below('/keys', index), binding));
    return `(${parts.join(' OR ')})`;
  }
  const values = entries.map((columns, index) =>
    binding.compared(columns[0]?.[1] ?? null, below(below('/keys', index), first)),
  );
  return `${columnSql(first, below('/keys/0', first))} IN (${values.join(', ')})`;
}
