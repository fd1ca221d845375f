/** What a qualified name may stand for: which relations are called so where it is used. Pure. */
import type { JsonObject } from '../../../lib/json.ts';
import { Refused } from '../../connector.ts';
import { FUNCTIONS } from './allowed.ts';
import { listOf, objectOf, textOf, unwrapped, type RelationName } from './tree.ts';

/** A table or view, or a join of some, by what it is called; queries of the statement are none. */
export interface Range {
  readonly relations: readonly RelationName[];
  /** What an alias calls the first columns. */
  readonly renamed: readonly string[];
}

/** One query's FROM, or one write's tables, within those around it. */
export interface Level {
  readonly outer: Level | null;
  readonly ranges: Map<string, Range[]>;
}

/**
 * `c.f`, which is a call of `f(c)` where `c` has no such column: so `f` must be one of every range that
 * `c` may mean, or of any relation of the statement where it can mean none.
 */
export interface Attribute {
  readonly field: string;
  readonly ranges: readonly Range[];
}

/** A column of which something is computed that rows are chosen by, as of `id` in `id % 2 = 0`. */
export interface Computed {
  readonly column: string;
  /** What may have it, by query, the nearest first. */
  readonly levels: readonly (readonly RelationName[])[];
}

export interface UseOf {
  /** It stands in a value that a column gets. */
  readonly isOfValue: boolean;
  /** Rows are chosen by what is computed of it. */
  readonly isComputed: boolean;
}

interface Use extends UseOf {
  readonly level: Level;
  readonly node: JsonObject;
}

/** Columns of a relation in their order; null where the catalog said nothing of it. */
export type ColumnsOf = (relation: RelationName) => readonly string[] | null;

export class Ranges {
  readonly #root: Level = newLevel(null);
  readonly #uses: Use[] = [];
  /** What queries of the statement may call their columns. */
  readonly #labels = new Set<string>();

  level(outer: Level | null): Level {
    return newLevel(outer ?? this.#root);
  }

  add(level: Level | null, name: string, range: Range): void {
    const { ranges } = level ?? this.#root;
    const known = ranges.get(name);
    if (known === undefined) ranges.set(name, [range]);
    else known.push(range);
  }

  label(name: string): void {
    this.#labels.add(name);
  }

  use(level: Level | null, node: JsonObject, of: UseOf): void {
    this.#uses.push({ level: level ?? this.#root, node, ...of });
  }

  /** Whether a value that a column gets may come out of a query in FROM, USING or WITH. */
  takesFromQueries(): boolean {
    return this.#uses.some(({ level, node, isOfValue }) => {
      if (!isOfValue) return false;
      const fields = listOf(node['fields']);
      return fields.length < 2 || found(level, nameAt(fields, -2)).length === 0;
    });
  }

  computed(): readonly Computed[] {
    const computed = new Map<string, Computed>();
    for (const { level, node, isComputed } of this.#uses) {
      if (!isComputed) continue;
      const fields = listOf(node['fields']);
      const column = nameAt(fields, -1);
      const name = fields.length < 2 ? null : nameAt(fields, -2);
      const levels = relationsAround(level, name, column);
      if (column === '' || levels.length === 0) continue;
      computed.set(JSON.stringify([column, levels.map((each) => each.map(nameOf))]), {
        column,
        levels,
      });
    }
    return [...computed.values()];
  }

  attributes(): readonly Attribute[] {
    const attributes = new Map<string, Attribute>();
    for (const { level, node } of this.#uses) {
      const fields = listOf(node['fields']);
      const field = nameAt(fields, -1);
      if (fields.length < 2 || field === '') continue;
      const ranges = found(level, nameAt(fields, -2));
      // A row of a query holds what the query says, and no other function takes one: see `namesakes.ts`.
      if (ranges.length === 0 && (!FUNCTIONS.has(field) || this.#labels.has(field))) continue;
      const key = JSON.stringify([field, ranges.map(keyOf)]);
      if (!attributes.has(key)) attributes.set(key, { field, ranges });
    }
    return [...attributes.values()];
  }
}

/** Throws for a qualified name that is no column of what it is qualified with. */
export function checkAttributes(
  attributes: readonly Attribute[],
  relations: readonly RelationName[],
  columnsOf: ColumnsOf,
): void {
  for (const { field, ranges } of attributes) {
    const isColumn =
      ranges.length === 0
        ? relations.some((each) => columnsOf(each)?.includes(field) === true)
        : ranges.every((range) => hasColumn(range, field, columnsOf));
    if (isColumn) continue;
    throw new Refused(
      'statement-function',
      `\`${field}\` is no column there, and attribute notation calls a function; write it as one, ` +
        'or name a column',
    );
  }
}

function hasColumn({ relations, renamed }: Range, field: string, columnsOf: ColumnsOf): boolean {
  if (renamed.includes(field)) return true;
  // Of a join nobody sees here which columns an alias renames.
  const from = relations.length === 1 ? renamed.length : 0;
  return relations.some((each) => columnsOf(each)?.slice(from).includes(field) === true);
}

/** Those of every level around, for the nearest need not be in sight where the name stands. */
function found(level: Level, name: string): readonly Range[] {
  const ranges: Range[] = [];
  for (let each: Level | null = level; each !== null; each = each.outer) {
    ranges.push(...(each.ranges.get(name) ?? []));
  }
  return ranges;
}

/** What may have a column, called `name` or anything, by the levels around that have such. */
function relationsAround(
  level: Level,
  name: string | null,
  column: string,
): readonly (readonly RelationName[])[] {
  const levels: (readonly RelationName[])[] = [];
  for (let each: Level | null = level; each !== null; each = each.outer) {
    const ranges = name === null ? [...each.ranges.values()].flat() : (each.ranges.get(name) ?? []);
    const own = ranges.filter(({ renamed }) => !renamed.includes(column));
    if (own.length > 0) levels.push(own.flatMap(({ relations }) => relations));
  }
  return levels;
}

function nameOf({ schema, name }: RelationName): unknown {
  return [schema, name];
}

function keyOf({ relations, renamed }: Range): unknown {
  return [relations.map(nameOf), renamed];
}

function nameAt(fields: ReturnType<typeof listOf>, at: number): string {
  const [kind, field] = unwrapped(objectOf(fields.at(at)));
  return kind === 'String' ? textOf(field['sval']) : '';
}

function newLevel(outer: Level | null): Level {
  return { outer, ranges: new Map() };
}

/** The names that an alias gives to columns. */
export function renamedBy(alias: JsonObject): readonly string[] {
  return listOf(alias['colnames']).map((each) => textOf(unwrapped(objectOf(each))[1]['sval']));
}
