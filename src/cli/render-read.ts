/** What a read found, as a table where it fits the width and row by row where it does not. */
import type { ReadResult } from '../model/read.ts';
import { columnsOf, inert, pad } from '../lib/terminal.ts';
import { field, paragraph, quoted, shown, type Look } from './look.ts';

const GAP = '  ';
const MASKED = '(masked)';

/** Lays out the rows of a read with its figures, or why there are none. */
export function readLines(result: ReadResult, statement: string, look: Look): readonly string[] {
  if (result.state === 'refused') return refusedLines(result, statement, look);
  return [
    ...(result.columns.length === 0 || result.rows.length === 0 ? [] : rowLines(result, look)),
    ...field(look, 'read', `${result.reason}; ${result.bytes.toLocaleString('en-GB')} bytes`),
    ...(result.resources.length === 0 ? [] : field(look, 'of', result.resources.join(', '))),
  ];
}

type Refused = Extract<ReadResult, { state: 'refused' }>;
type Read = Extract<ReadResult, { state: 'read' }>;

function refusedLines(result: Refused, statement: string, look: Look): readonly string[] {
  const { span, retryAfterMs } = result;
  return [
    look.paint.red('refused'),
    ...field(look, 'why', `${result.code}: ${result.reason}`),
    ...(span === null ? [] : ['  at', ...quoted(look, statement.slice(span.from, span.to))]),
    ...(retryAfterMs === null ? [] : field(look, 'again', `in ${retryAfterMs / 1000} s`)),
  ];
}

function rowLines(result: Read, look: Look): readonly string[] {
  const head = result.columns.map((column) => inert(column.name));
  const body = result.rows.map((row) =>
    result.columns.map((column, at) => cellText(row[at] ?? null, column.isMasked)),
  );
  const widths = head.map((name, at) =>
    Math.max(columnsOf(name), ...body.map((row) => columnsOf(row[at] ?? ''))),
  );
  const width = widths.reduce((sum, each) => sum + each + GAP.length, -GAP.length);
  if (width > look.columns) return recordLines(head, body, look);
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, at) => pad(cell, widths[at] ?? 0))
      .join(GAP)
      .trimEnd();
  const rule = widths.map((each) => '─'.repeat(each)).join(GAP);
  return [look.paint.bold(line(head)), look.paint.dim(rule), ...body.map(line), ''];
}

/** One block for each row: nothing is cut, however long a value is. */
function recordLines(
  head: readonly string[],
  body: readonly (readonly string[])[],
  look: Look,
): readonly string[] {
  return body.flatMap((row, number) => [
    look.paint.dim(`row ${number + 1}`),
    ...head.flatMap((name, at) => paragraph(look, `${name}: ${row[at] ?? ''}`, { indent: '  ' })),
    '',
  ]);
}

/** In quotes where it could be taken for something else: null, a mask, or nothing at all. */
function cellText(value: string | null, isMasked: boolean): string {
  if (value === null) return isMasked ? MASKED : 'null';
  const isPlain = value === value.trim() && !['', 'null', MASKED].includes(value);
  return inert(isPlain && !value.startsWith('"') ? value : shown(value));
}
