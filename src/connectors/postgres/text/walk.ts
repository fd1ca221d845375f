/** The walk over a statement's syntax tree: default deny over node kinds, names and places. Pure. */
import { isJsonObject, type Json, type JsonObject } from '../../../lib/json.ts';
import { CLOCK_VALUES, NODES, SAMPLE_METHODS } from './allowed.ts';
import { argumentsOf, choosing, operandsOf, type Part } from './computed.ts';
import { calledName, FRESH_FORMS, GIVEN_FORMS } from './fresh.ts';
import { Names, unapprovable, type Mode } from './names.ts';
import { Ranges, renamedBy, type Level } from './ranges.ts';
import {
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

export const STATEMENT_BOUNDS = { nodesMax: 20_000, depthMax: 200, itemsMax: 10_000 } as const;

/** Members that hold a node without naming its kind. Any other object member is refused. */
const BARE: Readonly<Record<string, string>> = {
  relation: 'RangeVar',
  typeName: 'TypeName',
  alias: 'Alias',
  join_using_alias: 'Alias',
  withClause: 'WithClause',
  onConflictClause: 'OnConflictClause',
  infer: 'InferClause',
  over: 'WindowDef',
  collClause: 'CollateClause',
  search_clause: 'CTESearchClause',
  cycle_clause: 'CTECycleClause',
  format: 'JsonFormat',
  context_item: 'JsonValueExpr',
  output: 'JsonOutput',
  returning: 'JsonReturning',
  on_empty: 'JsonBehavior',
  on_error: 'JsonBehavior',
};

/** The same for members whose kind hangs on the node that they are of. */
const BARE_OF: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  // The two halves of a UNION; of a JOIN they are wrapped like any other node.
  SelectStmt: { larg: 'SelectStmt', rarg: 'SelectStmt' },
  JsonArgument: { val: 'JsonValueExpr' },
  JsonKeyValue: { value: 'JsonValueExpr' },
  JsonObjectAgg: { constructor: 'JsonAggConstructor', arg: 'JsonKeyValue' },
  JsonArrayAgg: { constructor: 'JsonAggConstructor', arg: 'JsonValueExpr' },
  JsonParseExpr: { expr: 'JsonValueExpr' },
  JsonSerializeExpr: { expr: 'JsonValueExpr' },
  JsonTable: { pathspec: 'JsonTablePathSpec' },
  JsonTableColumn: { pathspec: 'JsonTablePathSpec' },
};

/** What is noted of a value that a column gets; see `Assignment`. */
export interface Mark {
  changing: boolean;
  byDefault: boolean;
  plain: boolean;
}

export interface Place {
  /** Names of WITH queries that a bare table name may mean here. */
  readonly scope: ReadonlySet<string>;
  /** Set inside the value that a column gets. */
  readonly mark: Mark | null;
  /** Set where that value as a whole is a clock or random value. */
  readonly isFresh: boolean;
  /** What is called how here; null for the outermost. */
  readonly level: Level | null;
  /** Queries here give rows to what is written, and do not only test something. */
  readonly isSource: boolean;
  /** Set in the list of such a query. */
  readonly isOutput: boolean;
  /** What is made of columns that stand here. */
  readonly part: Part;
  readonly depth: number;
}

export const TOP: Place = {
  scope: new Set(),
  mark: null,
  isFresh: false,
  level: null,
  isSource: true,
  isOutput: false,
  part: 'choice',
  depth: 0,
};

/** Takes a query of WITH that writes. */
export type TakeWrite = (kind: string, node: JsonObject, place: Place) => void;

/** Collects what a statement names while it refuses what is not known to be harmless. */
export class Walk {
  readonly names: Names;
  readonly ranges: Ranges = new Ranges();
  /** What refuses a clock in the list of a query, should a column get a value out of one. */
  clockInSource: Rejection | null = null;
  /** Sub-selects that keep some of their rows without an order. */
  unorderedLimits = 0;
  #nodes = 0;

  constructor(mode: Mode, schemas: readonly string[]) {
    this.names = new Names(mode, schemas);
  }

