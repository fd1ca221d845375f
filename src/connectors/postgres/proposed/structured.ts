/**
 * Structured writes: JSON that is compiled into one statement, which then goes the way of any other.
 * The text holds names and `$n` alone; what the agent gave as values is bound.
 */
import { isJsonObject, type Json, type JsonObject } from '../../../lib/json.ts';
import { Refused } from '../../connector.ts';
import {
  below,
  Binding,
  columnsAt,
  columnSql,
  listAt,
  objectAt,
  own,
  tableSql,
  wrong,
} from './binding.ts';
import { whichRows } from './filter.ts';
import { PARSE_BOUNDS } from '../text/parse.ts';
import type { Parameter } from '../session/rows.ts';

export const STRUCTURED_BOUNDS = {
  rowsMax: 1_000,
  /** As many as a table of the server may have. */
  columnsMax: 1_600,
} as const;

export const STRUCTURED_OPERATIONS = ['insert', 'update', 'delete', 'import'] as const;
export type StructuredOperation = (typeof STRUCTURED_OPERATIONS)[number];

/** What structured arguments mean. */
export type Compiled =
  | {
      readonly kind: 'statement';
      readonly text: string;
      readonly parameters: readonly Parameter[];
      /** Where each stands in the arguments, as a JSON pointer. */
      readonly fields: readonly string[];
    }
  | ({ readonly kind: 'import' } & ImportRequest);

export interface ImportRequest {
  /** As the agent named it: `table` or `schema.table`. */
  readonly table: string;
  /** The id that the upload was answered with. */
  readonly upload: string;
  readonly format: 'csv' | 'ndjson';
  /** Null: those of the file's first line (csv), or of its first object (ndjson). */
  readonly columns: readonly string[] | null;
}

/** Reports whether an operation is one that is compiled here. */
export function isStructured(operation: string): operation is StructuredOperation {
  return STRUCTURED_OPERATIONS.some((each) => each === operation);
}

/** Compiles the arguments of a structured write; throws `arguments-invalid` with a JSON pointer. */
export function compile(operation: StructuredOperation, args: JsonObject): Compiled {
  switch (operation) {
    case 'insert':
      return compileInsert(args);
    case 'update':
      return compileUpdate(args);
    case 'delete':
      return compileDelete(args);
    case 'import':
      return { kind: 'import', ...readImport(args) };
  }
}

function compileInsert(args: JsonObject): Compiled {
  objectAt(args, '', ['table', 'rows', 'onConflict']);
  const table = tableSql(own(args, 'table'), '/table');
  const rows = listAt(own(args, 'rows'), '/rows', STRUCTURED_BOUNDS.rowsMax).map((row, index) => {
    const at = below('/rows', index);
    return { at, members: new Map(columnsAt(row, at)) };
  });
  const names = new Set<string>();
  for (const { at, members } of rows) {
    for (const name of members.keys()) names.add(name);
    checkColumns(names.size, at);
  }
  const binding = new Binding();
  const tuples = rows.map(({ at, members }) => {
    const values = [...names].map((name) => {
      const value = members.get(name);
      return value === undefined ? 'DEFAULT' : binding.value(value, below(at, name));
    });
    return `(${values.join(', ')})`;
  });
  const columns = [...names].map((name) => columnSql(name, below('/rows', name)));
  const conflict = own(args, 'onConflict');
  const tail =
    conflict === undefined ? '' : conflictSql(conflict, { table, names: [...names] }, binding);
  const text = `INSERT INTO ${table} (${columns.join(', ')}) VALUES ${tuples.join(', ')}${tail}`;
  return statementOf(text, binding);
}

function conflictSql(
  conflict: Json,
  into: { readonly table: string; readonly names: readonly string[] },
  binding: Binding,
): string {
  const at = '/onConflict';
  const given = objectAt(conflict, at, ['columns', 'do', 'set']);
  const columns = listAt(own(given, 'columns'), `${at}/columns`, STRUCTURED_BOUNDS.columnsMax);
  const names = columns.map((name, index) => textAt(name, below(`${at}/columns`, index)));
  const listed = names.map((name, index) => columnSql(name, below(`${at}/columns`, index)));
  const set = own(given, 'set');
  const what = own(given, 'do');
  if (what === 'nothing') {
    if (set !== undefined) throw wrong(`${at}/set`, 'nothing is set where nothing is done');
    return ` ON CONFLICT (${listed.join(', ')}) DO NOTHING`;
  }
  if (what !== 'update') throw wrong(`${at}/do`, 'expected `nothing` or `update`');
  const rest = into.names.filter((name) => !names.includes(name));
  if (set === undefined && rest.length === 0) {
    throw wrong(`${at}/set`, 'every column is one of the conflict; use `"do": "nothing"`');
  }
  // A name alone could mean the row that is there or the one that was given.
  const present = ownName(into.table);
  const assigned =
    set === undefined
      ? rest.map((name) => `${columnSql(name, at)} = excluded.${columnSql(name, at)}`)
      : assignments(set, `${at}/set`, binding, `${present}.`);
  return ` ON CONFLICT (${listed.join(', ')}) DO UPDATE SET ${assigned.join(', ')}`;
}

