import { quote } from '../lib/quote.ts';
import type { ReadRecord } from '../model/read.ts';

/** One line about a read for the gateway's log: who, what and how much, no value. */
export function readLine(read: ReadRecord): string {
  const what = read.resources.length === 0 ? '' : ` of ${read.resources.join(', ')}`;
  const found =
    read.code === 'read'
      ? `${read.rows} ${read.rows === 1 ? 'row' : 'rows'}${what}, ${read.bytes} bytes`
      : `refused, ${read.code}`;
  return `read by \`${read.agent}\` on ${quote(read.target)}: ${found}, ${read.durationMs} ms`;
}
