import { createHash } from 'node:crypto';
import type { Json } from './json.ts';

/**
 * Writes a JSON value in the canonical form of RFC 8785 (JCS): no white space, members sorted by
 * UTF-16 code units, ECMAScript number spelling.
 *
 * Throws `TypeError` for what JCS cannot express: a number that is not finite, a lone surrogate.
 */
export function canonicalJson(value: Json): string {
  if (value === null || typeof value === 'boolean') return String(value);
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw new TypeError('canonical JSON has no NaN and no infinity');
    return JSON.stringify(value);
  }
  if (typeof value === 'string') {
    if (!value.isWellFormed()) throw new TypeError('canonical JSON has no lone surrogate');
    return JSON.stringify(value);
  }
  if (isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  const members: string[] = [];
  for (const key of Object.keys(value).toSorted(byCodeUnit)) {
    const member = value[key];
    if (member === undefined) continue;
    members.push(`${canonicalJson(key)}:${canonicalJson(member)}`);
  }
  return `{${members.join(',')}}`;
}

/** Digests a JSON value: `sha256:` and the lower-case hex SHA-256 of its canonical form. */
export function digestJson(value: Json): Digest {
  return `sha256:${createHash('sha256').update(canonicalJson(value)).digest('hex')}`;
}

/** `sha256:` followed by 64 lower-case hex digits. */
export type Digest = `sha256:${string}`;

function byCodeUnit(left: string, right: string): number {
  if (left === right) return 0;
  return left < right ? -1 : 1;
}

function isArray(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}
