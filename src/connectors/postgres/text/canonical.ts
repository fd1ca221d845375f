/**
 * What a statement says, however it is spelt: two with one canonical form surely do the same to the
 * same database. What is not sure is left as it stands, and then differs. Pure.
 *
 * C1 The form is that of the parse tree: white space, comments, brackets, the case of keywords, ways to
 *    quote and `CAST` beside `::` are gone there.
 * C2 What a value comes to hangs on where it stands. Only beside a column, in a comparison or as the
 *    whole of what the column gets, is a `$n` the same as a literal, and then not every one: see
 *    `compared` and `assigned`.
 * C3 A `$n` that is used twice has one type for both places: it stays what it is.
 */
import { isJsonObject, type Json, type JsonObject } from '../../../lib/json.ts';
import type { Parameter } from '../session/rows.ts';
import { integerText, isSmallWhole, numberText } from './numbers.ts';
import { isWrapped, listOf, numberOf, objectOf, textOf, unwrapped } from './tree.ts';

export const CANONICAL_BOUNDS = {
  /** Characters of a tree; of a larger one there is no canonical form. */
  treeMax: 262_144,
  depthMax: 300,
} as const;

const PLACE = /^(?:location|(?:rexpr_)?list_(?:start|end)|name_location|stmt_len|stmt_location)$/;

/** Leaves out of a tree where its parts stand in the text. */
export function placeless(value: Json): Json {
  if (Array.isArray(value)) return listOf(value).map(placeless);
  if (!isJsonObject(value)) return value;
  const members = Object.entries(value).filter(([member]) => !PLACE.test(member));
  return Object.fromEntries(members.map(([member, each]) => [member, placeless(each)]));
}

/** The one statement of a parse result as text, for `canonicalForm`; null where it is over the bounds. */
export function treeText(tree: Json): string | null {
  const [statement] = listOf(objectOf(tree)['stmts']);
  const node = objectOf(statement)['stmt'] ?? null;
  if (isDeeper(node, CANONICAL_BOUNDS.depthMax)) return null;
  const text = JSON.stringify(placeless(node));
  return text.length > CANONICAL_BOUNDS.treeMax ? null : text;
}

function isDeeper(value: Json, levels: number): boolean {
  let level: readonly Json[] = [value];
  for (let depth = 0; depth <= levels; depth += 1) {
    level = level.flatMap((each) =>
      typeof each === 'object' && each !== null ? Object.values(each) : [],
    );
    if (level.length === 0) return false;
  }
  return true;
}

/**
 * The canonical form of a statement with its values in place. `schemas` are those that a bare name is
 * looked up in: where there is one, a name means the same with it and without.
 */
export function canonicalForm(
  tree: string,
  parameters: readonly Parameter[],
  schemas: readonly string[],
): string {
  const root = JSON.parse(tree) as Json;
  return new Canon(root, parameters, schemas).of(root);
}

/** The comparisons, and what each is with its sides changed. */
const FLIPPED: ReadonlyMap<string, string> = new Map([
  ['=', '='],
  ['<>', '<>'],
  ['<', '>'],
  ['>', '<'],
  ['<=', '>='],
  ['>=', '<='],
]);

/** A `$n`: how often it stands in the statement, and which it is in the order of standing there. */
interface Use {
  count: number;
  readonly order: number;
}

class Canon {
  readonly #parameters: readonly Parameter[];
  /** The schema that every bare name is looked up in; null where there are several. */
  readonly #schema: string | null;
  readonly #uses = new Map<number, Use>();
  readonly #withNames = new Set<string>();

  constructor(root: Json, parameters: readonly Parameter[], schemas: readonly string[]) {
    this.#parameters = parameters;
    this.#schema = schemas.length === 1 ? (schemas[0] ?? null) : null;
    this.#survey(root);
  }

  of(value: Json | undefined): string {
    if (Array.isArray(value)) return list(listOf(value).map((each) => this.of(each)));
    if (!isJsonObject(value)) return JSON.stringify(value ?? null);
    if (!isWrapped(value)) return this.#node(value);
    const [kind, node] = unwrapped(value);
    return this.#special(kind, node) ?? `{${JSON.stringify(kind)}:${this.#node(node)}}`;
  }

