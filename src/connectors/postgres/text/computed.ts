/** What is made of the columns that stand in a place of a statement. Pure. */
import type { JsonObject } from '../../../lib/json.ts';
import { listOf, qualifiedName, textOf } from './tree.ts';

/**
 * `choice`: rows are chosen by them as they are. `computed`: by something computed of them, in which
 * values that lay side by side may lie anywhere. `value`: a column gets what is made of them.
 */
export type Part = 'choice' | 'computed' | 'value';

/** What a test or the rows of a query come to has nothing left of the order of what they are made of. */
export function choosing(part: Part): Part {
  return part === 'computed' ? 'choice' : part;
}

export function operandsOf(expression: JsonObject, part: Part): Part {
  const isMatch = MATCHES.has(textOf(expression['kind']));
  const { name } = qualifiedName(listOf(expression['name']));
  return isMatch || SCATTERING.has(name) ? computing(part) : part;
}

export function argumentsOf(called: string, part: Part): Part {
  return KEEPING.has(called) ? part : computing(part);
}

function computing(part: Part): Part {
  return part === 'choice' ? 'computed' : part;
}

function words(text: string): ReadonlySet<string> {
  return new Set(text.trim().split(/\s+/));
}

const MATCHES = words('AEXPR_LIKE AEXPR_ILIKE AEXPR_SIMILAR');

/** Not the four of arithmetic: what they make of a growing number grows. */
const SCATTERING = words('% ^ @ & | # ~ << >> || ^@ ~* !~ !~* ~~ !~~ ~~* !~~*');

/** Functions that give a value as it is, one of several, or how many there are. */
const KEEPING = words(`
  count min max any_value array_agg unnest num_nulls num_nonnulls lag lead first_value last_value
  nth_value int2 int4 int8 numeric
`);
