/** The parts of a compiled statement: quoted names and bound values; no value is ever put into the text. */
import pg from 'pg';
import { isJsonObject, type Json, type JsonObject } from '../../../lib/json.ts';
import { Refused } from '../../connector.ts';
import type { Parameter } from '../session/rows.ts';

export const BINDING_BOUNDS = {
  /** The server cuts a longer name off, which would then be another one. */
  nameBytesMax: 63,
  parametersMax: 8_000,
  /** Levels of a JSON value. */
  depthMax: 64,
} as const;

/** Refuses arguments; `at` is a JSON pointer. */
export function wrong(at: string, expected: string): Refused {
  return new Refused(
    'arguments-invalid',
    `the arguments are wrong at \`${at === '' ? '/' : at}\`: ${expected}`,
  );
}

/** A member's pointer below that of its parent (RFC 6901), cut where a key is absurdly long. */
export function below(at: string, key: string | number): string {
  const name = String(key).slice(0, 100).toWellFormed().replaceAll('~', '~0');
  return `${at}/${name.replaceAll('/', '~1').replaceAll('\0', '\\0')}`;
}

/** Reads an object, all of whose keys must be known. Own keys alone: `__proto__` is one as any other. */
export function objectAt(value: Json | undefined, at: string, keys: readonly string[]): JsonObject {
  if (!isJsonObject(value)) throw wrong(at, `expected an object of ${spoken(keys)}`);
  const unknown = Object.keys(value).find((key) => !keys.includes(key));
  if (unknown !== undefined) throw wrong(below(at, unknown), `expected one of ${spoken(keys)}`);
  return value;
}

/** A member that the object itself has. */
export function own(object: JsonObject, key: string): Json | undefined {
  return Object.hasOwn(object, key) ? object[key] : undefined;
}

/** Reads a list that is not empty. */
export function listAt(value: Json | undefined, at: string, max: number): readonly Json[] {
  if (!isList(value) || value.length === 0) throw wrong(at, 'expected a list that is not empty');
  if (value.length > max) {
    throw wrong(at, `expected at most ${max} items, found ${value.length}; propose it in parts`);
  }
  return value;
}

/** Reads an object of columns that is not empty. */
export function columnsAt(
  value: Json | undefined,
  at: string,
): readonly (readonly [column: string, value: Json])[] {
  if (!isJsonObject(value)) throw wrong(at, 'expected an object of columns');
  const entries = Object.entries(value);
  if (entries.length === 0) throw wrong(at, 'expected at least one column');
  return entries;
}

/** Quotes a column's name, as the catalog spells it. */
export function columnSql(name: string, at: string): string {
  return pg.escapeIdentifier(checkName(name, at));
}

/** Quotes `table` or `schema.table`. */
export function tableSql(value: Json | undefined, at: string): string {
  if (typeof value !== 'string') throw wrong(at, 'expected a table, `table` or `schema.table`');
  const dot = value.indexOf('.');
  const parts = dot < 0 ? [value] : [value.slice(0, dot), value.slice(dot + 1)];
  return parts.map((part) => pg.escapeIdentifier(checkName(part, at))).join('.');
}

function checkName(name: string, at: string): string {
  const bytes = Buffer.byteLength(name);
  const isName = bytes > 0 && bytes <= BINDING_BOUNDS.nameBytesMax;
  if (isName && name.isWellFormed() && !name.includes('\0')) return name;
  throw wrong(at, `expected a name of 1 to ${BINDING_BOUNDS.nameBytesMax} bytes`);
}

/** The values of a statement, in the order of their `$n`. */
export class Binding {
  readonly #parameters: Parameter[] = [];
  readonly #fields: string[] = [];

  get parameters(): readonly Parameter[] {
    return this.#parameters;
  }

  /** Where each of the values stands in the arguments, as a JSON pointer. */
  get fields(): readonly string[] {
    return this.#fields;
  }

  /** Binds a value; the server takes its type from the column that it stands beside. */
  value(value: Json, at: string): string {
    if (this.#parameters.length >= BINDING_BOUNDS.parametersMax) {
      throw wrong(at, `there are more than ${BINDING_BOUNDS.parametersMax} values; use \`import\``);
    }
    this.#parameters.push(parameterOf(value, at));
    this.#fields.push(at);
    return `$${this.#parameters.length}`;
  }

  /** As `value`, where null or JSON would compare to nothing. */
  compared(value: Json, at: string): string {
    if (value === null) throw wrong(at, 'nothing equals null; use `isNull` in a filter');
    if (typeof value === 'object') throw wrong(at, 'expected a text, a number, true or false');
    return this.value(value, at);
  }
}

function parameterOf(value: Json, at: string): Parameter {
  if (value === null || typeof value === 'boolean') return value;
  if (typeof value === 'number') {
    if (Number.isFinite(value) && (!Number.isInteger(value) || Number.isSafeInteger(value))) {
      return value;
    }
    throw wrong(at, 'the number is beyond 2^53, where digits are lost; give it as a text');
  }
  if (typeof value === 'string') {
    if (value.includes('\0') || !value.isWellFormed()) {
      throw wrong(
        at,
        'the text holds a NUL or half a character, which no text of the database can',
      );
    }
    return value;
  }
  if (!isShallow(value)) throw wrong(at, `expected at most ${BINDING_BOUNDS.depthMax} levels`);
  return JSON.stringify(value);
}

/** Without recursion, so that hostile depth ends in an answer. */
function isShallow(value: Json): boolean {
  let level: readonly Json[] = [value];
  for (let depth = 0; depth <= BINDING_BOUNDS.depthMax; depth += 1) {
    level = level.flatMap((each) =>
      typeof each === 'object' && each !== null ? Object.values(each) : [],
    );
    if (level.length === 0) return true;
  }
  return false;
}

function isList(value: Json | undefined): value is readonly Json[] {
  return Array.isArray(value);
}

function spoken(keys: readonly string[]): string {
  return keys.map((key) => `\`${key}\``).join(', ');
}
