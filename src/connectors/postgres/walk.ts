/** The walk over a statement's syntax tree: default deny over node kinds, names and places. Pure. */
import { isJsonObject, type Json, type JsonObject } from '../../lib/json.ts';
import {
  CLOCK_FUNCTIONS,
  CLOCK_VALUES,
  FUNCTIONS,
  NODES,
  OPERATORS,
  SYSTEM_COLUMNS,
  TYPES,
  VOLATILE_FUNCTIONS,
} from './allowed.ts';
import { FRESH_FORMS, isExcluded, isFresh } from './fresh.ts';
import {
  columnOf,
  isWrapped,
  listOf,
  location,
  numberOf,
  objectOf,
  qualifiedName,
  Rejection,
  relationName,
  textOf,
  unsupported,
  unwrapped,
  without,
  type RelationName,
} from './tree.ts';

export const STATEMENT_BOUNDS = { nodesMax: 20_000, depthMax: 200 } as const;

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

/** The statements that are judged, by the parser's name. */
export const KINDS = { InsertStmt: 'insert', UpdateStmt: 'update', DeleteStmt: 'delete' } as const;

/** Members that hold a node without naming its kind. Any other object member is refused. */
const BARE: Readonly<Record<string, string>> = {
  relation: 'RangeVar',
  typeName: 'TypeName',
  alias: 'Alias',
  withClause: 'WithClause',
  onConflictClause: 'OnConflictClause',
  infer: 'InferClause',
  over: 'WindowDef',
  collClause: 'CollateClause',
};
/** The two halves of a UNION; of a JOIN they are wrapped like any other node. */
const HALVES = new Set(['larg', 'rarg']);

interface Mark {
  changing: boolean;
  byDefault: boolean;
  plain: boolean;
}

interface Place {
  /** Names of WITH queries that a bare table name may mean here. */
  readonly scope: ReadonlySet<string>;
  /** Set inside the value that a column gets. */
  readonly mark: Mark | null;
  /** Set where that value as a whole is a clock or random value. */
  readonly isFresh: boolean;
  readonly depth: number;
}

/** Collects what a statement names while it refuses what is not known to be harmless. */
export class Walk {
  readonly reads: RelationName[] = [];
  readonly inserted: Assignment[] = [];
  readonly updated: Assignment[] = [];
  readonly functions: Set<string> = new Set();
  readonly operators: Set<string> = new Set();
  readonly fields: Set<string> = new Set();
  parameters = 0;
  #nodes = 0;
  readonly #schemas: readonly string[];

  constructor(schemas: readonly string[]) {
    this.#schemas = schemas;
  }

  root(kind: keyof typeof KINDS, node: JsonObject): void {
    if (node['returningClause'] !== undefined || node['returningList'] !== undefined) {
      throw new Rejection(
        'statement-unsupported',
        'RETURNING is the gateway’s own; leave it out, the measured rows are in the result',
      );
    }
    let place: Place = { scope: new Set(), mark: null, isFresh: false, depth: 0 };
    if (isJsonObject(node['withClause'])) {
      place = { ...place, scope: this.#with(node['withClause'], place) };
    }
    this.#checkRelation(objectOf(node['relation']));
    if (kind === 'InsertStmt') this.#insert(node, place);
    else if (kind === 'UpdateStmt') this.#assign(listOf(node['targetList']), place, this.updated);
    const rest = new Set(['withClause', 'relation', 'targetList', 'cols', 'selectStmt']);
    this.#members(kind, without(node, [...rest, 'onConflictClause']), place);
    if (isJsonObject(node['onConflictClause'])) this.#conflict(node['onConflictClause'], place);
  }

  #insert(node: JsonObject, place: Place): void {
    const targets = listOf(node['cols']).map((each) => unwrapped(objectOf(each))[1]);
    const columns = targets.map(columnOf);
    const isPart = (position: number): boolean =>
      listOf(targets[position]?.['indirection']).length > 0;
    const source = node['selectStmt'];
    if (source === undefined) return;
    const [kind, select] = unwrapped(objectOf(source));
    if (kind !== 'SelectStmt') throw unsupported(kind, select);
    const rows = listOf(select['valuesLists']);
    const marks: Mark[] = [];
    const markAt = (position: number): Mark =>
      (marks[position] ??= { changing: false, byDefault: false, plain: false });
    for (const row of rows) {
      const items = listOf(unwrapped(objectOf(row))[1]['items']);
      for (const [position, value] of items.entries()) {
        this.#assigned(value, markAt(position), place, isPart(position));
      }
    }
    if (rows.length > 0) this.#members('SelectStmt', without(select, ['valuesLists']), place);
    else this.#selected(select, place, markAt, isPart);
    for (const [position, mark] of marks.entries()) {
      const { changing, byDefault, plain } = mark;
      const column = columns[position] ?? null;
      this.inserted.push({ column, position, changing, byDefault, plain });
    }
  }

