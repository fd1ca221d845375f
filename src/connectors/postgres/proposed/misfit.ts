/** Which of the given values does not fit, as far as the server's error tells; never the value itself. */
import type pg from 'pg';
import type { Parameter } from '../session/rows.ts';

/** What a statement was given, in the order of its `$n`. */
export interface Given {
  readonly parameters: readonly Parameter[];
  /** Where each stood in the arguments of a structured write, as a JSON pointer. */
  readonly fields?: readonly string[] | undefined;
}

const PLACES_MAX = 3;

/** ` at …, of type …`; empty where nothing is known. */
export function misfitOf(error: pg.DatabaseError, given: Given | undefined): string {
  const type = typeOf(error);
  const places = indicesOf(error, given?.parameters ?? []).map((index) => {
    const field = given?.fields?.[index];
    return field === undefined ? `parameter $${index + 1}` : `\`${field}\``;
  });
  const named =
    error.column === undefined
      ? places.slice(0, PLACES_MAX).join(' or ')
      : `\`${[error.schema, error.table, error.column].filter((part) => part !== undefined).join('.')}\``;
  return (named === '' ? '' : ` at ${named}`) + (type === null ? '' : `, of type ${type}`);
}

/** Texts of the server that hold no value. */
const NUMERIC =
  /^A field with precision (\d+), scale (-?\d+) must round to an absolute value less than /;
const LENGTH = /^value too long for type ([a-z ]+\((\d+)\))$/;
const WHOLE = /^(smallint|integer|bigint) out of range$/;
/** How the server's text begins where it could not read a bound value. */
const BOUND = /^(?:unnamed portal|portal "[^"]*") parameter \$(\d+)/;

function typeOf({ message, detail }: pg.DatabaseError): string | null {
  const numeric = NUMERIC.exec(detail ?? '');
  if (numeric !== null) return `numeric(${numeric[1]},${numeric[2]})`;
  return LENGTH.exec(message)?.[1] ?? WHOLE.exec(message)?.[1] ?? null;
}

function indicesOf(
  { message, detail, where }: pg.DatabaseError,
  parameters: readonly Parameter[],
): readonly number[] {
  const bound = BOUND.exec(where ?? '')?.[1];
  if (bound !== undefined) return [Number(bound) - 1];
  const [, precision, scale] = NUMERIC.exec(detail ?? '') ?? [];
  const length = LENGTH.exec(message)?.[2];
  const isMisfit = (value: Parameter): boolean => {
    if (value === null || typeof value === 'boolean') return false;
    if (length !== undefined) return [...String(value)].length > Number(length);
    if (precision === undefined) return false;
    // Rounded as the server does it.
    const half = 0.5 * 10 ** -Number(scale);
    return Math.abs(Number(value)) + half >= 10 ** (Number(precision) - Number(scale));
  };
  return parameters.flatMap((value, index) => (isMisfit(value) ? [index] : []));
}
