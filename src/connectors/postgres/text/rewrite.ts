/** Texts made out of a statement's own text, each parsed again to make sure that it says what was meant. Pure. */
import type { Json, JsonObject } from '../../../lib/json.ts';
import { placeless } from './canonical.ts';
import { listOf, objectOf, Rejection, unwrapped } from './tree.ts';

/** What takes a text apart; both throw on what is not SQL. */
export interface Taker {
  readonly parse: (text: string) => Json;
  /** Tokens by UTF-8 byte offsets, comments left out. */
  readonly scan: (text: string) => readonly Token[];
}

export interface Token {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

/** A table whose DELETE is an UPDATE, as a statement may call it. */
export interface SoftTable {
  readonly schema: string;
  readonly name: string;
  /** Whether the name alone, without a schema, surely means this table. */
  readonly isFirst: boolean;
  readonly column: string;
  /** `now`, or a constant in the server's text form. */
  readonly value: string;
}

/**
 * Makes `DELETE FROM t …` into `UPDATE t SET column = value …` where the table is soft deleted; null where
 * it is not. Throws `Rejection` where it cannot be told, or cannot be made.
 */
export function softDelete(text: string, soft: readonly SoftTable[], taker: Taker): string | null {
  const node = only(taker.parse(text), 'DeleteStmt');
  if (node === null) return null;
  const relation = objectOf(node['relation']);
  const table = softTable(relation, soft);
  if (table === null) return null;
  const parts = clausesOf(text, taker, ['DELETE', 'FROM', 'USING', 'WHERE']);
  const value = table.value === 'now' ? 'now()' : `'${table.value.replaceAll("'", "''")}'`;
  const set = ` SET ${quoted(table.column)} = ${value}`;
  const from = parts.get('USING') === undefined ? '' : ` FROM ${parts.get('USING')}`;
  const open = openRow(relation, table, value);
  const own = parts.get('WHERE');
  const where = ` WHERE ${own === undefined ? '' : `(${own.trim()}\n) AND `}${open}`;
  const made = `${parts.get('') ?? ''}UPDATE ${parts.get('FROM') ?? ''}${set}${from}${where}`;
  const update = only(
    attempt(() => taker.parse(made)),
    'UpdateStmt',
  );
  const isMeant =
    update !== null &&
    same(update['relation'], node['relation']) &&
    same(update['fromClause'], node['usingClause']) &&
    same(conjuncts(update['whereClause']), [
      ...conjuncts(node['whereClause']),
      ...conjuncts(conditionOf(open, taker)),
    ]) &&
    same(update['withClause'], node['withClause']) &&
    listOf(update['targetList']).length === 1;
  if (isMeant) return made;
  throw new Rejection(
    'statement-unsupported',
    `rows of \`${table.schema}.${table.name}\` are marked as deleted instead of deleted, and this DELETE ` +
      `cannot be made into that UPDATE; propose an UPDATE that sets \`${table.column}\``,
  );
}

/** What holds for a row that is not deleted yet: one that is keeps the time, or value, that it has. */
function openRow(relation: JsonObject, table: SoftTable, value: string): string {
  const alias = objectOf(relation['alias'])['aliasname'];
  const column = `${quoted(typeof alias === 'string' ? alias : table.name)}.${quoted(table.column)}`;
  return table.value === 'now' ? `${column} IS NULL` : `${column} IS DISTINCT FROM ${value}`;
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

function conditionOf(condition: string, taker: Taker): Json {
  const select = only(taker.parse(`SELECT 1 WHERE ${condition}`), 'SelectStmt');
  return select?.['whereClause'] ?? null;
}

/** What must hold together; the parser makes one list of `(a AND b) AND c`. */
function conjuncts(condition: Json | undefined): readonly Json[] {
  if (condition === undefined || condition === null) return [];
  const [kind, node] = unwrapped(objectOf(condition));
  return kind === 'BoolExpr' && node['boolop'] === 'AND_EXPR' ? listOf(node['args']) : [condition];
}

/** The soft deleted table that a name means; throws where that hangs on what tables there are. */
export function softTable(relation: JsonObject, soft: readonly SoftTable[]): SoftTable | null {
  const { schemaname, relname, location } = relation;
  const named = soft.filter((each) => each.name === relname);
  if (typeof schemaname === 'string')
    return named.find((each) => each.schema === schemaname) ?? null;
  const [table] = named;
  if (table === undefined) return null;
  const first = named.find((each) => each.isFirst);
  if (first !== undefined) return first;
  throw new Rejection(
    'statement-relation',
    `\`${table.name}\` may mean \`${table.schema}.${table.name}\`, whose rows are marked as deleted ` +
      'instead of deleted; name it with its schema',
    typeof location === 'number' ? location : -1,
  );
}

/** A SELECT of one row for each row that a plain UPDATE or DELETE touches; null where none can be built. */
export function countQuery(text: string, taker: Taker): string | null {
  const tree = attempt(() => taker.parse(text));
  const update = only(tree, 'UpdateStmt');
  const node = update ?? only(tree, 'DeleteStmt');
  if (node === null) return null;
  const parts = clausesOf(
    text,
    taker,
    update === null ? ['DELETE', 'FROM', 'USING', 'WHERE'] : ['UPDATE', 'SET', 'FROM', 'WHERE'],
  );
  const target = parts.get(update === null ? 'FROM' : 'UPDATE');
  const others = parts.get(update === null ? 'USING' : 'FROM');
  const where = parts.get('WHERE');
  if (target === undefined) return null;
  const condition = where === undefined ? 'true' : `(${where}\n)`;
  // A row that a join finds several times is written to once.
  const made =
    others === undefined
      ? `${parts.get('') ?? ''}SELECT 1 FROM ${target} WHERE ${condition}`
      : `${parts.get('') ?? ''}SELECT 1 FROM ${target} WHERE EXISTS (SELECT 1 FROM ${others} WHERE ${condition})`;
  const select = only(
    attempt(() => taker.parse(made)),
    'SelectStmt',
  );
  if (
    select === null ||
    !same(objectOf(listOf(select['fromClause'])[0])['RangeVar'], node['relation'])
  ) {
    return null;
  }
  const [, link] = unwrapped(objectOf(select['whereClause']));
  const inner = others === undefined ? select : unwrapped(objectOf(link['subselect']))[1];
  const isMeant =
    listOf(select['fromClause']).length === 1 &&
    same(select['withClause'], node['withClause']) &&
    (others === undefined ||
      same(inner['fromClause'], node[update === null ? 'usingClause' : 'fromClause'])) &&
    (where === undefined || same(inner['whereClause'], node['whereClause']));
  return isMeant ? `${made}${unusedParameters(text, made, taker)}` : null;
}

/** Names the parameters that only the rest of the statement uses, so that the same values can be bound. */
function unusedParameters(text: string, made: string, taker: Taker): string {
  const numbers = (source: string): readonly number[] =>
    taker
      .scan(source)
      .flatMap(({ text: token }) => (/^\$\d+$/.test(token) ? [Number(token.slice(1))] : []));
  const used = new Set(numbers(made));
  const unused = [...new Set(numbers(text))].filter((each) => !used.has(each));
  return unused.map((each) => ` AND ($${each}::text IS NULL OR true)`).join('');
}

/**
 * Cuts a text at keywords outside of any brackets, the first of which begins the statement proper; under
 * the empty name is what stands before it (a WITH clause).
 */
function clausesOf(
  text: string,
  taker: Taker,
  keywords: readonly string[],
): ReadonlyMap<string, string> {
  const bytes = Buffer.from(text, 'utf8');
  const parts = new Map<string, string>();
  let depth = 0;
  let clause = '';
  let from = 0;
  let next = 0;
  let before = '';
  const tokens = taker.scan(text);
  const cut = (to: number): void => {
    parts.set(clause, bytes.subarray(from, to).toString('utf8'));
  };
  for (const token of tokens) {
    if (token.text === '(' || token.text === '[') depth += 1;
    if (token.text === ')' || token.text === ']') depth -= 1;
    const word = token.text.toUpperCase();
    const place = keywords.indexOf(word, next);
    // `IS DISTINCT FROM` is no clause.
    if (depth === 0 && place >= 0 && (place === 0 || next > 0) && before !== 'DISTINCT') {
      cut(token.start);
      clause = word;
      from = token.end;
      next = place + 1;
    }
    before = word;
  }
  cut(tokens.at(-1)?.end ?? bytes.length);
  return parts;
}

/** The one statement of a tree, where it is of this kind. */
function only(tree: Json, kind: string): JsonObject | null {
  const statements = listOf(objectOf(tree)['stmts']);
  const [found, node] = unwrapped(objectOf(objectOf(statements[0])['stmt']));
  return statements.length === 1 && found === kind ? node : null;
}

/** Whether two parts of trees say the same; where they stand does not matter. */
function same(left: Json | undefined, right: Json | undefined): boolean {
  return JSON.stringify(placeless(left ?? null)) === JSON.stringify(placeless(right ?? null));
}

function attempt(parse: () => Json): Json {
  try {
    return parse();
  } catch {
    return null;
  }
}
