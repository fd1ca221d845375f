/** A JSON value as `JSON.parse` returns it. */
export type Json =
  | null
  | boolean
  | number
  | string
  | readonly Json[]
  | { readonly [key: string]: Json };

/** A JSON object. */
export type JsonObject = { readonly [key: string]: Json };

/** Reads a text; undefined where it is no JSON. */
export function parsedJson(text: string): Json | undefined {
  try {
    // `JSON.parse` gives JSON and nothing else.
    return JSON.parse(text) as Json;
  } catch {
    return undefined;
  }
}

/** Reports whether a JSON value is an object (not an array, not null). */
export function isJsonObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
