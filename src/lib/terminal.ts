/** Text for a terminal: made inert, measured in columns, wrapped without losing a character. */

/**
 * What a terminal or a reader may take for something else than text: control characters and ANSI
 * escapes, bidirectional and zero-width marks, spaces that are not the space, invisible letters,
 * private and unassigned code points, lone surrogates.
 */
const UNSAFE =
  /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u2800]|(?! )\p{Zs}/gu;

const NAMED: Readonly<Record<string, string>> = { '\n': '⏎', '\t': '⇥', '\r': '⟨CR⟩' };

/** Makes foreign text inert: what could act on the terminal or hide is spelled out, `⟨U+202E⟩`. */
export function inert(text: string): string {
  return text.replaceAll(UNSAFE, (unsafe) => NAMED[unsafe] ?? `⟨U+${codePoint(unsafe)}⟩`);
}

/** Makes foreign text of several lines inert, line by line. */
export function inertLines(text: string): readonly string[] {
  return text.split(/\r?\n/u).map((line) => inert(line));
}

/** Writes one line of JSON in which the same characters appear as `\u` escapes. */
export function inertJson(value: unknown): string {
  return (JSON.stringify(value) ?? 'null').replaceAll(UNSAFE, (unsafe) =>
    Array.from({ length: unsafe.length }, (_, unit) => unsafe.charCodeAt(unit))
      .map((code) => `\\u${code.toString(16).padStart(4, '0')}`)
      .join(''),
  );
}

/** Returns how many terminal columns a text without escapes takes. */
export function columnsOf(text: string): number {
  let columns = 0;
  for (const character of text) columns += columnsOfCharacter(character);
  return columns;
}

const MARK = /^\p{M}$/u;
const WIDE =
  /^(?:\p{Emoji_Presentation}|[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{20000}-\u{3fffd}])$/u;

function columnsOfCharacter(character: string): number {
  if (character < '\u0300') return 1;
  if (MARK.test(character)) return 0;
  return WIDE.test(character) ? 2 : 1;
}

/** What closes or ends: alone on a line it would belong to nothing. */
const CLOSING = /^[)\]}.,;:!?`'"]$/u;

/**
 * Breaks a text into lines of at most `columns`, at blanks where there are some, anywhere where
 * there are none. A break takes the place of the blanks at it, for at the end of a line none is
 * seen and one over the edge would be a row of its own; nothing else is dropped.
 */
export function wrap(text: string, columns: number): readonly string[] {
  const width = Math.max(columns, 2);
  const lines: string[] = [];
  let line = '';
  let lineColumns = 0;
  for (const character of text) {
    const characterColumns = columnsOfCharacter(character);
    if (lineColumns + characterColumns > width && character !== ' ') {
      const cut = cutOf(line, character);
      lines.push(line.slice(0, cut).trimEnd());
      line = line.slice(cut);
      lineColumns = columnsOf(line);
    }
    line += character;
    lineColumns += characterColumns;
  }
  return [...lines, line.trimEnd()];
}

/** Where a full line is cut before the next character: after its last blank, if a word is before it. */
function cutOf(line: string, next: string): number {
  const blank = line.lastIndexOf(' ') + 1;
  if (blank > 0 && line.slice(0, blank).trim() !== '') return blank;
  const last = Array.from(line).at(-1) ?? '';
  const isAlone = CLOSING.test(next) && last !== ' ' && last.length < line.length;
  return isAlone ? line.length - last.length : line.length;
}

/** Pads a text with spaces to `columns`; longer text stays as it is. */
export function pad(text: string, columns: number, side: 'start' | 'end' = 'end'): string {
  const fill = ' '.repeat(Math.max(columns - columnsOf(text), 0));
  return side === 'end' ? text + fill : fill + text;
}

/** Paints text, or leaves it alone where the terminal has no colours. */
export interface Palette {
  bold(text: string): string;
  dim(text: string): string;
  red(text: string): string;
  yellow(text: string): string;
  green(text: string): string;
}

/** Makes a palette; without colours each function gives the text back. */
export function palette(hasColours: boolean): Palette {
  const paint = (open: number, close: number) => (text: string) =>
    hasColours && text !== '' ? `\u001b[${open}m${text}\u001b[${close}m` : text;
  return {
    bold: paint(1, 22),
    dim: paint(2, 22),
    red: paint(31, 39),
    yellow: paint(33, 39),
    green: paint(32, 39),
  };
}

function codePoint(character: string): string {
  return (character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0');
}
