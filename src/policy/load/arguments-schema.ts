/** JSON Schemas of the policy: what the arguments of an operation must look like. */
import { Ajv2020, type ErrorObject } from 'ajv/dist/2020.js';
import { RE2JS } from 're2js';
import { isJsonObject, type Json, type JsonObject } from '../../lib/json.ts';
import { quote } from '../../lib/quote.ts';
import type { Path } from './source.ts';

/** Faults told of one write by one schema; of the rest, how many. */
const FAULTS_MAX = 20;

/** A schema ready to be held against arguments, or why it is none: `path` leads from it to the place. */
export type CompiledSchema =
  | {
      readonly kind: 'compiled';
      /** Every fault, each with its JSON pointer into the arguments; empty where they are as asked. */
      readonly faults: (args: JsonObject) => readonly string[];
    }
  | { readonly kind: 'invalid'; readonly path: Path; readonly message: string };

/**
 * Compiles a JSON Schema (2020-12) strictly: an unknown keyword, a reference that leads out of it, and
 * what would take time without a bound is no schema. Patterns are RE2, and take linear time.
 */
export function compileSchema(schema: JsonObject | boolean): CompiledSchema {
  const slow = slowPart(schema, []) ?? unbounded(schema);
  if (slow !== undefined) return invalid(slow.path, slow.message);
  try {
    const validate = new Ajv2020({
      allErrors: true,
      strict: true,
      // That something must be there is worth saying, whatever it looks like.
      strictRequired: false,
      allowUnionTypes: true,
      messages: true,
      logger: false,
      code: { regExp: linearPattern },
    }).compile(schema);
    return {
      kind: 'compiled',
      faults: (args) => (validate(args) ? [] : faultsOf(validate.errors ?? [])),
    };
  } catch (thrown) {
    const said = thrown instanceof Error ? thrown.message : 'it does not compile';
    const message = `expected a JSON Schema (2020-12), found one that is none: ${said}; correct it`;
    return invalid([], message);
  }
}

function invalid(path: Path, message: string): CompiledSchema {
  return { kind: 'invalid', path, message };
}

/** The engine of ajv's own patterns backtracks. ajv tells patterns apart by their text. */
const linearPattern = Object.assign(
  (pattern: string) => {
    const compiled = RE2JS.compile(pattern);
    return { test: (text: string) => compiled.test(text), toString: () => pattern };
  },
  { code: 'linearPattern' },
);

/** What takes longer than the arguments are long, or leads out of the file. */
function slowPart(
  schema: Json,
  path: Path,
): { readonly path: Path; readonly message: string } | undefined {
  if (Array.isArray(schema)) {
    const items: readonly Json[] = schema;
    for (const [index, each] of items.entries()) {
      const found = slowPart(each, [...path, index]);
      if (found !== undefined) return found;
    }
    return undefined;
  }
  if (!isJsonObject(schema)) return undefined;
  for (const [key, each] of Object.entries(schema)) {
    const at = [...path, key];
    if (key === 'uniqueItems' && each === true) {
      const message =
        'expected no `uniqueItems`, since its time grows with the square of what an agent sends, found it; leave it out';
      return { path: at, message };
    }
    if (OTHER_REFERENCES.includes(key)) {
      const message = `expected references as \`$ref: '#/$defs/name'\` alone, found \`${key}\`; write it so`;
      return { path: at, message };
    }
    const isWithin = typeof each === 'string' && /^#(?:\/\$defs\/[^/]+)?$/.test(each);
    if (key === '$ref' && !isWithin && typeof each === 'string') {
      const message = `expected a reference within the schema, such as \`#/$defs/name\`, found \`${each}\`; write the schema out`;
      return { path: at, message };
    }
    const found = slowPart(each, at);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** By which a schema could be led elsewhere, or into itself, out of sight. */
const OTHER_REFERENCES = ['$dynamicRef', '$dynamicAnchor', '$anchor', '$recursiveRef', '$id'];

/** How many parts a schema may come to with every reference written out. */
const PARTS_MAX = 10_000;
/** What is compared with values, and no schema; `$defs` count where they are referred to. */
const NO_SCHEMA = ['enum', 'const', 'examples', 'default', '$defs', 'definitions'];

/**
 * A schema that refers to itself, or whose references multiply, would look at the same arguments again
 * and again: the time would double with each level that an agent nests.
 */
function unbounded(
  root: JsonObject | boolean,
): { readonly path: Path; readonly message: string } | undefined {
  const known = new Map<string, number>();
  const open = new Set<string>();
  const partsOf = (schema: Json): number => {
    if (Array.isArray(schema)) return sum(schema.map((each: Json) => partsOf(each)));
    if (!isJsonObject(schema)) return 0;
    const { $ref } = schema;
    const inner = Object.entries(schema).filter(([key]) => !NO_SCHEMA.includes(key));
    const referred = typeof $ref === 'string' ? partsAt($ref) : 0;
    return 1 + referred + sum(inner.map(([, each]) => partsOf(each)));
  };
  const partsAt = (reference: string): number => {
    const before = known.get(reference);
    if (before !== undefined) return before;
    if (open.has(reference)) return Infinity;
    open.add(reference);
    const parts = partsOf(referredTo(root, reference));
    open.delete(reference);
    known.set(reference, parts);
    return parts;
  };
  if (partsOf(root) <= PARTS_MAX) return undefined;
  const message = `expected at most ${PARTS_MAX} parts with every reference written out, found more, or a reference into itself; write it flatter`;
  return { path: [], message };
}

function sum(parts: readonly number[]): number {
  return parts.reduce((all, each) => all + each, 0);
}

/** Null where there is no such place; compiling says so. */
function referredTo(root: JsonObject | boolean, reference: string): Json {
  let found: Json = root;
  for (const step of reference.split('/').slice(1)) {
    const key = unescaped(step);
    if (!isJsonObject(found) || !Object.hasOwn(found, key)) return null;
    found = found[key] ?? null;
  }
  return found;
}

/** A JSON pointer within a URI fragment; one that is not well formed leads nowhere. */
function unescaped(step: string): string {
  try {
    return decodeURIComponent(step).replaceAll('~1', '/').replaceAll('~0', '~');
  } catch {
    return step;
  }
}

function faultsOf(errors: readonly ErrorObject[]): readonly string[] {
  // That a branch was taken says nothing beside what is wrong in it.
  const told = errors.filter(({ keyword }) => keyword !== 'if');
  const faults = [...new Set(told.map(faultText))];
  const rest = faults.length - FAULTS_MAX;
  return rest > 0 ? [...faults.slice(0, FAULTS_MAX), `and ${rest} more`] : faults;
}

/** No value of the arguments: they may be a secret, and the agent has them. */
function faultText(error: ErrorObject): string {
  const at = `/arguments${error.instancePath}`;
  const extra: unknown = error.params['additionalProperty'] ?? error.params['unevaluatedProperty'];
  const what = typeof extra === 'string' ? `has ${quote(extra)}, which it may not` : error.message;
  return `${quote(at)} ${what ?? 'is not as the schema asks'}`;
}
