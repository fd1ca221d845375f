/** Reading the parser's JSON tree without trusting its shape. Pure. */
import { isJsonObject, type Json, type JsonObject } from '../../../lib/json.ts';
import type { TargetCode } from '../../../model/entry.ts';

/** What would be accepted, for the end of a refusal. */
export const ONE_WRITE = 'expected one INSERT, UPDATE, DELETE or MERGE';
export const ONE_READ = 'expected one SELECT, VALUES or TABLE that only reads';

/** A table as the statement names it; `at` is the byte offset of the name, -1 where unknown. */
export interface RelationName {
  readonly schema: string | null;
  readonly name: string;
  readonly at: number;
}

/** Thrown by the walk; `at` is a byte offset into the text, -1 where the parser gives none. */
export class Rejection extends Error {
  override readonly name = 'Rejection';
  readonly code: TargetCode;
  readonly at: number;

  constructor(code: TargetCode, message: string, at = -1) {
    super(message);
    this.code = code;
    this.at = at;
  }
}

export function unsupported(kind: string, node: JsonObject): Rejection {
  return new Rejection(
    'statement-unsupported',
    `${spoken(kind)} is not supported; expected tables, columns, values, built-in functions and operators`,
    location(node),
  );
}

/** `LockingClause` → `locking clause`; what already is words stays. */
export function spoken(kind: string): string {
  return kind
    .replace(/Stmt$/, ' statement')
    .replaceAll('_', ' ')
    .replace(/([a-z])([A-Z])/g, '$1 $2')
    .toLowerCase();
}

export function relationName(node: JsonObject): RelationName {
  const schema = node['schemaname'];
  return {
    schema: typeof schema === 'string' ? schema : null,
    name: textOf(node['relname']),
    at: location(node),
  };
}

export function columnOf(target: JsonObject): string | null {
  return typeof target['name'] === 'string' ? target['name'] : null;
}

export function qualifiedName(parts: readonly Json[]): { schema: string | null; name: string } {
  const names = parts.map((part) => textOf(unwrapped(objectOf(part))[1]['sval']));
  const name = names.at(-1) ?? '';
  return { schema: names.length > 1 ? names.slice(0, -1).join('.') : null, name };
}

export function isWrapped(value: JsonObject): boolean {
  const keys = Object.keys(value);
  return keys.length === 0 || (keys.length === 1 && /^[A-Z]/.test(keys[0] ?? ''));
}

export function unwrapped(value: JsonObject): [kind: string, node: JsonObject] {
  const [entry] = Object.entries(value);
  if (entry === undefined) return ['nothing', {}];
  return [entry[0], objectOf(entry[1])];
}

export function without(node: JsonObject, members: readonly string[]): JsonObject {
  return Object.fromEntries(Object.entries(node).filter(([member]) => !members.includes(member)));
}

export function objectOf(value: Json | undefined): JsonObject {
  return isJsonObject(value) ? value : {};
}

export function listOf(value: Json | undefined): readonly Json[] {
  // `Array.isArray` does not narrow a readonly array type; the value is Json either way.
  return Array.isArray(value) ? (value as readonly Json[]) : [];
}

export function textOf(value: Json | undefined): string {
  return typeof value === 'string' ? value : '';
}

export function numberOf(value: Json | undefined): number {
  return typeof value === 'number' ? value : 0;
}

/** The parser leaves out a location of 0. */
export function location(node: JsonObject): number {
  return typeof node['location'] === 'number' ? node['location'] : -1;
}
