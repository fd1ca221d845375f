/** Any object, its members not yet looked at. */
export type UnknownRecord = Readonly<Record<string, unknown>>;

/** Reports whether a value has members by name (an array has too). */
export function isRecord(value: unknown): value is UnknownRecord {
  return typeof value === 'object' && value !== null;
}

/** Returns a value where it has members by name, else the empty record. */
export function recordOf(value: unknown): UnknownRecord {
  return isRecord(value) ? value : {};
}
