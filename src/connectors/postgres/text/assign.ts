/** The parts of a statement that write: which table, and what its columns get. Pure. */
import { isJsonObject, type Json, type JsonObject } from '../../../lib/json.ts';
import { isExcluded, isFresh, isGiven } from './fresh.ts';
import {
  columnOf,
  listOf,
  objectOf,
  textOf,
  unsupported,
  unwrapped,
  without,
  type RelationName,
} from './tree.ts';
import type { Mark, Place, Walk } from './walk.ts';

/** A value given to a column. Without a column list an INSERT gives by `position` (from 0). */
export interface Assignment {
  readonly column: string | null;
  readonly position: number;
  /** The value holds a clock or a random function: only known at commit. */
  readonly changing: boolean;
  /** The value is the column's default, at least in one row. */
  readonly byDefault: boolean;
  /** The value is the agent's own, at least in one row; `excluded` of the same column is not. */
  readonly plain: boolean;
}

/** One thing that a statement does to a table: a MERGE may do several, an upsert two. */
export interface TableWrite {
  readonly kind: 'insert' | 'update' | 'delete';
  readonly relation: RelationName;
  readonly inserted: readonly Assignment[];
  readonly updated: readonly Assignment[];
  /** It tells something of the rows that are there: only a plain INSERT does not. */
  readonly looks: boolean;
  /** An UPDATE or DELETE that has no WHERE. */
  readonly isUnfiltered: boolean;
}

/** The parts that write, by the parser's name. */
export const KINDS = {
  InsertStmt: 'insert',
  UpdateStmt: 'update',
  DeleteStmt: 'delete',
  MergeStmt: 'merge',
} as const;

export function isWriteKind(kind: string): kind is keyof typeof KINDS {
  return Object.hasOwn(KINDS, kind);
}

/** Walks one part that writes, without its WITH and RETURNING, and says what it does. */
export function walkWrite(
  walk: Walk,
  kind: keyof typeof KINDS,
  node: JsonObject,
  place: Place,
): readonly TableWrite[] {
  const relation = walk.names.relation(objectOf(node['relation']));
  nameTarget(walk, node, relation, place);
  if (kind === 'MergeStmt') return walkMerge(walk, node, relation, place);
  const inserted: Assignment[] = [];
  const updated: Assignment[] = [];
  if (kind === 'InsertStmt') insert(walk, node, place, inserted);
  if (kind === 'UpdateStmt') assign(walk, listOf(node['targetList']), place, updated);
  walk.members(kind, without(node, OWN_PARTS), place);
  const conflict = node['onConflictClause'];
  if (isJsonObject(conflict)) {
    assign(walk, listOf(conflict['targetList']), place, updated);
    walk.members('OnConflictClause', without(conflict, ['targetList']), place);
  }
  const isUnfiltered = kind !== 'InsertStmt' && node['whereClause'] === undefined;
  const looks =
    kind !== 'InsertStmt' || updated.length > 0 || node['returningClause'] !== undefined;
  return [{ kind: KINDS[kind], relation, inserted, updated, looks, isUnfiltered }];
}

/** What the target is called inside of the write; `place` is within it. */
function nameTarget(walk: Walk, node: JsonObject, relation: RelationName, place: Place): void {
  const alias = objectOf(objectOf(node['relation'])['alias']);
  const names = [textOf(alias['aliasname'] ?? relation.name)];
  if (node['onConflictClause'] !== undefined) names.push('excluded');
  if (node['returningClause'] !== undefined) names.push('old', 'new');
  const range = { relations: [relation], renamed: [] };
  for (const name of names) walk.ranges.add(place.level, name, range);
}

/** Walked by what knows them. */
const OWN_PARTS: readonly string[] = [
  'withClause',
  'relation',
  'targetList',
  'cols',
  'selectStmt',
  'onConflictClause',
  'returningClause',
  'mergeWhenClauses',
];

