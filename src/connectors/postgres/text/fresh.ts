/** Assigned values that a clock or chance gives as a whole: the only ones that may stay unknown. Pure. */
import { isJsonObject, type Json, type JsonObject } from '../../../lib/json.ts';
import { CLOCK_FUNCTIONS, GIVEN_FUNCTIONS } from './allowed.ts';
import { listOf, objectOf, qualifiedName, unwrapped } from './tree.ts';

/** What a refusal says is accepted. */
export const FRESH_FORMS: string =
  "the column's whole value: `now()`, with a cast to a time, number or text, and with `+` or `-` and " +
  "`interval '…'` or `$n::interval`, of a date a whole number or `$n::int`";

/** What a refusal says is accepted of values that are new at every call. */
export const GIVEN_FORMS: string =
  "the column's whole value in VALUES or SET: `gen_random_uuid()`, `random()` or `clock_timestamp()`, with " +
  'no more than a cast that keeps all of it, such as `::text`';

const TIMES = new Set(['timestamp', 'timestamptz', 'date', 'time', 'timetz']);
const PLAIN = new Set(['text', 'int2', 'int4', 'int8', 'float4', 'float8', 'numeric']);

/** What of a value that is new at every call is kept whole by which cast. */
const KEEPING: Readonly<Record<string, ReadonlySet<string>>> = {
  random: new Set(['float8', 'numeric', 'text']),
  clock_timestamp: new Set(['timestamp', 'timestamptz', 'text']),
  gen_random_uuid: new Set(['uuid', 'text']),
  uuidv4: new Set(['uuid', 'text']),
  uuidv7: new Set(['uuid', 'text']),
};

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

/** As `isFresh`, for a value that is new at every call, and so in every row. */
export function isGiven(value: Json): boolean {
  const [kind, node] = nodeOf(value);
  if (kind !== 'TypeCast') return isCall(value, GIVEN_FUNCTIONS);
  const inner = node['arg'] ?? null;
  if (!isCall(inner, GIVEN_FUNCTIONS)) return false;
  const { name, isCut } = typeOf(node);
  return !isCut && KEEPING[calledName(nodeOf(inner)[1])]?.has(name) === true;
}

/** The function that a call names, without its schema. */
export function calledName(call: JsonObject): string {
  return qualifiedName(listOf(call['funcname'])).name;
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
  if (schema !== null || (name !== '+' && name !== '-')) return false;
  const clock = node['lexpr'] ?? null;
  const by = node['rexpr'] ?? null;
  return (isClock(clock) && isInterval(by)) || (isToday(clock) && (isDays(by) || isInterval(by)));
}

/** `CURRENT_DATE`, or a clock that is cast to a date. */
function isToday(value: Json): boolean {
  const [kind, node] = nodeOf(value);
  if (kind === 'SQLValueFunction') return node['op'] === 'SVFOP_CURRENT_DATE';
  return kind === 'TypeCast' && typeOf(node).name === 'date' && isClock(node['arg'] ?? null);
}

/** A parameter needs its cast, as an interval does: without one it may be a date, and the result a number. */
function isDays(value: Json): boolean {
  const [kind, node] = nodeOf(value);
  if (kind === 'A_Const') return node['ival'] !== undefined;
  if (kind !== 'TypeCast' || !DAYS.has(typeOf(node).name)) return false;
  const [inner, constant] = nodeOf(node['arg'] ?? null);
  return inner === 'ParamRef' || (inner === 'A_Const' && constant['ival'] !== undefined);
}

const DAYS = new Set(['int2', 'int4']);

function isClock(value: Json): boolean {
  const [kind] = nodeOf(value);
  if (kind === 'SQLValueFunction') return true;
  return isCall(value, CLOCK_FUNCTIONS);
}

/** A call of one of these and nothing else: no argument, FILTER, OVER or ORDER BY. */
function isCall(value: Json, names: ReadonlySet<string>): boolean {
  const [kind, node] = nodeOf(value);
  const isBare = Object.keys(node).every((member) => BARE_CALL.has(member));
  return kind === 'FuncCall' && isBare && names.has(calledName(node));
}

const BARE_CALL = new Set(['funcname', 'funcformat', 'location']);

function isInterval(value: Json): boolean {
  const [kind, node] = nodeOf(value);
  const [inner] = nodeOf(node['arg'] ?? null);
  const isValue = inner === 'A_Const' || inner === 'ParamRef';
  return kind === 'TypeCast' && typeOf(node).name === 'interval' && isValue;
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
