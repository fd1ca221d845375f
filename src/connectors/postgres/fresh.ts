/** Assigned values that a clock gives as a whole: the only ones that may stay unknown. Pure. */
import { isJsonObject, type Json, type JsonObject } from '../../lib/json.ts';
import { CLOCK_FUNCTIONS } from './allowed.ts';
import { listOf, objectOf, qualifiedName, unwrapped } from './tree.ts';

/** What a refusal says is accepted. */
export const FRESH_FORMS: string =
  "the column's whole value: `now()`, with a cast to a time, number or text, and with `+` or `-` and " +
  "`interval '…'` or `$n::interval`";

const TIMES = new Set(['timestamp', 'timestamptz', 'date', 'time', 'timetz']);
const PLAIN = new Set(['text', 'int2', 'int4', 'int8', 'float4', 'float8', 'numeric']);

/**
 * Whether a value is nothing but a clock. Whatever else the agent could mix in would
 * be hidden with it from rules, limits and reviewers: so no argument, and one cast that cuts nothing off.
 */
export function isFresh(value: Json): boolean {
  const [kind, node] = nodeOf(value);
  if (kind !== 'TypeCast') return isShiftedClock(value);
  const { name, isCut } = typeOf(node);
  const isAccepted = TIMES.has(name) || (PLAIN.has(name) && !isCut);
  return isAccepted && isShiftedClock(node['arg'] ?? null);
}

/** Whether a value is `excluded.column`: what the INSERT gave the same column. */
export function isExcluded(value: Json, column: string): boolean {
  const [kind, node] = nodeOf(value);
  if (kind !== 'ColumnRef' || listOf(node['fields']).length !== 2) return false;
  const { schema, name } = qualifiedName(listOf(node['fields']));
  return schema === 'excluded' && name === column;
}

function isShiftedClock(value: Json): boolean {
  const [kind, node] = nodeOf(value);
  if (kind !== 'A_Expr' || node['kind'] !== 'AEXPR_OP') return isClock(value);
  const { schema, name } = qualifiedName(listOf(node['name']));
  const isShift = schema === null && (name === '+' || name === '-');
  return isShift && isClock(node['lexpr'] ?? null) && isInterval(node['rexpr'] ?? null);
}

function isClock(value: Json): boolean {
  const [kind] = nodeOf(value);
  if (kind === 'SQLValueFunction') return true;
  return isCall(value, CLOCK_FUNCTIONS);
}

function isCall(value: Json, names: ReadonlySet<string>): boolean {
  const [kind, node] = nodeOf(value);
  if (kind !== 'FuncCall' || listOf(node['args']).length > 0) return false;
  return names.has(qualifiedName(listOf(node['funcname'])).name);
}

function isInterval(value: Json): boolean {
  const [kind, node] = nodeOf(value);
  const [inner] = nodeOf(node['arg'] ?? null);
  const isGiven = inner === 'A_Const' || inner === 'ParamRef';
  return kind === 'TypeCast' && typeOf(node).name === 'interval' && isGiven;
}

function typeOf(cast: JsonObject): { readonly name: string; readonly isCut: boolean } {
  const type = objectOf(cast['typeName']);
  const isArray = listOf(type['arrayBounds']).length > 0;
  return {
    name: isArray ? 'array' : qualifiedName(listOf(type['names'])).name,
    isCut: listOf(type['typmods']).length > 0,
  };
}

function nodeOf(value: Json): readonly [kind: string, node: JsonObject] {
  return isJsonObject(value) ? unwrapped(value) : ['nothing', {}];
}