function walkMerge(
  walk: Walk,
  node: JsonObject,
  relation: RelationName,
  place: Place,
): readonly TableWrite[] {
  walk.members('MergeStmt', without(node, OWN_PARTS), place);
  const writes: TableWrite[] = [];
  for (const each of listOf(node['mergeWhenClauses'])) {
    const [kind, clause] = unwrapped(objectOf(each));
    if (kind !== 'MergeWhenClause') throw unsupported(kind, clause);
    const inserted: Assignment[] = [];
    const updated: Assignment[] = [];
    const command = textOf(clause['commandType']);
    const targets = listOf(clause['targetList']);
    if (command === 'CMD_INSERT') {
      const columns = columnsOf(walk, targets, place);
      const rows = [listOf(clause['values'])];
      note(given(walk, rows, columns, place), columns, inserted);
    } else if (command === 'CMD_UPDATE') {
      assign(walk, targets, place, updated);
    } else if (command !== 'CMD_DELETE' && command !== 'CMD_NOTHING') {
      throw unsupported(`${command} of a MERGE`, clause);
    }
    walk.members(kind, without(clause, ['targetList', 'values']), place);
    const verb = MERGE_VERBS[command];
    if (verb !== undefined) {
      writes.push({ kind: verb, relation, inserted, updated, looks: true, isUnfiltered: false });
    }
  }
  return writes;
}

const MERGE_VERBS: Readonly<Record<string, TableWrite['kind']>> = {
  CMD_INSERT: 'insert',
  CMD_UPDATE: 'update',
  CMD_DELETE: 'delete',
};

/** A column that an INSERT names; `isPart` for an element of an array. */
interface Named {
  readonly column: string | null;
  readonly isPart: boolean;
}

function columnsOf(walk: Walk, cols: readonly Json[], place: Place): readonly Named[] {
  return cols.map((each) => {
    const [kind, node] = unwrapped(objectOf(each));
    if (kind !== 'ResTarget') throw unsupported(kind, node);
    const parts = listOf(node['indirection']);
    walk.subscripts(parts, node, place);
    return { column: columnOf(node), isPart: parts.length > 0 };
  });
}

function insert(walk: Walk, node: JsonObject, place: Place, into: Assignment[]): void {
  const columns = columnsOf(walk, listOf(node['cols']), place);
  const source = node['selectStmt'];
  if (source === undefined) return;
  const [kind, select] = unwrapped(objectOf(source));
  if (kind !== 'SelectStmt') throw unsupported(kind, select);
  const rows = listOf(select['valuesLists']);
  if (rows.length > 0) {
    const lists = rows.map((row) => listOf(unwrapped(objectOf(row))[1]['items']));
    walk.select(select, place, ['valuesLists']);
    note(given(walk, lists, columns, place), columns, into);
  } else {
    note(selected(walk, select, columns, place), columns, into);
  }
}

/** The values of VALUES, row by row. */
function given(
  walk: Walk,
  rows: readonly (readonly Json[])[],
  columns: readonly Named[],
  place: Place,
): readonly Mark[] {
  const marks: Mark[] = [];
  for (const items of rows) {
    for (const [position, value] of items.entries()) {
      const mark = (marks[position] ??= blank());
      const isPart = columns[position]?.isPart === true;
      assigned(walk, value, mark, place, { isPart, isOfSelect: false });
    }
  }
  return marks;
}

/** INSERT … SELECT: what the outermost list gives goes to the columns in order. */
function selected(
  walk: Walk,
  select: JsonObject,
  columns: readonly Named[],
  outer: Place,
): readonly Mark[] {
  const clause = select['withClause'];
  const scope = isJsonObject(clause) ? walk.with(clause, outer) : outer.scope;
  const place = walk.within({ ...outer, scope });
  const bare = without(select, ['withClause']);
  const items = listOf(select['targetList']).map((item) => unwrapped(objectOf(item))[1]);
  const isSeen =
    select['op'] === 'SETOP_NONE' && !items.some((item) => isStar(item['val'] ?? null));
  if (!isSeen) {
    unseen(walk, bare, place);
    const count = columns.length === 0 ? COLUMNS_MAX : columns.length;
    return Array.from({ length: count }, () => ({ ...blank(), plain: true }));
  }
  const marks = items.map((item, position) => {
    const mark = blank();
    const isPart = columns[position]?.isPart === true;
    // What is new at every call would be so in every row that the SELECT finds.
    assigned(walk, item['val'] ?? null, mark, place, { isPart, isOfSelect: true });
    return mark;
  });
  walk.select(bare, place, ['targetList']);
  return marks;
}

