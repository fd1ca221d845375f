/** Where a read uses which columns, so that masked ones can be told from the rest. Pure. */
import { isJsonObject, type Json, type JsonObject } from '../../../lib/json.ts';
import { isWrapped, listOf, objectOf, textOf, unwrapped } from './tree.ts';

/**
 * How a SELECT uses names. A column whose value may not be seen may stand in the outermost list, as it is,
 * and nowhere else: any test, order or computation of it would tell its value.
 */
export interface ReadShape {
  /** The columns of the outermost list that stand there as they are; null name for `*`. */
  readonly outputs: readonly { readonly name: string | null; readonly label: string | null }[];
  /** Every part of every other column reference, and what USING names. */
  readonly used: readonly string[];
  /**
   * A `*` below the outermost list, a whole row, NATURAL, or an alias that renames columns: anything may
   * be used.
   */
  readonly isOpaque: boolean;
  /** UNION and its like, DISTINCT, GROUP BY: what stands in the outermost list is compared. */
  readonly isCompared: boolean;
  /** Sorts by place or label in the outermost list. */
  readonly sortsByOutput: boolean;
}

interface Uses {
  readonly used: Set<string>;
  /** Column references of one part: where a table is called so, it is a whole row. */
  readonly bare: Set<string>;
  /** What tables and sub-selects are called. */
  readonly ranges: Set<string>;
  isOpaque: boolean;
}

/** Reads the shape off a SELECT that was walked before. */
export function readShape(select: JsonObject): ReadShape {
  const uses: Uses = { used: new Set(), bare: new Set(), ranges: new Set(), isOpaque: false };
  const outputs: { name: string | null; label: string | null }[] = [];
  const rest: JsonObject = Object.fromEntries(
    Object.entries(select).filter(([member]) => member !== 'targetList'),
  );
  collect(rest, uses);
  for (const item of listOf(select['targetList'])) {
    const [, target] = unwrapped(objectOf(item));
    const [kind, column] = unwrapped(objectOf(target['val']));
    if (kind !== 'ColumnRef') {
      collect(target['val'] ?? null, uses);
      continue;
    }
    const fields = listOf(column['fields']);
    const [last, field] = unwrapped(objectOf(fields.at(-1)));
    const name = last === 'String' ? textOf(field['sval']) : null;
    const label = typeof target['name'] === 'string' ? target['name'] : name;
    outputs.push({ name, label });
    // A name alone may be that of a table: then it is all of a row.
    if (fields.length === 1 && name !== null) uses.bare.add(name);
  }
  const labels = new Set(outputs.map((each) => each.label));
  const isCompared =
    select['op'] !== 'SETOP_NONE' ||
    select['distinctClause'] !== undefined ||
    select['groupClause'] !== undefined;
  const sortsByOutput = listOf(select['sortClause']).some((each) => {
    const [kind, node] = unwrapped(objectOf(unwrapped(objectOf(each))[1]['node']));
    const [only] = listOf(node['fields']);
    return kind === 'A_Const' || labels.has(textOf(unwrapped(objectOf(only))[1]['sval']));
  });
  return {
    outputs,
    used: [...uses.used],
    isOpaque: uses.isOpaque || [...uses.bare].some((each) => uses.ranges.has(each)),
    isCompared,
    sortsByOutput,
  };
}

function collect(value: Json, uses: Uses): void {
  if (Array.isArray(value)) {
    for (const each of listOf(value)) collect(each, uses);
    return;
  }
  if (!isJsonObject(value)) return;
  if (isWrapped(value)) {
    const [kind, node] = unwrapped(value);
    if (kind === 'ColumnRef') return collectColumn(node, uses);
    if (kind === 'JoinExpr') collectJoin(node, uses);
    if (kind === 'RangeVar' || kind === 'RangeSubselect') collectRange(node, uses);
    if (kind === 'CommonTableExpr' && listOf(node['aliascolnames']).length > 0)
      uses.isOpaque = true;
    for (const each of Object.values(node)) collect(each, uses);
    return;
  }
  for (const each of Object.values(value)) collect(each, uses);
}

function collectRange(node: JsonObject, uses: Uses): void {
  const alias = objectOf(node['alias']);
  if (listOf(alias['colnames']).length > 0) uses.isOpaque = true;
  uses.ranges.add(textOf(alias['aliasname'] ?? node['relname']));
}

function collectColumn(node: JsonObject, uses: Uses): void {
  const fields = listOf(node['fields']);
  for (const each of fields) {
    const [kind, field] = unwrapped(objectOf(each));
    if (kind === 'A_Star') uses.isOpaque = true;
    else uses.used.add(textOf(field['sval']));
  }
  const [only] = fields;
  if (fields.length === 1) uses.bare.add(textOf(unwrapped(objectOf(only))[1]['sval']));
}

function collectJoin(node: JsonObject, uses: Uses): void {
  if (node['isNatural'] === true) uses.isOpaque = true;
  for (const alias of ['alias', 'join_using_alias']) {
    const { aliasname, colnames } = objectOf(node[alias]);
    if (listOf(colnames).length > 0) uses.isOpaque = true;
    if (aliasname !== undefined) uses.ranges.add(textOf(aliasname));
  }
  for (const each of listOf(node['usingClause'])) {
    uses.used.add(textOf(unwrapped(objectOf(each))[1]['sval']));
  }
}
