/**
 * Puts a target into the text of `writegate.yaml`. Comments, order and quotes of what stands there
 * are kept, because only lines are added and single values replaced, never the file written anew.
 */
import { isMap, isScalar, isSeq, parseDocument, type Pair, type YAMLMap, type YAMLSeq } from 'yaml';
import type { Json } from '../lib/json.ts';

export interface Edit {
  readonly text: string;
  /** What changes, for a person to look at: lines with `+` and `-`. */
  readonly shown: readonly string[];
}

export type Settings = readonly (readonly [name: string, value: Json])[];

/** The lines of a target, to be pasted below `targets:`. */
export function targetBlock(name: string, settings: Settings, indent = '  '): string {
  const lines = settings.map(([key, value]) => `${indent}  ${key}: ${valueText(value)}`);
  return [`${indent}${name}:`, `${indent}  kind: postgres`, ...lines].join('\n');
}

/**
 * Adds the target, or sets its settings where it is there, and adds to its lists what they lack; null where the file is of a form that
 * lines cannot be added to (a mapping in braces), and then it is for a person to edit.
 */
export function withTarget(text: string, name: string, settings: Settings): Edit | null {
  const document = parseDocument(text, { keepSourceTokens: false });
  if (document.errors.length > 0 || !isMap(document.contents)) return null;
  const targets = pairOf(document.contents, 'targets');
  if (targets === undefined) {
    const block = `targets:\n${targetBlock(name, settings)}\n`;
    const gap = text === '' || text.endsWith('\n') ? '\n' : '\n\n';
    return { text: `${text}${gap}${block}`, shown: added(block) };
  }
  if (!isMap(targets.value) || targets.value.flow === true) return null;
  const target = pairOf(targets.value, name);
  return target === undefined
    ? insert(text, targets.value, targetBlock(name, settings, ''))
    : update(text, target, settings);
}

function update(text: string, target: Pair, settings: Settings): Edit | null {
  if (!isMap(target.value) || target.value.flow === true) return null;
  let edit: Edit = { text, shown: [] };
  const missing: string[] = [];
  const replaced: Replacement[] = [];
  const shown: string[] = [];
  for (const [key, value] of settings) {
    const pair = pairOf(target.value, key);
    if (pair === undefined) {
      missing.push(`${key}: ${valueText(value)}`);
      continue;
    }
    const node = pair.value;
    if (Array.isArray(value) && (isSeq(node) || isMap(node))) {
      const from = isScalar(pair.key) ? (pair.key.range?.[1] ?? 0) : 0;
      const addition = addTo(text, { key, node, from }, value.map(String));
      if (addition === null) return null;
      replaced.push(...addition.replaced);
      shown.push(...addition.shown);
      continue;
    }
    const range = isScalar(node) ? node.range : undefined;
    const found: unknown = isScalar(node) ? node.value : undefined;
    if (found === value) continue;
    // Any other form is the operator's own choice, and stays.
    if (range === undefined || range === null) continue;
    replaced.push({ at: [range[0], range[1]], to: valueText(value) });
    shown.push(`- ${key}: ${text.slice(range[0], range[1])}`, `+ ${key}: ${valueText(value)}`);
  }
  for (const { at, to } of replaced.toSorted((a, b) => b.at[0] - a.at[0])) {
    edit = { text: edit.text.slice(0, at[0]) + to + edit.text.slice(at[1]), shown };
  }
  if (missing.length === 0) return edit;
  // Before the first setting: nothing of what was replaced stands before it.
  const inserted = insert(edit.text, target.value, missing.join('\n'));
  return inserted && { text: inserted.text, shown: [...shown, ...inserted.shown] };
}

interface Replacement {
  readonly at: readonly [from: number, to: number];
  readonly to: string;
}

interface Addition {
  readonly replaced: readonly Replacement[];
  readonly shown: readonly string[];
}

interface Collection {
  readonly key: string;
  readonly node: YAMLSeq | YAMLMap;
  /** Where the key ends in the text. */
  readonly from: number;
}

/** What a list of names is short for. */
const EVERYTHING = '{insert: true, update: true, delete: true}';

