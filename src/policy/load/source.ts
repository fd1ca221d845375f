/** The text of a configuration file and where things stand in it. */
import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
  Parser,
  type Document,
  type Node,
  type Scalar,
  visit,
} from 'yaml';
import type { Json } from '../../lib/json.ts';
import { isRecord } from '../../lib/record.ts';
import { Problem } from '../../model/problem.ts';
import { withoutPasswords } from './secrets.ts';

export const SOURCE_BOUNDS = { sizeBytesMax: 1_048_576, aliasesMax: 100, faultsMax: 20 } as const;

/** Something wrong with the file: UTF-16 offset into its text, and what was expected, found, to do. */
export interface Fault {
  readonly offset: number;
  readonly message: string;
}

/** Keys and indexes from the root of the file to a value. */
export type Path = readonly (string | number)[];

export interface Source {
  readonly text: string;
  readonly fileName: string;
  readonly lines: LineCounter;
  readonly document: Document.Parsed;
}

/**
 * Reads YAML 1.2 in its core schema: unique keys, string keys, no tags, few aliases, one document.
 * Throws `configuration-invalid` with every place where it is not.
 */
export function readSource(text: string, fileName: string): Source {
  const sizeBytes = Buffer.byteLength(text);
  if (sizeBytes > SOURCE_BOUNDS.sizeBytesMax) {
    const message = `${fileName}:1:1: expected at most ${SOURCE_BOUNDS.sizeBytesMax} bytes, found ${sizeBytes}; make the file smaller`;
    throw new Problem('configuration-invalid', message, { at: '1:1' });
  }
  const lines = new LineCounter();
  const deep = tooDeep(text);
  if (deep !== undefined) {
    const line = text.slice(0, deep).split('\n').length;
    const column = deep - text.lastIndexOf('\n', deep - 1);
    const at = `${line}:${column}`;
    const message = `${fileName}:${at}: expected at most ${DEPTH_MAX} values within one another, found more; write it flatter`;
    throw new Problem('configuration-invalid', message, { at });
  }
  const document = parseDocument(text, {
    schema: 'core',
    merge: false,
    resolveKnownTags: false,
    stringKeys: true,
    uniqueKeys: true,
    prettyErrors: false,
    logLevel: 'error',
    lineCounter: lines,
  });
  const source = { text, fileName, lines, document };
  const faults = [...yamlFaults(source)];
  const known = new Set(faults.map(({ offset }) => offset));
  for (const offset of tagOffsets(text)) {
    if (!known.has(offset)) faults.push({ offset, message: TAG_MESSAGE });
  }
  if (document.directives?.yaml.explicit === true) {
    faults.push({ offset: 0, message: 'expected no `%YAML` line, found one; remove it' });
  }
  if (faults.length > 0) refuse(source, faults);
  return source;
}

/** How deep values may lie within one another; the parser takes time and stack for each level. */
const DEPTH_MAX = 100;
const RUN = new RegExp(`(?:[-?] +){${DEPTH_MAX + 1}}`);

/**
 * Where a text nests deeper than any configuration does, judged by its brackets and runs of dashes alone,
 * before a parser sees it; undefined where it does not. Levels by indentation are bounded by the size.
 */
export function tooDeep(text: string): number | undefined {
  let depth = 0;
  for (let at = 0; at < text.length; at += 1) {
    const character = text[at];
    if (character === '[' || character === '{') depth += 1;
    if ((character === ']' || character === '}') && depth > 0) depth -= 1;
    if (depth > DEPTH_MAX) return at;
  }
  const run = text.search(RUN);
  return run < 0 ? undefined : run;
}

const TAG_MESSAGE = 'expected a plain value, found one with a tag; remove the tag';

/** Where tags stand, those of the core schema (`!!int`) included: the document does not tell the place. */
function tagOffsets(text: string): readonly number[] {
  const offsets: number[] = [];
  const left: unknown[] = [...new Parser().parse(text)];
  while (left.length > 0) {
    const part = left.pop();
    if (!isRecord(part)) continue;
    if (part['type'] === 'tag' && typeof part['offset'] === 'number') offsets.push(part['offset']);
    else for (const inner of Object.values(part)) left.push(inner);
  }
  return offsets;
}

