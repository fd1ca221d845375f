/** A table where it fits the width, and one block for each row where it does not: nothing is cut. */
import { columnsOf, inert, pad } from '../lib/terminal.ts';
import { paragraph, type Look } from './look.ts';

const GAP = '  ';

/** Lays out rows of foreign text under their headings; no rows, no lines. */
export function tableLines(
  look: Look,
  head: readonly string[],
  rows: readonly (readonly string[])[],
): readonly string[] {
  if (rows.length === 0) return [];
  const body = rows.map((row) => head.map((_name, at) => inert(row[at] ?? '')));
  const widths = head.map((name, at) =>
    Math.max(columnsOf(name), ...body.map((row) => columnsOf(row[at] ?? ''))),
  );
  const width = widths.reduce((sum, each) => sum + each + GAP.length, 0);
  if (width > look.columns) return blockLines(look, head, body);
  const line = (cells: readonly string[]): string =>
    `${GAP}${cells.map((cell, at) => pad(cell, widths[at] ?? 0)).join(GAP)}`.trimEnd();
  return [look.paint.dim(line(head)), ...body.map(line)];
}

/** The first cell as a heading, the others below it, each after the name of its column. */
function blockLines(
  look: Look,
  head: readonly string[],
  body: readonly (readonly string[])[],
): readonly string[] {
  return body.flatMap((row) => [
    ...paragraph(look, row[0] ?? '', { indent: GAP, paint: look.paint.bold }),
    ...head.slice(1).flatMap((name, at) => {
      const cell = row[at + 1] ?? '';
      return cell === '' ? [] : paragraph(look, `${name}: ${cell}`, { indent: `${GAP}${GAP}` });
    }),
  ]);
}