  /**
   * Walks a WITH clause and returns the scope that it makes; each query sees those before it, all if
   * recursive. A query that writes goes to `take`, and is refused where there is none.
   */
  with(clause: JsonObject, place: Place, take: TakeWrite | null = null): ReadonlySet<string> {
    this.#count(place, listOf(clause['ctes']).length);
    const queries = listOf(clause['ctes']).map((each) => unwrapped(objectOf(each)));
    const names = queries.map(([, query]) => textOf(query['ctename']));
    const scope = new Set(place.scope);
    if (clause['recursive'] === true) for (const name of names) scope.add(name);
    for (const [index, [kind, query]] of queries.entries()) {
      if (kind !== 'CommonTableExpr') throw unsupported(kind, query);
      const [inner, body] = unwrapped(objectOf(query['ctequery']));
      const within = { ...place, scope: new Set(scope), depth: place.depth + 1 };
      if (inner === 'SelectStmt') {
        this.members(kind, query, within);
      } else if (take !== null) {
        this.members(kind, without(query, ['ctequery']), within);
        take(inner, body, within);
      } else {
        const at = location(objectOf(body['relation']));
        throw new Rejection(
          this.names.mode === 'read' ? 'statement-kind' : 'statement-unsupported',
          this.names.mode === 'read'
            ? 'a write inside WITH; a read may not write, propose it as a write'
            : 'a write inside WITH of a part of the statement; put the WITH at its very beginning',
          at >= 0 ? at : location(query),
        );
      }
      scope.add(names[index] ?? '');
    }
    return scope;
  }

  /** Walks a value that is a wrapped node, `{Kind: {…}}`, or a list of them. */
  node(value: Json, place: Place): void {
    if (Array.isArray(value)) {
      const items = listOf(value);
      this.#count(place, items.length);
      for (const each of items) this.node(each, place);
      return;
    }
    if (!isJsonObject(value) || Object.keys(value).length === 0) return;
    if (!isWrapped(value)) throw unsupported('this construct', value);
    const [kind, node] = unwrapped(value);
    this.#judged(kind, node, place);
  }

  members(kind: string, node: JsonObject, place: Place): void {
    for (const [member, value] of Object.entries(node)) {
      if (typeof value !== 'object' || value === null) continue;
      const bare = BARE_OF[kind]?.[member] ?? BARE[member];
      if (Array.isArray(value)) this.node(value, place);
      else if (isJsonObject(value) && isWrapped(value)) this.node(value, place);
      else if (bare !== undefined && isJsonObject(value)) this.#judged(bare, value, place);
      else throw unsupported(`${member} of ${kind}`, node);
    }
  }

  subscripts(parts: readonly Json[], node: JsonObject, place: Place): void {
    for (const part of parts) {
      const [kind, body] = unwrapped(objectOf(part));
      if (kind !== 'A_Indices') throw unsupported('a field of a composite value', node);
      this.members(kind, body, place);
    }
  }

  #count(place: Place, items = 1): void {
    this.#nodes += 1;
    const { nodesMax, depthMax, itemsMax } = STATEMENT_BOUNDS;
    if (this.#nodes <= nodesMax && place.depth <= depthMax && items <= itemsMax) return;
    throw new Rejection(
      'statement-too-large',
      `the statement is nested deeper than ${depthMax} levels, has a list of more than ${itemsMax} ` +
        `items, or more than ${nodesMax} parts; propose a simpler one, or hand a list in as one array parameter`,
    );
  }

