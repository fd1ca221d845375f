/** How text is laid out: width and colours, and the few shapes that every command prints. */
import { columnsOf, inert, inertLines, pad, palette, wrap, type Palette } from '../lib/terminal.ts';
import type { Output } from './io.ts';

export interface Look {
  readonly columns: number;
  readonly paint: Palette;
}

/** Colours only where a terminal shows them and `NO_COLOR` is not set (no-color.org). */
export function lookOf(output: Output, env: Readonly<Record<string, string | undefined>>): Look {
  const noColour = env['NO_COLOR'];
  const hasColours = output.isTerminal && (noColour === undefined || noColour === '');
  return { columns: Math.min(output.columns, 100), paint: palette(hasColours) };
}

type Paint = (text: string) => string;
const plain: Paint = (text) => text;

/** Lays out foreign text as one inert paragraph, every line indented, none longer than the look. */
export function paragraph(
  look: Look,
  text: string,
  options: { readonly indent?: string; readonly paint?: Paint } = {},
): readonly string[] {
  const { indent = '', paint = plain } = options;
  return wrap(inert(text), look.columns - columnsOf(indent)).map((line) => indent + paint(line));
}

const LABEL_COLUMNS = 12;

/** Lays out `label  value` with the value's further lines under its first. */
export function field(
  look: Look,
  label: string,
  value: string,
  paint: Paint = plain,
): readonly string[] {
  const lines = paragraph(look, value, { indent: ' '.repeat(LABEL_COLUMNS + 2), paint });
  const first = (lines[0] ?? '').slice(LABEL_COLUMNS + 2);
  const head = first === '' ? label : pad(label, LABEL_COLUMNS);
  return [`  ${look.paint.dim(head)}${first}`, ...lines.slice(1)];
}

/**
 * Lays out a word that is copied whole (a digest, a key, a path): on a line of its own where it
 * does not fit beside its label, and never broken.
 */
export function whole(look: Look, label: string, word: string): readonly string[] {
  const fits = columnsOf(inert(word)) <= look.columns - LABEL_COLUMNS - 2;
  if (fits) return field(look, label, word);
  return [`  ${look.paint.dim(label)}`, `    ${inert(word)}`];
}

/**
 * Lays out the parts of a heading beside one another, two spaces apart; a part that does not fit
 * goes on to a line of its own, and one that is wider than a line is broken like a paragraph.
 */
export function heading(
  look: Look,
  parts: readonly (readonly [text: string, paint?: Paint])[],
): readonly string[] {
  const lines: string[] = [];
  let line = '';
  let columns = 0;
  for (const [text, paint = plain] of parts) {
    const safe = inert(text);
    const width = columnsOf(safe);
    if (columns > 0 && columns + 2 + width <= look.columns) {
      line += `  ${paint(safe)}`;
      columns += 2 + width;
      continue;
    }
    if (columns > 0) lines.push(line);
    const indent = lines.length === 0 ? '' : '  ';
    const broken = paragraph(look, text, { indent, paint });
    lines.push(...broken.slice(0, -1));
    line = broken.at(-1) ?? '';
    columns = broken.length > 1 ? look.columns : columnsOf(indent) + width;
  }
  return [...lines, line];
}

/** Lays out foreign text of several lines behind a bar, so that none can pass for ours. */
export function quoted(look: Look, text: string, indent = '  '): readonly string[] {
  const bar = `${indent}│ `;
  return inertLines(text).flatMap((line) =>
    wrap(line, look.columns - columnsOf(bar)).map((part) => look.paint.dim(bar) + part),
  );
}

/** The end of most answers: what a person would type next. */
export function nextCommands(look: Look, commands: readonly string[]): readonly string[] {
  if (commands.length === 0) return [];
  return ['', look.paint.dim('Next:'), ...commands.map((command) => `  ${inert(command)}`)];
}

/**
 * A value in the target's own text form; the target's null is not the text `null`, and no value
 * can end its own quotes and go on as if it were another change.
 */
export function shown(value: string | null): string {
  return value === null ? 'null' : `"${value.replaceAll(/["\\]/g, '\\$&')}"`;
}

/** `2026-11-20 14:12:09 UTC`. */
export function instant(at: number): string {
  return `${new Date(at).toISOString().slice(0, 19).replace('T', ' ')} UTC`;
}

/** `40 s`, `29 min`, `3 h`, `2 d`; never negative. */
export function span(durationMs: number): string {
  const seconds = Math.max(Math.round(durationMs / 1000), 0);
  if (seconds < 120) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 120) return `${minutes} min`;
  const hours = Math.round(minutes / 60);
  return hours < 48 ? `${hours} h` : `${Math.round(hours / 24)} d`;
}

/** `1 row`, `47,000 rows`. */
export function counted(count: number, noun: string, plural = `${noun}s`): string {
  return `${count.toLocaleString('en-GB')} ${count === 1 ? noun : plural}`;
}
