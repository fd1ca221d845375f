/** Which columns a WHERE holds to one value each, so that a write by its key is known for one. Pure. */
import { isJsonObject, type Json } from '../../../lib/json.ts';
import { listOf, objectOf, textOf, unwrapped } from '../text/tree.ts';

/** Columns that must equal a constant or a `$n`, by name alone; a guess that nothing is allowed by. */
export function fixedColumns(where: Json | undefined): readonly string[] {
  if (!isJsonObject(where)) return [];
  const [kind, node] = unwrapped(where);
  if (kind === 'BoolExpr') {
    return node['boolop'] === 'AND_EXPR' ? listOf(node['args']).flatMap(fixedColumns) : [];
  }
  if (kind !== 'A_Expr' || node['kind'] !== 'AEXPR_OP') return [];
  const operator = listOf(node['name']).map((each) => textOf(stringOf(each)));
  if (operator.length !== 1 || operator[0] !== '=') return [];
  const sides = [node['lexpr'], node['rexpr']];
  if (!sides.some(isConstant)) return [];
  return sides.flatMap((side) => {
    const [type, column] = unwrapped(objectOf(side));
    if (type !== 'ColumnRef') return [];
    const name = textOf(stringOf(listOf(column['fields']).at(-1)));
    return name === '' ? [] : [name];
  });
}

function stringOf(value: Json | undefined): Json | undefined {
  return unwrapped(objectOf(value))[1]['sval'];
}

function isConstant(value: Json | undefined): boolean {
  const [kind, node] = unwrapped(objectOf(value));
  if (kind === 'TypeCast') return isConstant(node['arg']);
  return kind === 'A_Const' || kind === 'ParamRef';
}