/** `"orders"` of `"public"."orders"`: a table is called by its last name in its own statement. */
function ownName(table: string): string {
  const parts = /^(?:"(?:[^"]|"")*"\.)?("(?:[^"]|"")*")$/.exec(table);
  return parts?.[1] ?? table;
}

function compileUpdate(args: JsonObject): Compiled {
  objectAt(args, '', ['table', 'set', 'key', 'keys', 'filter']);
  const table = tableSql(own(args, 'table'), '/table');
  const binding = new Binding();
  const set = assignments(own(args, 'set'), '/set', binding, '');
  const where = whichRows(args, binding);
  return statementOf(`UPDATE ${table} SET ${set.join(', ')} WHERE ${where}`, binding);
}

/** Of a soft deleted table the parser makes an UPDATE of it, as of any DELETE. */
function compileDelete(args: JsonObject): Compiled {
  objectAt(args, '', ['table', 'key', 'keys', 'filter']);
  const table = tableSql(own(args, 'table'), '/table');
  const binding = new Binding();
  return statementOf(`DELETE FROM ${table} WHERE ${whichRows(args, binding)}`, binding);
}

function assignments(
  set: Json | undefined,
  at: string,
  binding: Binding,
  present: string,
): readonly string[] {
  const entries = columnsAt(set, at);
  checkColumns(entries.length, at);
  return entries.map(([name, value]) => {
    const place = below(at, name);
    const column = columnSql(name, place);
    const increment = incrementOf(value, place);
    if (increment === null) return `${column} = ${binding.value(value, place)}`;
    return `${column} = ${present}${column} + ${binding.value(increment, `${place}/increment`)}`;
  });
}

const DECIMAL = /^-?\d{1,100}(?:\.\d{1,100})?$/;

/** `{"increment": n}` adds to what is there. The same as a JSON value is given as a text. */
function incrementOf(value: Json, at: string): number | string | null {
  if (!isJsonObject(value)) return null;
  const keys = Object.keys(value);
  const increment = own(value, 'increment');
  if (increment === undefined || keys.length !== 1) return null;
  if (typeof increment === 'number') return increment;
  if (typeof increment === 'string' && DECIMAL.test(increment)) return increment;
  throw wrong(`${at}/increment`, 'expected a number, or a decimal in a text');
}

const UPLOAD = /^upl_[0-9a-f]{64}$/;

function readImport(args: JsonObject): ImportRequest {
  objectAt(args, '', ['table', 'upload', 'format', 'columns']);
  const table = own(args, 'table');
  tableSql(table, '/table');
  const upload = textAt(own(args, 'upload'), '/upload');
  if (!UPLOAD.test(upload)) throw wrong('/upload', 'expected the `id` that the upload was given');
  const format = own(args, 'format');
  if (format !== 'csv' && format !== 'ndjson') {
    throw wrong('/format', 'expected `csv` or `ndjson`');
  }
  const columns = own(args, 'columns');
  if (columns === undefined)
    return { table: textAt(table, '/table'), upload, format, columns: null };
  const names = listAt(columns, '/columns', STRUCTURED_BOUNDS.columnsMax).map((name, index) =>
    textAt(name, below('/columns', index)),
  );
  for (const [index, name] of names.entries()) {
    columnSql(name, below('/columns', index));
    if (names.indexOf(name) !== index) throw wrong(below('/columns', index), 'is there twice');
  }
  return { table: textAt(table, '/table'), upload, format, columns: names };
}

function textAt(value: Json | undefined, at: string): string {
  if (typeof value === 'string') return value;
  throw wrong(at, 'expected a text');
}

function checkColumns(count: number, at: string): void {
  if (count <= STRUCTURED_BOUNDS.columnsMax) return;
  throw wrong(at, `expected at most ${STRUCTURED_BOUNDS.columnsMax} columns`);
}

function statementOf(text: string, binding: Binding): Compiled {
  const bytes = Buffer.byteLength(text);
  if (bytes > PARSE_BOUNDS.textBytesMax) {
    throw new Refused(
      'statement-too-large',
      `the write comes to a statement of ${bytes} bytes; expected at most ` +
        `${PARSE_BOUNDS.textBytesMax}; propose it in parts, or many rows with \`import\``,
    );
  }
  return { kind: 'statement', text, parameters: binding.parameters, fields: binding.fields };
}