/** No table of the server has more. */
const COLUMNS_MAX = 1_600;

/**
 * Of `*` and of a UNION nobody sees which column gets what: so each counts as given by the agent, and no
 * clock may stand in any of the lists.
 */
function unseen(walk: Walk, select: JsonObject, outer: Place): void {
  const place = walk.within(outer);
  const inList: Place = {
    ...place,
    mark: blank(),
    isFresh: false,
    part: 'value',
    depth: place.depth + 1,
  };
  for (const half of ['larg', 'rarg']) {
    const inner = select[half];
    if (!isJsonObject(inner)) continue;
    const clause = inner['withClause'];
    const scope = isJsonObject(clause) ? walk.with(clause, place) : place.scope;
    unseen(walk, without(inner, ['withClause']), { ...place, scope, depth: place.depth + 1 });
  }
  walk.node(listOf(select['targetList']), inList);
  walk.node(listOf(select['valuesLists']), inList);
  walk.select(select, place, ['targetList', 'valuesLists', 'larg', 'rarg']);
}

function note(marks: readonly Mark[], columns: readonly Named[], into: Assignment[]): void {
  for (const [position, mark] of marks.entries()) {
    into.push({ column: columns[position]?.column ?? null, position, ...mark });
  }
}

function assign(walk: Walk, targets: readonly Json[], place: Place, into: Assignment[]): void {
  for (const [position, target] of targets.entries()) {
    const [kind, node] = unwrapped(objectOf(target));
    if (kind !== 'ResTarget') throw unsupported(kind, node);
    const mark = blank();
    const value = partOfRow(node['val'] ?? null);
    const column = columnOf(node);
    const parts = listOf(node['indirection']);
    assigned(walk, value, mark, place, { isPart: parts.length > 0, isOfSelect: false });
    if (column !== null && isExcluded(value, column)) mark.plain = false;
    walk.subscripts(parts, node, place);
    into.push({ column, position, ...mark });
  }
}

/** Of `(a, b) = (1, 2)` the value of the one column; the others come with theirs. */
function partOfRow(value: Json): Json {
  const [kind, node] = isJsonObject(value) ? unwrapped(value) : ['nothing', {}];
  if (kind !== 'MultiAssignRef') return value;
  const [source, row] = unwrapped(objectOf(node['source']));
  const items = listOf(row['args']);
  if (source !== 'RowExpr' || items.length !== node['ncolumns']) return value;
  return items[Number(node['colno']) - 1] ?? value;
}

interface Gets {
  /** An element of an array. */
  readonly isPart: boolean;
  /** An item of the list of INSERT … SELECT. */
  readonly isOfSelect: boolean;
}

/** Walks the value that a column gets, or a part of it. */
function assigned(walk: Walk, value: Json, mark: Mark, place: Place, gets: Gets): void {
  const isWhole = !gets.isPart && (isFresh(value) || (!gets.isOfSelect && isGiven(value)));
  const [kind] = unwrapped(objectOf(value));
  if (!isWhole && kind !== 'SetToDefault') mark.plain = true;
  walk.node(value, { ...place, mark, isFresh: isWhole, part: 'value', depth: place.depth + 1 });
}

function blank(): Mark {
  return { changing: false, byDefault: false, plain: false };
}

/** Whether a list item stands for several columns: `*`, `x.*`, `(x).*`. */
function isStar(value: Json): boolean {
  const [kind, node] = isJsonObject(value) ? unwrapped(value) : ['nothing', {}];
  const parts = listOf(node[kind === 'A_Indirection' ? 'indirection' : 'fields']);
  const last = parts.at(-1);
  return isJsonObject(last) && unwrapped(last)[0] === 'A_Star';
}