  #survey(value: Json): void {
    if (typeof value !== 'object' || value === null) return;
    if (isJsonObject(value)) {
      const { ctename, ParamRef } = value;
      if (typeof ctename === 'string') this.#withNames.add(ctename);
      if (ParamRef !== undefined) this.#used(numberOf(objectOf(ParamRef)['number']));
    }
    for (const each of Object.values(value)) this.#survey(each);
  }

  #used(number: number): void {
    const use = this.#uses.get(number);
    if (use === undefined) this.#uses.set(number, { count: 1, order: this.#uses.size });
    else use.count += 1;
  }

  #special(kind: string, node: JsonObject): string | null {
    switch (kind) {
      case 'A_Const':
        return literal(node);
      case 'ParamRef':
        return this.#parameter(node);
      case 'A_Expr':
        return this.#expression(node);
      case 'BoolExpr':
        return this.#junction(node);
      case 'UpdateStmt':
        return `{"UpdateStmt":${this.#assigning(node)}}`;
      case 'InsertStmt':
        return `{"InsertStmt":${this.#insert(node)}}`;
      default:
        return null;
    }
  }

  #node(node: JsonObject): string {
    return this.#members(node, (member, each) => {
      const isTable = member === 'schemaname' && typeof node['relname'] === 'string';
      if (isTable && this.#isImplied(node)) return null;
      return this.of(each);
    });
  }

  #members(node: JsonObject, textOfMember: (member: string, value: Json) => string | null): string {
    const members = Object.entries(node).flatMap(([member, value]) => {
      const text = textOfMember(member, value);
      return text === null ? [] : [`${JSON.stringify(member)}:${text}`];
    });
    return `{${members.join(',')}}`;
  }

  /** A name that means the same without its schema: no other schema, and no WITH query, has it. */
  #isImplied({ schemaname, relname }: JsonObject): boolean {
    return schemaname === this.#schema && !this.#withNames.has(textOf(relname));
  }

  /** `$n` where its value is not the same as a literal. */
  #parameter({ number }: JsonObject): string {
    const at = numberOf(number);
    const use = this.#uses.get(at);
    const which = use === undefined || use.count === 1 ? '' : `${use.order} `;
    return `<$${which}${JSON.stringify(this.#parameters[at - 1] ?? null)}>`;
  }

  /** The value of a `$n` that stands in the statement once; undefined for anything else. */
  #valueOf(value: Json): Parameter | undefined {
    const [kind, node] = unwrapped(objectOf(value));
    const at = numberOf(node['number']);
    return kind === 'ParamRef' && this.#uses.get(at)?.count === 1
      ? this.#parameters[at - 1]
      : undefined;
  }

  /** AND and OR, of which neither brackets nor the order mean anything. */
  #junction(node: JsonObject): string {
    const { boolop } = node;
    if (boolop === 'NOT_EXPR') return `{"BoolExpr":${this.#node(node)}}`;
    const parts = operandsOf(node).map((each) => this.of(each));
    return `<${textOf(boolop)} ${list(parts.toSorted())}>`;
  }

  #expression(node: JsonObject): string {
    const { kind, name, lexpr, rexpr } = node;
    const operator = operatorOf(name);
    if (kind === 'AEXPR_OP' && operator === '+' && lexpr === undefined && isNumber(rexpr)) {
      return this.of(rexpr);
    }
    return this.#comparison(node, operator) ?? `{"A_Expr":${this.#node(node)}}`;
  }

  /** A column beside values; null for any other expression. */
  #comparison({ kind, lexpr, rexpr }: JsonObject, operator: string | null): string | null {
    if (operator === null) return null;
    const flipped = FLIPPED.get(operator);
    const isLike = kind === 'AEXPR_LIKE' || kind === 'AEXPR_ILIKE';
    if (isLike && isColumn(lexpr) && isValue(rexpr)) {
      return `<${operator} ${this.of(lexpr)} ${this.#compared(rexpr)}>`;
    }
    if (kind === 'AEXPR_OP' && flipped !== undefined) {
      if (isColumn(lexpr) && isValue(rexpr)) {
        return `<${operator} ${this.of(lexpr)} ${this.#compared(rexpr)}>`;
      }
      if (isColumn(rexpr) && isValue(lexpr)) {
        return `<${flipped} ${this.of(rexpr)} ${this.#compared(lexpr)}>`;
      }
      return null;
    }
    const values = listOf(objectOf(objectOf(rexpr)['List'])['items']);
    if (!isColumn(lexpr) || values.length === 0 || !values.every(isValue)) return null;
    const texts = values.map((each) => this.#compared(each));
    // One that is there twice stays: beside others it is compared in another type than alone.
    if (kind === 'AEXPR_IN') return `<IN ${operator} ${this.of(lexpr)} ${list(texts.toSorted())}>`;
    if (kind !== 'AEXPR_BETWEEN' && kind !== 'AEXPR_NOT_BETWEEN') return null;
    return `<${operator} ${this.of(lexpr)} ${list(texts)}>`;
  }

  /**
   * A value that a column is compared with. Numbers of one value are one number, whatever their type.
   * A `$n` takes the type of the column, a literal number its own: the same only where a column of
   * `real` holds it exactly. Null is not, since there is a setting that reads `= NULL` as `IS NULL`.
   */
  #compared(value: Json): string {
    const parameter = this.#valueOf(value);
    if (typeof parameter === 'number' && isSmallWhole(String(parameter))) return `<#${parameter}>`;
    if (typeof parameter === 'string') return `<~${JSON.stringify(parameter)}>`;
    if (typeof parameter === 'boolean') return `<~${parameter}>`;
    const { text, bool, number } = constantOf(value);
    if (number !== null) {
      const written = numberText(number, 'value');
      if (written !== null) return isSmallWhole(written) ? `<#${written}>` : `<N${written}>`;
    }
    if (text !== null) return `<~${JSON.stringify(text)}>`;
    return bool === null ? this.of(value) : `<~${bool}>`;
  }

  /**
   * The whole of what a column gets. A literal and a `$n` are read by the column's type in the same way,
   * but for a number that is not whole, whose text an amount may take for another; a text that may be
   * an interval, which a literal reads by the fields that the column keeps; and `true`, which a column of
   * names shortens.
   */
  #assigned(value: Json, column: string | null): string {
    const parameter = this.#valueOf(value);
    if (parameter === null) return '<~null>';
    if (typeof parameter === 'boolean') return `<~${JSON.stringify(String(parameter))}>`;
    if (typeof parameter === 'number' && integerText(String(parameter)) !== null) {
      return `<#${parameter}>`;
    }
    if (typeof parameter === 'string' && isSurelyNoInterval(parameter)) {
      return `<~${JSON.stringify(parameter)}>`;
    }
    const { text, number, isNull } = constantOf(value);
    if (isNull) return '<~null>';
    const whole = number === null ? null : integerText(number);
    if (whole !== null) return `<#${whole}>`;
    if (text !== null && isSurelyNoInterval(text)) return `<~${JSON.stringify(text)}>`;
    return this.#increment(value, column) ?? this.of(value);
  }

  /** `column + n` for the column itself, small enough to be the same in every type; else null. */
  #increment(value: Json, column: string | null): string | null {
    const [kind, { kind: how, name, lexpr, rexpr }] = unwrapped(objectOf(value));
    const isSum = kind === 'A_Expr' && how === 'AEXPR_OP' && operatorOf(name) === '+';
    if (!isSum || column === null || lexpr === undefined || rexpr === undefined) return null;
    if (bareName(lexpr) !== column) return null;
    const parameter = this.#valueOf(rexpr);
    const whole =
      typeof parameter === 'number' ? String(parameter) : integerText(constantOf(rexpr).number);
    return whole !== null && isSmallWhole(whole) ? `<+ ${this.of(lexpr)} <#${whole}>>` : null;
  }

  /** As `#node`, for what has a SET. */
  #assigning(node: JsonObject): string {
    return this.#members(node, (member, each) =>
      member === 'targetList' ? this.#assignments(listOf(each)) : this.of(each),
    );
  }

  /** The order of SET means nothing where each item gives one whole column its value. */
  #assignments(targets: readonly Json[]): string {
    const named = targets.map((each) => objectOf(objectOf(each)['ResTarget']));
    const isPlain = named.every(
      ({ indirection, val, name }) =>
        indirection === undefined &&
        typeof name === 'string' &&
        unwrapped(objectOf(val))[0] !== 'MultiAssignRef',
    );
    if (!isPlain) return this.of([...targets]);
    const texts = named.map(({ name, val }) => {
      const column = textOf(name);
      return `${JSON.stringify(column)}:${this.#assigned(val ?? null, column)}`;
    });
    return `<SET ${list(texts.toSorted())}>`;
  }

  /** The order of columns means nothing, that of rows does: it is the order of sequences. */
  #insert(node: JsonObject): string {
    const select = objectOf(objectOf(node['selectStmt'])['SelectStmt']);
    const rows = listOf(select['valuesLists']).map((each) =>
      listOf(objectOf(objectOf(each)['List'])['items']),
    );
    const columns = listOf(node['cols']).map((each) => objectOf(objectOf(each)['ResTarget']));
    const isPlain =
      rows.length > 0 &&
      Object.keys(select).every((member) => VALUES_MEMBERS.has(member)) &&
      columns.every(({ indirection }) => indirection === undefined) &&
      rows.every((row) => columns.length === 0 || row.length === columns.length);
    return this.#members(node, (member, each) => {
      if (member === 'onConflictClause') return this.#assigning(objectOf(each));
      if (!isPlain || (member !== 'cols' && member !== 'selectStmt')) return this.of(each);
      return member === 'cols' ? null : this.#rows(columns, rows);
    });
  }

  #rows(columns: readonly JsonObject[], rows: readonly (readonly Json[])[]): string {
    if (columns.length === 0) {
      return `<VALUES ${list(rows.map((row) => list(row.map((each) => this.#assigned(each, null)))))}>`;
    }
    const names = columns.map(({ name }) => textOf(name));
    const order = [...names.keys()].toSorted((left, right) =>
      (names[left] ?? '') < (names[right] ?? '') ? -1 : 1,
    );
    const texts = rows.map((row) =>
      list(order.map((at) => this.#assigned(row[at] ?? null, names[at] ?? null))),
    );
    return `<VALUES ${list(order.map((at) => JSON.stringify(names[at])))} ${list(texts)}>`;
  }
}

