/** Reads a time in UTC, `2026-11-20T13:30:00Z`, into ms since the epoch; undefined where it is none. */
export function parseInstant(text: string): number | undefined {
  // oxlint-disable-next-line no-restricted-globals -- not the clock: a text is read, whenever that is
  const at = Date.parse(text);
  return Number.isNaN(at) ? undefined : at;
}