  #judged(kind: string, node: JsonObject, outer: Place): void {
    const place = { ...outer, depth: outer.depth + 1 };
    this.#count(place);
    if (!NODES.has(kind)) throw unsupported(kind, node);
    switch (kind) {
      case 'A_Const':
        return;
      case 'Alias':
        for (const name of renamedBy(node)) this.ranges.label(name);
        return;
      case 'String':
        return this.ranges.label(textOf(node['sval']));
      case 'SelectStmt':
        return this.select(node, place);
      case 'RangeVar':
        return this.#range(node, place);
      case 'RangeTableSample':
        return this.#sample(node, place);
      case 'FuncCall':
        this.#call(node, place);
        this.ranges.label(calledName(node));
        this.node(listOf(node['args']), {
          ...place,
          part: argumentsOf(calledName(node), place.part),
        });
        return this.members(kind, without(node, ['funcname', 'args']), place);
      case 'A_Expr':
        this.names.operator(listOf(node['name']), node);
        return this.members(kind, without(node, ['name']), operands(node, place));
      case 'CaseWhen':
        this.node(node['expr'] ?? null, tested(place));
        return this.members(kind, without(node, ['expr']), place);
      case 'SubLink':
        if (node['testexpr'] !== undefined) this.names.equality();
        this.names.operator(listOf(node['operName']), node);
        return this.members(kind, without(node, ['operName']), {
          ...place,
          isSource: place.isOutput,
        });
      case 'SortBy':
        this.names.operator(listOf(node['useOp']), node);
        return this.members(kind, without(node, ['useOp']), place);
      case 'CaseExpr':
      case 'JoinExpr':
        if (node['arg'] ?? node['usingClause'] ?? node['isNatural']) this.names.equality();
        if (kind === 'JoinExpr') this.#join(node, place);
        return this.members(kind, node, place);
      case 'ColumnRef':
        this.ranges.use(place.level, node, {
          isOfValue: place.mark !== null,
          isComputed: place.part === 'computed',
        });
        return this.names.column(node);
      case 'TypeName':
        this.names.type(node);
        this.ranges.label(qualifiedName(listOf(node['names'])).name);
        return this.node(listOf(node['typmods']), { ...place, isFresh: false });
      case 'ParamRef':
        this.names.parameters = Math.max(this.names.parameters, numberOf(node['number']));
        return;
      case 'ResTarget':
      case 'ColumnDef':
        this.ranges.label(textOf(node['name'] ?? node['colname']));
        return this.members(kind, node, place);
      case 'SetToDefault':
        if (place.mark !== null) place.mark.byDefault = true;
        return;
      case 'SQLValueFunction':
        return this.#clock(textOf(node['op']), node, place);
      case 'A_Indirection':
        this.subscripts(listOf(node['indirection']), unwrapped(objectOf(node['arg']))[1], place);
        return this.members(kind, without(node, ['indirection']), place);
      case 'CollateClause':
        this.names.collation(node);
        return this.members(kind, without(node, ['collname']), place);
      default:
        return this.members(kind, node, place);
    }
  }

  /** A place inside of a query or write, with names of its own. */
  within(place: Place): Place {
    return { ...place, level: this.ranges.level(place.level) };
  }

  /**
   * Walks a SELECT, whose own WITH may not write. Who leaves parts out walks them, in a place that is
   * `within` already.
   */
  select(node: JsonObject, place: Place, leftOut: readonly string[] = []): void {
    if (node['lockingClause'] !== undefined) throw locking(node);
    if (node['intoClause'] !== undefined) {
      const target = objectOf(objectOf(node['intoClause'])['rel']);
      throw new Rejection(
        'statement-unsupported',
        'the INTO of a SELECT makes a table; leave INTO out',
        location(target),
      );
    }
    const isCut = node['limitCount'] !== undefined || node['limitOffset'] !== undefined;
    if (isCut && node['sortClause'] === undefined) this.unorderedLimits += 1;
    const named = isJsonObject(node['withClause'])
      ? { ...place, scope: this.with(node['withClause'], place) }
      : place;
    const inner = leftOut.length === 0 ? this.within(named) : named;
    const outside = { ...inner, isOutput: false, part: choosing(inner.part) };
    const isSource = place.isSource && this.names.mode === 'write' && place.mark === null;
    const lists = ['targetList', 'valuesLists'].filter((each) => !leftOut.includes(each));
    for (const list of lists) {
      this.node(listOf(node[list]), isSource ? { ...inner, isOutput: true } : inner);
    }
    const left = ['withClause', 'targetList', 'valuesLists', ...leftOut];
    this.members('SelectStmt', without(node, left), outside);
  }

  #range(node: JsonObject, place: Place): void {
    const { schema, name } = relationName(node);
    const isQuery = schema === null && node['catalogname'] === undefined && place.scope.has(name);
    if (isQuery) return;
    const relation = this.names.relation(node);
    this.names.reads.push(relation);
    const alias = objectOf(node['alias']);
    const called = textOf(alias['aliasname'] ?? name);
    this.ranges.add(place.level, called, { relations: [relation], renamed: renamedBy(alias) });
  }

  /** An alias of a whole join: its row holds all columns of the tables in it. */
  #join(node: JsonObject, place: Place): void {
    const alias = objectOf(node['alias']);
    if (alias['aliasname'] === undefined) return;
    const relations = tablesIn(node, place.scope);
    const called = textOf(alias['aliasname']);
    this.ranges.add(place.level, called, { relations, renamed: renamedBy(alias) });
  }

  #sample(node: JsonObject, place: Place): void {
    const { schema, name } = qualifiedName(listOf(node['method']));
    if (this.names.mode === 'write') throw unsupported('a random sample', node);
    if (schema !== null || !SAMPLE_METHODS.has(name)) throw unsupported('this sample', node);
    this.members('RangeTableSample', without(node, ['method']), place);
  }

  #call(node: JsonObject, place: Place): void {
    const called = this.names.function(node);
    if (called === 'clock') this.#fresh(calledName(node), node, place);
    if (called !== 'given') return;
    if (!place.isFresh || place.mark === null) {
      throw unapprovable(calledName(node), `expected ${GIVEN_FORMS}`, location(node));
    }
    place.mark.changing = true;
  }

  /** Notes a clock value; inside an assigned value it would hide what else is in there. */
  #fresh(name: string, node: JsonObject, { mark, isFresh, isOutput }: Place): void {
    if (isOutput) this.clockInSource ??= inSource(name, node);
    if (mark === null) return;
    if (!isFresh) {
      throw new Rejection(
        'statement-function',
        `\`${name}\` inside of a larger value hides it until the commit; expected ${FRESH_FORMS}`,
        location(node),
      );
    }
    mark.changing = true;
  }

  #clock(operation: string, node: JsonObject, place: Place): void {
    if (!CLOCK_VALUES.has(operation)) throw unsupported('a session value', node);
    this.#fresh(operation.replace(/^SVFOP_/, '').replace(/_N$/, ''), node, place);
  }
}