/** What the SELECT of plain VALUES has, and nothing else. */
const VALUES_MEMBERS = new Set(['valuesLists', 'limitOption', 'op']);

function list(texts: readonly string[]): string {
  return `[${texts.join(',')}]`;
}

/** What a junction joins, with the junctions of its own kind in it taken apart. */
function operandsOf({ boolop, args }: JsonObject): readonly Json[] {
  return listOf(args).flatMap((each) => {
    const [kind, node] = unwrapped(objectOf(each));
    return kind === 'BoolExpr' && node['boolop'] === boolop ? operandsOf(node) : [each];
  });
}

/** A built-in operator by its bare name; null where it is qualified. */
function operatorOf(name: Json | undefined): string | null {
  const parts = listOf(name);
  return parts.length === 1 ? textOf(unwrapped(objectOf(parts[0]))[1]['sval']) : null;
}

function isColumn(value: Json | undefined): boolean {
  const [kind, { fields }] = unwrapped(objectOf(value));
  return kind === 'ColumnRef' && listOf(fields).every((each) => 'String' in objectOf(each));
}

/** A column without a table before it, which in SET is surely the table's own; null for any other. */
function bareName(value: Json): string | null {
  const [kind, node] = unwrapped(objectOf(value));
  const fields = listOf(node['fields']);
  if (kind !== 'ColumnRef' || fields.length !== 1) return null;
  const [field, { sval }] = unwrapped(objectOf(fields[0]));
  return field === 'String' ? textOf(sval) : null;
}

