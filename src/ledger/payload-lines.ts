/** What lies beside leaves, as lines of canonical JSON in files of one bundle. */
import { hexOf, utf8 } from '../lib/bytes.ts';
import { canonicalJson } from '../lib/canonical.ts';
import type { Payload } from '../model/entry.ts';
import type { StoredEntry } from '../model/ports.ts';
import { commitmentOfText } from './commitment.ts';
import { formatPath } from './tiles.ts';

/** A file is closed once it is as long as this. */
const FILE_BYTES = 8 * 1024 * 1024;

/** A file's path in the folder of the log, and its bytes. */
export type LogFile = readonly [path: string, bytes: Uint8Array];

/** Gathers the lines of entries in their order; `close` is due at the end of each bundle. */
export class PayloadLines {
  #lines: Uint8Array[] = [];
  #bytes = 0;
  #first = 0;
  #last = 0;

  /** Takes one more entry; returns the file that it made long enough. */
  add({ index, payloads }: StoredEntry): LogFile | null {
    if (payloads.length === 0) return null;
    const line = payloadLine(index, payloads);
    if (this.#lines.length === 0) this.#first = index;
    this.#last = index;
    this.#lines.push(line);
    this.#bytes += line.length;
    return this.#bytes >= FILE_BYTES ? this.close() : null;
  }

  /** The file of what was gathered; null where that is nothing. */
  close(): LogFile | null {
    if (this.#lines.length === 0) return null;
    const path = formatPath({ kind: 'payloads', first: this.#first, last: this.#last });
    const file = [path, Buffer.concat(this.#lines)] as const;
    this.#lines = [];
    this.#bytes = 0;
    return file;
  }
}

function payloadLine(index: number, payloads: readonly Payload[]): Uint8Array {
  const members = payloads
    .toSorted((left, right) => (left.label < right.label ? -1 : 1))
    .map((payload) => {
      const { label, nonce } = payload;
      return `${canonicalJson(label)}:{"nonce":"${hexOf(nonce)}","value":${canonicalText(payload)}}`;
    });
  return utf8(`{"index":${index},"payloads":{${members.join(',')}}}\n`);
}

/** The text that is kept is the canonical one where it is the one that the leaf commits to. */
function canonicalText(payload: Payload): string {
  const { label, nonce, text, commitment } = payload;
  const isCommitted = text !== undefined && commitmentOfText(label, nonce, text) === commitment;
  return isCommitted ? text : canonicalJson(payload.value);
}