/** What the parser stumbles over after a slip on the same line. */
const KNOCK_ON: ReadonlySet<string> = new Set([
  'UNEXPECTED_TOKEN',
  'MISSING_CHAR',
  'MULTILINE_IMPLICIT_KEY',
]);

/** One fault for each line; beside a tab as indentation nothing else, since all may follow from it. */
function yamlFaults({ document, lines }: Source): readonly Fault[] {
  const all = [...document.errors, ...document.warnings];
  const tabs = all.filter(({ code }) => code === 'TAB_AS_INDENT');
  const byLine = new Map<number, (typeof all)[number]>();
  for (const error of tabs.length > 0 ? tabs : all) {
    const { line } = lines.linePos(error.pos[0]);
    const known = byLine.get(line);
    if (known === undefined || (KNOCK_ON.has(known.code) && !KNOCK_ON.has(error.code))) {
      byLine.set(line, error);
    }
  }
  return [...byLine.values()].map((error) => ({
    offset: error.pos[0],
    message: yamlMessage(error.code, error.message),
  }));
}

const ALIAS_MESSAGE =
  'expected a value, found an alias (`*` and a name) to no anchor above it; put the name in quotes';

/** Where aliases stand that no anchor above them is for; one pass, in the order of the file. */
function unknownAliases({ document }: Source): readonly Fault[] {
  const anchors = new Set<string>();
  const faults: Fault[] = [];
  visit(document, {
    Value: (_key, node) => void (node.anchor !== undefined && anchors.add(node.anchor)),
    Alias: (_key, node) => {
      if (anchors.has(node.source)) return;
      faults.push({ offset: startOf(node), message: ALIAS_MESSAGE });
    },
  });
  return faults;
}

function yamlMessage(code: string, message: string): string {
  switch (code) {
    case 'BAD_ALIAS':
      return ALIAS_MESSAGE;
    case 'TAB_AS_INDENT':
      return 'expected blanks as indentation, found a tab; replace it by blanks';
    case 'BLOCK_AS_IMPLICIT_KEY':
      return 'expected one value after the key, found a colon and a blank inside it; put the whole value in quotes, or begin inner keys on a line of their own';
    case 'BAD_SCALAR_START':
      return "expected a value, found one that begins with a character of YAML's own; put it in quotes";
    case 'BAD_INDENT':
      return 'expected what belongs together at one indentation, and every bracket closed, found otherwise; align the line, or close the bracket before it';
    case 'DUPLICATE_KEY':
      return 'expected each key once, found it again; keep one of them';
    case 'MULTIPLE_DOCS':
      return 'expected one document, found another after `---`; keep one file for each';
    case 'TAG_RESOLVE_FAILED':
      return TAG_MESSAGE;
    default: {
      // After the colon the parser quotes the text, which may be a secret.
      const said = message.replace(/(?<=\S): .*/s, '');
      return `expected YAML, found a slip in it: ${said.charAt(0).toLowerCase()}${said.slice(1)}; correct it, or put the text in quotes`;
    }
  }
}

/** Returns the file's value; throws `configuration-invalid` where it is none that JSON can hold. */
export function plainValue(source: Source): Json {
  const value = expanded(source);
  const wrong = notJson(value, [], []);
  if (wrong === undefined) {
    // `notJson` has just looked at every part of it.
    return value as Json;
  }
  return refuse(source, [{ offset: valueOffset(source, wrong.path), message: wrong.message }]);
}

function expanded(source: Source): unknown {
  try {
    return source.document.toJS({ maxAliasCount: SOURCE_BOUNDS.aliasesMax });
  } catch {
    // The only throws of `toJS` here: aliases that refer to nothing, or multiply ("billion laughs").
    const unknown = unknownAliases(source);
    if (unknown.length > 0) return refuse(source, unknown);
    const message = `expected at most ${SOURCE_BOUNDS.aliasesMax} uses of aliases, found more, or such that multiply; write the values out`;
    return refuse(source, [{ offset: 0, message }]);
  }
}

