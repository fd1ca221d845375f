/** Judges the syntax tree of one statement, and says what is known of one that passes. Pure. */
import { isJsonObject, type Json, type JsonObject } from '../../../lib/json.ts';
import { isWriteKind, KINDS, walkWrite, type Assignment, type TableWrite } from './assign.ts';
import { fixedColumns } from '../measure/fixed.ts';
import type { Attribute, Computed } from './ranges.ts';
import { readShape, type ReadShape } from './shape.ts';
import {
  listOf,
  location,
  numberOf,
  objectOf,
  ONE_READ,
  ONE_WRITE,
  Rejection,
  relationName,
  spoken,
  textOf,
  unwrapped,
  without,
  type RelationName,
} from './tree.ts';
import { TOP, Walk, type Place } from './walk.ts';

/** What the statement names; all names as the server folds them. */
interface Named {
  /** The one statement, without a closing semicolon. */
  readonly text: string;
  /** Every table that is read, a target not included; names of WITH queries left out. */
  readonly reads: readonly RelationName[];
  /** Names that the connection checks for user-defined namesakes. */
  readonly functions: readonly string[];
  readonly operators: readonly string[];
  readonly fields: readonly string[];
  /** Qualified names that must be columns, or they would call functions. */
  readonly attributes: readonly Attribute[];
  /** Types beside the built-in ones, which the connection lets pass where they are enumerations. */
  readonly types: readonly RelationName[];
  /** The highest `$n`. */
  readonly parameters: number;
}

/** What is known of a write that passed. */
export interface Statement extends Named {
  /** Of the statement itself; of a SELECT with writes in WITH, of the first of these. */
  readonly kind: 'insert' | 'update' | 'delete' | 'merge';
  readonly target: RelationName;
  /** How the target is called inside the statement. */
  readonly alias: string;
  /** Every table that is written to by name, the target first, each once. */
  readonly written: readonly RelationName[];
  /** All that is done to them by name; a MERGE may do several things, and so may an upsert. */
  readonly writes: readonly TableWrite[];
  /** One INSERT, UPDATE or DELETE, with no write in WITH: takes a RETURNING for its target. */
  readonly isPlain: boolean;
  /** Columns that the WHERE holds to one value each, as far as it is plain to see: see `fixed.ts`. */
  readonly fixed: readonly string[];
  /** Of which columns is computed what rows are chosen by, as far as it is plain to see. */
  readonly computed: readonly Computed[];
  /** What the columns of the target get. */
  readonly inserted: readonly Assignment[];
  readonly updated: readonly Assignment[];
  /**
   * A SELECT of one row for each row that a plain UPDATE or DELETE would touch, with the same `$n`; null
   * where none can be built. An error of it says nothing of the statement.
   */
  readonly countQuery: string | null;
  /** What the text was made into: a DELETE that became an UPDATE. */
  readonly rewritten: 'soft-delete' | null;
  /** What a reviewer should know of the text; the measure is complete all the same. */
  readonly warnings: readonly string[];
}

/** What is known of a read that passed. */
export interface Query extends Named {
  /** Where the statement uses columns, so that masked ones can be told. */
  readonly shape: ReadShape;
}

/** What the settings of the target ask of a write's text. */
export interface SyntaxRules {
  /** Those that a name may be qualified with. */
  readonly schemas: readonly string[];
  /** An UPDATE or DELETE without WHERE is refused. */
  readonly needsWhere: boolean;
}

/**
 * Judges a parse result whose text is `text`. Throws `Rejection` for anything that is not known to be
 * harmless. Neither `countQuery` nor `rewritten` is filled in: those take the parser again.
 */
export function judge(tree: Json, text: string, rules: SyntaxRules): Statement {
  const { raw, kind, node } = onlyStatement(tree, ONE_WRITE);
  const isSelect = kind === 'SelectStmt' && hasWrites(node);
  if (!isWriteKind(kind) && !isSelect) {
    throw new Rejection('statement-kind', `found ${spoken(kind)}; ${ONE_WRITE}`, 0);
  }
  if (!isSelect && node['returningClause'] !== undefined) {
    throw new Rejection(
      'statement-unsupported',
      'RETURNING is the gateway’s own; leave it out, the measured rows are in the result',
      returningAt(node),
    );
  }
  const walk = new Walk('write', rules.schemas);
  const within: TableWrite[] = [];
  const place = withWrites(walk, node, within);
  let own: readonly TableWrite[] = [];
  if (isWriteKind(kind)) own = walkWrite(walk, kind, node, walk.within(place));
  else walk.select(without(node, ['withClause']), { ...place, isSource: false });
  if (walk.clockInSource !== null && walk.ranges.takesFromQueries()) throw walk.clockInSource;
  const writes = [...own, ...within];
  const [first] = writes;
  const target = isWriteKind(kind) ? relationName(objectOf(node['relation'])) : first?.relation;
  if (target === undefined) {
    throw new Rejection('statement-kind', `nothing that writes; ${ONE_WRITE}`, 0);
  }
  if (rules.needsWhere) checkFiltered(writes);
  const direct = writes.filter((each) => each.relation.at === target.at);
  return {
    ...namedIn(walk, withoutEnd(text, raw)),
    kind: isWriteKind(kind) ? KINDS[kind] : (first?.kind ?? 'update'),
    target,
    alias: (isSelect ? null : aliasOf(objectOf(node['relation']))) ?? target.name,
    written: distinct([target, ...writes.map((each) => each.relation)]),
    writes,
    isPlain: within.length === 0 && isWriteKind(kind) && kind !== 'MergeStmt',
    fixed: fixedColumns(node['whereClause']),
    computed: walk.ranges.computed(),
    inserted: direct.flatMap((each) => each.inserted),
    updated: direct.flatMap((each) => each.updated),
    countQuery: null,
    rewritten: null,
    warnings: warningsOf(walk),
  };
}

