/** Small words for writing JSON Schemas. */
import type { JsonSchema } from './shape.ts';

/** An object whose members are all required, but for the `optional` ones. */
export function object(
  properties: Readonly<Record<string, JsonSchema>>,
  optional: readonly string[] = [],
): JsonSchema {
  const required = Object.keys(properties).filter((name) => !optional.includes(name));
  return { type: 'object', properties, required };
}

/** The same, and unknown members are refused: for what comes in. */
export function closed(
  properties: Readonly<Record<string, JsonSchema>>,
  optional: readonly string[] = [],
): JsonSchema {
  return { ...object(properties, optional), additionalProperties: false };
}

export function list(items: JsonSchema): JsonSchema {
  return { type: 'array', items };
}

export function nullable(schema: JsonSchema): JsonSchema {
  return { anyOf: [schema, { type: 'null' }] };
}

export function oneOf(...values: readonly string[]): JsonSchema {
  return { type: 'string', enum: values };
}

export function described(schema: JsonSchema, description: string): JsonSchema {
  return { ...schema, description };
}

export const TEXT: JsonSchema = { type: 'string' };
export const WHOLE: JsonSchema = { type: 'integer' };
export const YES_NO: JsonSchema = { type: 'boolean' };
export const TEXT_OR_NULL: JsonSchema = { type: ['string', 'null'] };
export const WHOLE_OR_NULL: JsonSchema = { type: ['integer', 'null'] };
export const DIGEST: JsonSchema = { type: 'string', pattern: '^sha256:[0-9a-f]{64}$' };
export const AT: JsonSchema = { type: 'integer', description: 'milliseconds since the epoch' };
export const AT_OR_NULL: JsonSchema = {
  type: ['integer', 'null'],
  description: 'milliseconds since the epoch',
};