/** Adds the names that a list, or a mapping by names, lacks; null where its form does not allow it. */
function addTo(
  text: string,
  { key, node, from }: Collection,
  names: readonly string[],
): Addition | null {
  const items: readonly unknown[] = isMap(node) ? node.items.map((pair) => pair.key) : node.items;
  const scalars = items.filter((item) => isScalar(item));
  const { range } = node;
  if (scalars.length < items.length || range === undefined || range === null) return null;
  const known = new Set(scalars.map(({ value }) => String(value)));
  const words = names
    .filter((name) => !known.has(name))
    .map((name) => (isMap(node) ? `${valueText(name)}: ${EVERYTHING}` : valueText(name)));
  if (words.length === 0) return { replaced: [], shown: [] };
  const ends = (isMap(node) ? scalars[0] : scalars.at(-1))?.range ?? null;
  const isFlow = node.flow === true;
  if (ends === null && !isFlow) return null;
  const [at, to] = isMap(node)
    ? ofMap(text, words, { at: ends?.[0] ?? range[0] + 1, from, isFlow, isEmpty: ends === null })
    : ofList(text, words, { at: ends?.[1] ?? range[0] + 1, from, isFlow, isEmpty: ends === null });
  const lines = isFlow
    ? [`+ ${key}: … ${words.join(', ')} …`]
    : [`  ${key}:`, ...words.map((word) => `+   ${isMap(node) ? '' : '- '}${word}`)];
  return { replaced: [{ at: [at, at], to }], shown: lines };
}

interface Place extends Pick<Collection, 'from'> {
  readonly at: number;
  readonly isFlow: boolean;
  readonly isEmpty: boolean;
}

type Inserted = readonly [at: number, text: string];

/** Before the first pair and the comments above it, which are about that pair. */
function ofMap(text: string, words: readonly string[], place: Place): Inserted {
  const { at, from, isFlow, isEmpty } = place;
  if (isFlow) return [at, `${words.join(', ')}${isEmpty ? '' : ', '}`];
  const indent = ' '.repeat(at - (text.lastIndexOf('\n', at - 1) + 1));
  const line = text.indexOf('\n', from) + 1;
  return [line, words.map((word) => `${indent}${word}\n`).join('')];
}

/** After the last item, since the first of some lists counts for more. */
function ofList(text: string, words: readonly string[], { at, isFlow, isEmpty }: Place): Inserted {
  if (isFlow) return [at, `${isEmpty ? '' : ', '}${words.join(', ')}`];
  const line = text.slice(text.lastIndexOf('\n', at - 1) + 1, at);
  const bullet = /^[ \t]*-[ \t]+/.exec(line)?.[0] ?? '- ';
  const end = text.indexOf('\n', at);
  return [end === -1 ? text.length : end, words.map((word) => `\n${bullet}${word}`).join('')];
}

/** Inserts lines before the first pair of a block mapping, at its indentation. */
function insert(text: string, map: YAMLMap, lines: string): Edit | null {
  const first = map.items[0]?.key;
  if (!isScalar(first) || first.range === undefined || first.range === null) return null;
  const at = first.range[0];
  const indent = ' '.repeat(at - (text.lastIndexOf('\n', at - 1) + 1));
  const block = lines.replaceAll('\n', `\n${indent}`);
  return { text: `${text.slice(0, at)}${block}\n${indent}${text.slice(at)}`, shown: added(lines) };
}

function pairOf(map: YAMLMap, key: string): Pair | undefined {
  return map.items.find((pair) => isScalar(pair.key) && pair.key.value === key);
}

function added(lines: string): readonly string[] {
  return lines
    .trimEnd()
    .split('\n')
    .map((line) => `+ ${line}`);
}

/** JSON is YAML; a plain word needs no quotes. */
function valueText(value: Json): string {
  const text = JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(valueText).join(', ')}]`;
  return typeof value === 'string' &&
    /^[A-Za-z_][A-Za-z0-9_.]*$/.test(value) &&
    !/^(?:true|false|null|yes|no|on|off)$/i.test(value)
    ? value
    : text;
}