  /** INSERT … SELECT: what the outermost list gives goes to the columns in order. */
  #selected(
    select: JsonObject,
    outer: Place,
    markAt: (at: number) => Mark,
    isPart: (position: number) => boolean,
  ): void {
    let place = outer;
    if (isJsonObject(select['withClause'])) {
      place = { ...place, scope: this.#with(select['withClause'], place) };
    }
    // Each column must be seen to get its value: of `*` and of a UNION nobody knows which gets what.
    if (select['op'] !== 'SETOP_NONE') throw unnamed(select);
    for (const [position, item] of listOf(select['targetList']).entries()) {
      const [, target] = unwrapped(objectOf(item));
      if (isStar(target['val'] ?? null)) throw unnamed(target);
      const mark = markAt(position);
      this.#assigned(target['val'] ?? null, mark, place, isPart(position));
    }
    const rest = without(select, ['targetList', 'withClause']);
    this.#members('SelectStmt', rest, place);
  }

  #conflict(clause: JsonObject, place: Place): void {
    this.#assign(listOf(clause['targetList']), place, this.updated);
    this.#members('OnConflictClause', without(clause, ['targetList']), place);
  }

  #assign(targets: readonly Json[], place: Place, into: Assignment[]): void {
    for (const [position, target] of targets.entries()) {
      const [kind, node] = unwrapped(objectOf(target));
      if (kind !== 'ResTarget') throw unsupported(kind, node);
      const mark: Mark = { changing: false, byDefault: false, plain: false };
      const value = node['val'] ?? null;
      const column = columnOf(node);
      this.#assigned(value, mark, place, listOf(node['indirection']).length > 0);
      if (column !== null && isExcluded(value, column)) mark.plain = false;
      this.#subscripts(listOf(node['indirection']), node, place);
      const { changing, byDefault, plain } = mark;
      into.push({ column, position, changing, byDefault, plain });
    }
  }

  /** Walks the value that a column gets, or a part of it: an element of an array. */
  #assigned(value: Json, mark: Mark, place: Place, isPart: boolean): void {
    const isWhole = !isPart && isFresh(value);
    const [kind] = unwrapped(objectOf(value));
    if (!isWhole && kind !== 'SetToDefault') mark.plain = true;
    this.#node(value, { ...place, mark, isFresh: isWhole, depth: place.depth + 1 });
  }

  /** Notes a clock or random value; inside an assigned value it would hide what else is in there. */
  #fresh(name: string, at: number, { mark, isFresh: isWhole }: Place): void {
    if (mark === null) return;
    if (!isWhole) {
      throw new Rejection(
        'statement-function',
        `\`${name}\` inside of a larger value hides it until the commit; expected ${FRESH_FORMS}`,
        at,
      );
    }
    mark.changing = true;
  }

  /** Adds the names of a WITH clause to the scope; each sees those before it, all if recursive. */
  #with(clause: JsonObject, place: Place): ReadonlySet<string> {
    const queries = listOf(clause['ctes']).map((each) => unwrapped(objectOf(each)));
    const names = queries.map(([, query]) => textOf(query['ctename']));
    const scope = new Set(place.scope);
    if (clause['recursive'] === true) for (const name of names) scope.add(name);
    for (const [index, [kind, query]] of queries.entries()) {
      const [inner, body] = unwrapped(objectOf(query['ctequery']));
      if (inner !== 'SelectStmt') {
        throw new Rejection(
          'statement-unsupported',
          'a write inside WITH; propose it as a statement of its own',
          location(body) >= 0 ? location(body) : location(query),
        );
      }
      this.#members(kind, query, { ...place, scope: new Set(scope), depth: place.depth + 1 });
      scope.add(names[index] ?? '');
    }
    return scope;
  }

  /** Walks a value that is a wrapped node, `{Kind: {…}}`, or a list of them. */
  #node(value: Json, place: Place): void {
    if (Array.isArray(value)) {
      for (const each of listOf(value)) this.#node(each, place);
      return;
    }
    if (!isJsonObject(value) || Object.keys(value).length === 0) return;
    const [kind, node] = unwrapped(value);
    this.#judged(kind, node, place);
  }

  #judged(kind: string, node: JsonObject, outer: Place): void {
    this.#nodes += 1;
    const place = { ...outer, depth: outer.depth + 1 };
    if (this.#nodes > STATEMENT_BOUNDS.nodesMax || place.depth > STATEMENT_BOUNDS.depthMax) {
      throw new Rejection(
        'statement-too-large',
        `the statement is nested deeper than ${STATEMENT_BOUNDS.depthMax} levels or has more than ` +
          `${STATEMENT_BOUNDS.nodesMax} parts; propose a simpler one`,
      );
    }
    if (!NODES.has(kind) || kind in KINDS) throw unsupported(kind, node);
    switch (kind) {
      case 'A_Const':
      case 'Alias':
        return;
      case 'SelectStmt': {
        const inner = isJsonObject(node['withClause'])
          ? { ...place, scope: this.#with(node['withClause'], place) }
          : place;
        return this.#members(kind, without(node, ['withClause']), inner);
      }
      case 'RangeVar':
        return this.#range(node, place);
      case 'FuncCall':
        this.#function(node, place);
        return this.#members(kind, without(node, ['funcname']), place);
      case 'A_Expr':
        this.#operator(listOf(node['name']), node);
        return this.#members(kind, without(node, ['name']), place);
      case 'SubLink':
        this.#operator(listOf(node['operName']), node);
        return this.#members(kind, without(node, ['operName']), place);
      case 'SortBy':
        this.#operator(listOf(node['useOp']), node);
        return this.#members(kind, without(node, ['useOp']), place);
      case 'ColumnRef':
        return this.#column(node);
      case 'TypeName':
        return this.#type(node);
      case 'ParamRef':
        this.parameters = Math.max(this.parameters, numberOf(node['number']));
        return;
      case 'SetToDefault':
        if (place.mark !== null) place.mark.byDefault = true;
        return;
      case 'SQLValueFunction':
        return this.#clock(textOf(node['op']), node, place);
      case 'A_Indirection':
        this.#subscripts(listOf(node['indirection']), node, place);
        return this.#members(kind, without(node, ['indirection']), place);
      case 'CollateClause':
        if (listOf(node['collname']).length > 1) throw unsupported('a qualified collation', node);
        return this.#members(kind, without(node, ['collname']), place);
      default:
        return this.#members(kind, node, place);
    }
  }

  #members(kind: string, node: JsonObject, place: Place): void {
    for (const [member, value] of Object.entries(node)) {
      if (typeof value !== 'object' || value === null) continue;
      const isHalf = kind === 'SelectStmt' && HALVES.has(member);
      const bare = isHalf ? 'SelectStmt' : BARE[member];
      if (Array.isArray(value)) this.#node(value, place);
      else if (bare !== undefined && isJsonObject(value)) this.#judged(bare, value, place);
      else if (isJsonObject(value) && isWrapped(value)) this.#node(value, place);
      else throw unsupported(`${member} of ${kind}`, node);
    }
  }

  #range(node: JsonObject, place: Place): void {
    const name = relationName(node);
    if (name.schema === null && place.scope.has(name.name)) return;
    this.#checkRelation(node);
    this.reads.push(name);
  }

  #checkRelation(node: JsonObject): void {
    const { schema, name, at } = relationName(node);
    const accepted = `expected a table of ${this.#schemas.map((each) => `\`${each}\``).join(', ')}`;
    if (node['catalogname'] !== undefined) {
      throw new Rejection(
        'statement-relation',
        `\`${name}\` names another database; ${accepted}`,
        at,
      );
    }
    if (schema === null && name.startsWith('pg_')) {
      throw new Rejection(
        'statement-relation',
        `\`${name}\` is a system relation; ${accepted}`,
        at,
      );
    }
    if (schema !== null && !this.#schemas.includes(schema)) {
      throw new Rejection(
        'statement-relation',
        `\`${schema}.${name}\` is not governed; ${accepted}`,
        at,
      );
    }
  }

  #function(node: JsonObject, place: Place): void {
    const { schema, name } = qualifiedName(listOf(node['funcname']));
    const at = location(node);
    const spelled = schema === null ? name : `${schema}.${name}`;
    if (schema !== null && schema !== 'pg_catalog') {
      throw new Rejection(
        'statement-function',
        `\`${spelled}\` is not a built-in function; expected built-in functions without side effects`,
        at,
      );
    }
    this.functions.add(name);
    if (CLOCK_FUNCTIONS.has(name)) {
      this.#fresh(name, at, place);
      return;
    }
    if (VOLATILE_FUNCTIONS.has(name)) {
      throw new Rejection(
        'statement-function',
        `\`${name}\` gives another value at every call, so nobody could approve it; give a constant, or leave the column to its default`,
        at,
      );
    }
    if (FUNCTIONS.has(name)) return;
    throw new Rejection(
      'statement-function',
      `\`${spelled}\` is not on the list of functions without side effects; give a plain value`,
      at,
    );
  }

  #clock(operation: string, node: JsonObject, place: Place): void {
    if (!CLOCK_VALUES.has(operation)) throw unsupported('a session value', node);
    const name = operation.replace(/^SVFOP_/, '').replace(/_N$/, '');
    this.#fresh(name, location(node), place);
  }

  #operator(name: readonly Json[], node: JsonObject): void {
    if (name.length === 0) return;
    const operator = qualifiedName(name);
    const spelled = operator.name.replace(/^(?:NOT )?BETWEEN(?: SYMMETRIC)?$/, 'BETWEEN');
    const isBuiltIn = operator.schema === null || operator.schema === 'pg_catalog';
    if (!isBuiltIn || !OPERATORS.has(spelled)) {
      throw new Rejection(
        'statement-function',
        `the operator \`${operator.name}\` is not a known built-in one; use a built-in operator`,
        location(node),
      );
    }
    if (spelled === 'BETWEEN') for (const each of ['>=', '<=', '<', '>']) this.operators.add(each);
    else this.operators.add(spelled);
  }

  #column(node: JsonObject): void {
    const fields = listOf(node['fields']).map((field) => unwrapped(objectOf(field)));
    for (const [kind, field] of fields) {
      if (kind === 'A_Star') continue;
      if (SYSTEM_COLUMNS.has(textOf(field['sval']))) {
        throw new Rejection(
          'statement-unsupported',
          `\`${textOf(field['sval'])}\` is a system column; name the rows by their own columns`,
          location(node),
        );
      }
    }
    // `row.f` may be a call of `f(row)`: the connection checks that no such function exists.
    for (const [kind, field] of fields.slice(1)) {
      if (kind === 'String') this.fields.add(textOf(field['sval']));
    }
  }

  #type(node: JsonObject): void {
    const { schema, name } = qualifiedName(listOf(node['names']));
    if (node['setof'] === true || node['pct_type'] === true) throw unsupported('this type', node);
    if ((schema !== null && schema !== 'pg_catalog') || !TYPES.has(name)) {
      throw new Rejection(
        'statement-function',
        `a cast to \`${schema === null ? name : `${schema}.${name}`}\` is not allowed; ` +
          'expected a plain built-in type',
        location(node),
      );
    }
  }

  #subscripts(parts: readonly Json[], node: JsonObject, place: Place): void {
    for (const part of parts) {
      const [kind, body] = unwrapped(objectOf(part));
      if (kind === 'A_Indices') this.#members(kind, body, place);
      else throw unsupported('a field of a composite value', node);
    }
  }
}

function unnamed(node: JsonObject): Rejection {
  return new Rejection(
    'statement-unsupported',
    'each value of an INSERT must be named: expected a plain SELECT of expressions, found `*` or a set operation; ' +
      'name the columns, and put a UNION into a sub-select of FROM',
    location(node),
  );
}

/** Whether a list item stands for several columns: `*`, `x.*`, `(x).*`. */
function isStar(value: Json): boolean {
  const [kind, node] = isJsonObject(value) ? unwrapped(value) : ['nothing', {}];
  const parts = listOf(node[kind === 'A_Indirection' ? 'indirection' : 'fields']);
  const last = parts.at(-1);
  return isJsonObject(last) && unwrapped(last)[0] === 'A_Star';
}