/** Finds the first part that JSON cannot hold: a cycle through aliases, infinity, half a character. */
function notJson(
  value: unknown,
  path: Path,
  above: readonly unknown[],
): { readonly path: Path; readonly message: string } | undefined {
  if (typeof value === 'number' && !Number.isFinite(value)) {
    return { path, message: `expected a number with an end, found \`${value}\`; change it` };
  }
  if (typeof value === 'string' && !value.isWellFormed()) {
    return { path, message: 'expected whole characters, found half of one; correct the escape' };
  }
  if (!isRecord(value)) return undefined;
  if (above.includes(value)) {
    return { path, message: 'expected an alias to something else, found one to itself; remove it' };
  }
  for (const [key, child] of Object.entries(value)) {
    const step = Array.isArray(value) ? Number(key) : key;
    const found = notJson(child, [...path, step], [...above, value]);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Throws `configuration-invalid` that lists the faults in the order of the file. */
export function refuse(source: Source, faults: readonly Fault[]): never {
  const ordered = faults.toSorted((left, right) => left.offset - right.offset);
  const lines = ordered.slice(0, SOURCE_BOUNDS.faultsMax).map(({ offset, message }) => {
    return `${source.fileName}:${place(source, offset)}: ${withoutPasswords(message)}`;
  });
  const rest = ordered.length - lines.length;
  if (rest > 0) lines.push(`and ${rest} more`);
  const at = place(source, ordered[0]?.offset ?? 0);
  throw new Problem('configuration-invalid', lines.join('\n'), { at });
}

/** `line:column` of an offset into the text. */
export function place(source: Source, offset: number): string {
  const { line, col } = source.lines.linePos(offset);
  // An empty file has no first line for the counter.
  return line === 0 ? '1:1' : `${line}:${col}`;
}

/** Where the value at the path stands; of a path that leads nowhere, the last value on the way. */
export function valueOffset(source: Source, path: Path): number {
  return startOf(nodeAt(source, path));
}

/** Where the key at the end of the path stands; of no key, the value before it. */
export function keyOffset(source: Source, path: Path): number {
  const owner = nodeAt(source, path.slice(0, -1));
  const key = path.at(-1);
  if (!isMap(owner)) return startOf(owner);
  const pair = owner.items.find((item) => keyText(item.key) === key);
  return isScalar(pair?.key) ? startOf(pair.key) : startOf(owner);
}

/** Where the character `offset` of the string at the path stands, through quotes, folds and indents. */
export function characterOffset(source: Source, path: Path, offset: number): number {
  const node = nodeAt(source, path);
  if (!isScalar(node) || typeof node.value !== 'string') return startOf(node);
  const [start, end] = [contentStart(source, node), node.range?.[1] ?? 0];
  let position = start;
  for (const character of node.value.slice(0, offset)) {
    const found = indexOfLike(source.text, character, position, end);
    if (found === undefined) return start;
    position = found + character.length;
  }
  const next = node.value.charAt(offset);
  return next === '' ? position : (indexOfLike(source.text, next, position, end) ?? position);
}

/** A block scalar begins after its header line, `|` or `>-`, which is no part of the string. */
function contentStart(source: Source, node: Scalar): number {
  const start = startOf(node);
  const isBlock = node.type === 'BLOCK_LITERAL' || node.type === 'BLOCK_FOLDED';
  return isBlock ? source.text.indexOf('\n', start) + 1 : start;
}

function indexOfLike(text: string, character: string, from: number, end: number) {
  // A fold turns a line break into a space: any white space stands for any other.
  const isSpace = character.trim() === '';
  for (let position = from; position < end; position += 1) {
    const found = text.startsWith(character, position);
    if (found || (isSpace && text.charAt(position).trim() === '')) return position;
  }
  return undefined;
}

function nodeAt(source: Source, path: Path): Node | null {
  let node: Node | null = source.document.contents;
  for (const step of path) {
    const child: Node | null = childAt(resolved(source, node), step);
    if (child === null) return node;
    node = child;
  }
  return node;
}

function resolved(source: Source, node: Node | null): Node | null {
  return isAlias(node) ? (node.resolve(source.document) ?? null) : node;
}

function childAt(node: Node | null, step: string | number): Node | null {
  if (isSeq(node) && typeof step === 'number') return asNode(node.items[step]);
  if (!isMap(node)) return null;
  return asNode(node.items.find((item) => keyText(item.key) === step)?.value);
}

function asNode(item: unknown): Node | null {
  return isScalar(item) || isMap(item) || isSeq(item) || isAlias(item) ? item : null;
}

function keyText(key: unknown): string | undefined {
  return isScalar(key) ? String(key.value) : undefined;
}

function startOf(node: Node | null): number {
  return node?.range?.[0] ?? 0;
}
