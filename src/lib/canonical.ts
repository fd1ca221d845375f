import { hash } from 'node:crypto';
import type { Json } from './json.ts';

/**
 * Writes a JSON value in the canonical form of RFC 8785 (JCS): no white space, members sorted by
 * UTF-16 code units, ECMAScript number spelling.
 *
 * Throws `TypeError` for what JCS cannot express: a number that is not finite, a lone surrogate.
 */
export function canonicalJson(value: Json): string {
  switch (typeof value) {
    case 'string':
      return textJson(value);
    case 'number':
      if (!Number.isFinite(value)) throw new TypeError('canonical JSON has no NaN and no infinity');
      return JSON.stringify(value);
    case 'boolean':
      return value ? 'true' : 'false';
    case 'object':
      if (value === null) return 'null';
      return isArray(value) ? listJson(value) : objectJson(value);
    default:
      throw new TypeError(`canonical JSON has no ${typeof value}`);
  }
}

// Every entry is written in this form, its payload too: loops, and no copies on the way.

/** Printable ASCII that JSON spells as it stands: most names and values are no more than that. */
const PLAIN = /^[ !#-[\]-~]*$/;

function textJson(text: string): string {
  if (PLAIN.test(text)) return `"${text}"`;
  if (!text.isWellFormed()) throw new TypeError('canonical JSON has no lone surrogate');
  return JSON.stringify(text);
}

function listJson(list: readonly Json[]): string {
  let items = '';
  for (const item of list) {
    if (items !== '') items += ',';
    items += canonicalJson(item);
  }
  return `[${items}]`;
}

function objectJson(object: { readonly [key: string]: Json }): string {
  let members = '';
  // Sorts by UTF-16 code units where nobody says otherwise.
  for (const key of Object.keys(object).toSorted()) {
    const member = object[key];
    if (member === undefined) continue;
    if (members !== '') members += ',';
    members += `${textJson(key)}:${canonicalJson(member)}`;
  }
  return `{${members}}`;
}

/** Digests a JSON value: `sha256:` and the lower-case hex SHA-256 of its canonical form. */
export function digestJson(value: Json): Digest {
  return `sha256:${hash('sha256', canonicalJson(value), 'hex')}`;
}

/** `sha256:` followed by 64 lower-case hex digits. */
export type Digest = `sha256:${string}`;

function isArray(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}
