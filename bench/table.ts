/** Cells of one row, by the heading of their column. */
export type Cells = Readonly<Record<string, string | number>>;

/** A Markdown table, as it can stand in a page; the headings are those of the first row. */
export function tableOf(rows: readonly Cells[]): string {
  const [first] = rows;
  if (first === undefined) return '';
  const headings = Object.keys(first);
  const marks = headings.map((heading) => (typeof first[heading] === 'number' ? '---:' : '---'));
  const lines = rows.map((row) => headings.map((heading) => String(row[heading] ?? '')));
  return [headings, marks, ...lines].map((each) => `| ${each.join(' | ')} |\n`).join('');
}