/** As `judge`, for a statement that only reads. */
export function judgeRead(tree: Json, text: string, schemas: readonly string[]): Query {
  const { raw, kind, node } = onlyStatement(tree, ONE_READ);
  if (kind !== 'SelectStmt') {
    throw new Rejection('statement-kind', `found ${spoken(kind)}; ${ONE_READ}`, 0);
  }
  const walk = new Walk('read', schemas);
  walk.select(node, { ...TOP, depth: 1 });
  return { ...namedIn(walk, withoutEnd(text, raw)), shape: readShape(node) };
}

function onlyStatement(
  tree: Json,
  accepted: string,
): { readonly raw: JsonObject; readonly kind: string; readonly node: JsonObject } {
  const statements = isJsonObject(tree) ? listOf(tree['stmts']) : [];
  if (statements.length > 1) {
    const at = numberOf(objectOf(statements[1])['stmt_location']);
    throw new Rejection('statement-multiple', `${statements.length} statements; ${accepted}`, at);
  }
  const raw = objectOf(statements[0]);
  if (statements.length === 0) throw new Rejection('statement-kind', `no statement; ${accepted}`);
  const [kind, node] = unwrapped(objectOf(raw['stmt']));
  return { raw, kind, node };
}

function hasWrites(select: JsonObject): boolean {
  return listOf(objectOf(select['withClause'])['ctes']).some((each) => {
    const [, query] = unwrapped(objectOf(each));
    return unwrapped(objectOf(query['ctequery']))[0] !== 'SelectStmt';
  });
}

/** Walks the WITH at the very beginning, the only one that may write. */
function withWrites(walk: Walk, node: JsonObject, into: TableWrite[]): Place {
  const clause = node['withClause'];
  if (!isJsonObject(clause)) return TOP;
  const scope = walk.with(clause, TOP, (kind, body, place) => {
    if (!isWriteKind(kind)) {
      throw new Rejection('statement-kind', `found ${spoken(kind)} in WITH; ${ONE_WRITE}`);
    }
    // A WITH of its own inside of one: its queries may only read.
    const own = body['withClause'];
    const inner = walk.within(
      isJsonObject(own) ? { ...place, scope: walk.with(own, place) } : place,
    );
    into.push(...walkWrite(walk, kind, body, inner));
    const returned = listOf(objectOf(body['returningClause'])['exprs']);
    walk.node(returned, { ...inner, isOutput: true });
  });
  return { ...TOP, scope };
}

function checkFiltered(writes: readonly TableWrite[]): void {
  const open = writes.find((each) => each.isUnfiltered);
  if (open === undefined) return;
  throw new Rejection(
    'statement-unsupported',
    `${open.kind === 'delete' ? 'a DELETE' : 'an UPDATE'} without WHERE changes every row of ` +
      `\`${open.relation.name}\`, and this target has bounds on what one write may change; say which rows`,
    open.relation.at,
  );
}

function warningsOf(walk: Walk): readonly string[] {
  if (walk.unorderedLimits === 0) return [];
  return [
    'LIMIT without ORDER BY picks any rows: where the commit would pick others, it is drift and nothing is changed',
  ];
}

function namedIn({ names, ranges }: Walk, text: string): Named {
  return {
    text,
    reads: names.reads,
    functions: [...names.functions],
    operators: [...names.operators],
    fields: [...names.fields],
    attributes: ranges.attributes(),
    types: [...names.types.values()],
    parameters: names.parameters,
  };
}

function distinct(relations: readonly RelationName[]): readonly RelationName[] {
  const seen = new Map<string, RelationName>();
  for (const each of relations) {
    const name = JSON.stringify([each.schema, each.name]);
    if (!seen.has(name)) seen.set(name, each);
  }
  return [...seen.values()];
}

function returningAt(node: JsonObject): number {
  const [, first] = unwrapped(objectOf(listOf(objectOf(node['returningClause'])['exprs'])[0]));
  return location(first);
}

export function withoutEnd(source: string, raw: JsonObject): string {
  const length = raw['stmt_len'];
  const from = numberOf(raw['stmt_location'] ?? 0);
  const bytes = Buffer.from(source, 'utf8');
  const to = typeof length === 'number' && length > 0 ? from + length : bytes.length;
  return bytes.subarray(from, to).toString('utf8').trim();
}

function aliasOf(node: JsonObject): string | null {
  const alias = node['alias'];
  return isJsonObject(alias) ? textOf(alias['aliasname']) : null;
}
