/** Judges the syntax tree of one statement, and says what is known of one that passes. Pure. */
import { isJsonObject, type Json, type JsonObject } from '../../lib/json.ts';
import {
  listOf,
  numberOf,
  objectOf,
  ONE_WRITE,
  Rejection,
  relationName,
  spoken,
  textOf,
  unwrapped,
  type RelationName,
} from './tree.ts';
import { KINDS, Walk, type Assignment } from './walk.ts';

/** What is known of a statement that passed; all names as the server folds them. */
export interface Statement {
  readonly kind: 'insert' | 'update' | 'delete';
  /** The one statement, without a closing semicolon. */
  readonly text: string;
  readonly target: RelationName;
  /** How the target is called inside the statement. */
  readonly alias: string;
  /** Every table that is read, the target not included. */
  readonly reads: readonly RelationName[];
  readonly inserted: readonly Assignment[];
  readonly updated: readonly Assignment[];
  /** Names that the connection checks for user-defined namesakes. */
  readonly functions: readonly string[];
  readonly operators: readonly string[];
  readonly fields: readonly string[];
  /** The highest `$n`. */
  readonly parameters: number;
}

/**
 * Judges a parse result whose text is `text`. `schemas` are those that a name may be qualified with.
 * Throws `Rejection` for anything that is not known to be harmless.
 */
export function judge(tree: Json, text: string, schemas: readonly string[]): Statement {
  const statements = isJsonObject(tree) ? listOf(tree['stmts']) : [];
  if (statements.length > 1) {
    const second = objectOf(statements[1]);
    const at = numberOf(second['stmt_location']);
    throw new Rejection('statement-multiple', `${statements.length} statements; ${ONE_WRITE}`, at);
  }
  const raw = statements[0];
  if (raw === undefined) throw new Rejection('statement-kind', `no statement; ${ONE_WRITE}`);
  const [kind, node] = unwrapped(objectOf(objectOf(raw)['stmt']));
  if (kind !== 'InsertStmt' && kind !== 'UpdateStmt' && kind !== 'DeleteStmt') {
    throw new Rejection('statement-kind', `found ${spoken(kind)}; ${ONE_WRITE}`, 0);
  }
  const walk = new Walk(schemas);
  walk.root(kind, node);
  const target = relationName(objectOf(node['relation']));
  return {
    kind: KINDS[kind],
    text: withoutEnd(text, objectOf(raw)),
    target,
    alias: aliasOf(objectOf(node['relation'])) ?? target.name,
    reads: walk.reads,
    inserted: walk.inserted,
    updated: walk.updated,
    functions: [...walk.functions],
    operators: [...walk.operators],
    fields: [...walk.fields],
    parameters: walk.parameters,
  };
}

function withoutEnd(source: string, raw: JsonObject): string {
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