/** A literal, with a `+` before it or not, or a `$n`. */
function isValue(value: Json | undefined): value is Json {
  const [kind] = unwrapped(objectOf(value));
  return kind === 'A_Const' || kind === 'ParamRef' || (value !== undefined && isSigned(value));
}

function isSigned(value: Json): boolean {
  const [kind, { kind: how, name, lexpr, rexpr }] = unwrapped(objectOf(value));
  const isPlus = kind === 'A_Expr' && how === 'AEXPR_OP' && operatorOf(name) === '+';
  return isPlus && lexpr === undefined && isNumber(rexpr);
}

function isNumber(value: Json | undefined): boolean {
  const [kind, node] = unwrapped(objectOf(value));
  return kind === 'A_Const' && (node['ival'] !== undefined || node['fval'] !== undefined);
}

interface Constant {
  readonly text: string | null;
  readonly bool: boolean | null;
  /** As the parser has it. */
  readonly number: string | null;
  readonly isNull: boolean;
}

function constantOf(value: Json): Constant {
  const none = { text: null, bool: null, number: null, isNull: false };
  if (isSigned(value)) return constantOf(unwrapped(objectOf(value))[1]['rexpr'] ?? null);
  const [kind, { ival, fval, sval, boolval, isnull }] = unwrapped(objectOf(value));
  if (kind !== 'A_Const') return none;
  if (ival !== undefined) return { ...none, number: String(numberOf(objectOf(ival)['ival'])) };
  if (fval !== undefined) return { ...none, number: textOf(objectOf(fval)['fval']) };
  if (sval !== undefined) return { ...none, text: textOf(objectOf(sval)['sval']) };
  if (boolval !== undefined) return { ...none, bool: objectOf(boolval)['boolval'] === true };
  return { ...none, isNull: isnull === true };
}

/** A literal where its type counts: a number with its decimals, which a division or a text shows. */
function literal(node: JsonObject): string {
  const { number } = constantOf({ A_Const: node });
  if (number === null) return JSON.stringify({ A_Const: node });
  const whole = integerText(number);
  if (whole !== null) return `<i${whole}>`;
  return `<n${numberText(number, 'scale') ?? number}>`;
}

/** Words that an interval may be written with; the server knows some by their first ten letters. */
const INTERVAL_WORD =
  /^(?:ago|c|cent\w*|d|days?|dec\w*|e|h|hours?|hrs?|infinity|j|m|micro\w*|mil\w*|mins?|minutes?|mons?|months?|ms\w*|p|s|secs?|seconds?|t|timezone\w*|us\w*|w|weeks?|y|years?|yrs?)$/i;

/** Whether a text says something that no interval does, or has no number whose unit could be in doubt. */
function isSurelyNoInterval(text: string): boolean {
  if (!/\d/.test(text)) return true;
  const words = text.match(/[\p{L}_]+/gu) ?? [];
  return words.some((word) => !INTERVAL_WORD.test(word));
}