function inSource(name: string, node: JsonObject): Rejection {
  return new Rejection(
    'statement-function',
    `\`${name}\` in the list of a query that a column gets its value from would be another at the ` +
      `commit; give it to the column itself: expected ${FRESH_FORMS}`,
    location(node),
  );
}

/** Inside of a test a clock hides nothing: what comes of it is a plain value, and drift where it changes. */
function tested(place: Place): Place {
  const part = choosing(place.part);
  return { ...place, mark: null, isFresh: false, isOutput: false, part };
}

/** Where the operands of an expression stand. */
function operands(expression: JsonObject, outer: Place): Place {
  const place = isTest(expression) ? tested(outer) : outer;
  return { ...place, part: operandsOf(expression, place.part) };
}

function isTest(node: JsonObject): boolean {
  const kind = textOf(node['kind']);
  if (kind !== 'AEXPR_OP') return kind !== 'AEXPR_NULLIF';
  return TESTS.has(qualifiedName(listOf(node['name'])).name);
}

const TESTS: ReadonlySet<string> = new Set(['=', '<>', '!=', '<', '>', '<=', '>=']);

function tablesIn(node: JsonObject, scope: ReadonlySet<string>): readonly RelationName[] {
  return ['larg', 'rarg'].flatMap((side) => {
    const [kind, inner] = unwrapped(objectOf(node[side]));
    if (kind === 'JoinExpr') return tablesIn(inner, scope);
    if (kind !== 'RangeVar') return [];
    const relation = relationName(inner);
    return relation.schema === null && scope.has(relation.name) ? [] : [relation];
  });
}

function locking(node: JsonObject): Rejection {
  const [, clause] = unwrapped(objectOf(listOf(node['lockingClause'])[0]));
  const [, named] = unwrapped(objectOf(listOf(clause['lockedRels'])[0]));
  return new Rejection(
    'statement-unsupported',
    'a row lock (FOR UPDATE, FOR SHARE) is not supported; leave it out, a write locks its rows itself',
    location(named),
  );
}
