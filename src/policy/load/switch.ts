import { isAlias, isMap, isScalar, parseDocument, type Document } from 'yaml';
import { SOURCE_BOUNDS, tooDeep } from './source.ts';

const OFF = /^(?:false|no|off)$/i;

/**
 * Reports whether the text of a configuration file says at its top that nothing is to be written:
 * `writes: { enabled: false }`. Whatever else is wrong with the file, and in whichever of the ways
 * that people write "no": who has no time to look a key up means what they say. Of a text in which
 * no mapping can be made out nothing is said.
 */
export function saysStop(text: string): boolean {
  if (tooDeep(text) !== undefined) return false;
  const document = parseDocument(text.slice(0, SOURCE_BOUNDS.sizeBytesMax), {
    schema: 'core',
    uniqueKeys: false,
    prettyErrors: false,
    logLevel: 'error',
  });
  return valuesOf(document, document.contents, 'writes').some(
    (writes) => isOff(writes) || valuesOf(document, writes, 'enabled').some(isOff),
  );
}

/** Every value that a mapping gives a key; a key that comes twice has two. */
function valuesOf(document: Document.Parsed, node: unknown, key: string): readonly unknown[] {
  const owner = resolved(document, node);
  if (!isMap(owner)) return [];
  return owner.items
    .filter((pair) => isScalar(pair.key) && pair.key.value === key)
    .map((pair) => resolved(document, pair.value));
}

function resolved(document: Document.Parsed, node: unknown): unknown {
  return isAlias(node) ? node.resolve(document) : node;
}

function isOff(node: unknown): boolean {
  return isScalar(node) && OFF.test(String(node.value));
}
