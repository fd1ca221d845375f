/** Reads `--since`: how long ago, or from when. */
import { UsageError } from './shell.ts';

const UNITS_MS = { m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const AGO = /^(\d{1,4})([mhd])$/;
const DATE = /^\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2})?Z)?$/;

/** `30d`, `12h`, `90m` before `now`, or `2026-11-20` and `2026-11-20T13:30Z`, in UTC; ms since the epoch. */
export function readSince(text: string, now: number): number {
  const [, count = '', unit] = AGO.exec(text) ?? [];
  if (unit === 'm' || unit === 'h' || unit === 'd') {
    return Math.max(now - Number(count) * UNITS_MS[unit], 0);
  }
  const at = DATE.test(text) ? Date.parse(text) : Number.NaN;
  if (!Number.isNaN(at)) return at;
  throw new UsageError(
    `expected \`30d\`, \`12h\`, \`90m\` or a date such as \`2026-11-20\` after \`--since\`, found \`${text}\``,
  );
}
