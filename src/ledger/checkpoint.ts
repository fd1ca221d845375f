/** Checkpoints: C2SP `tlog-checkpoint` v1.0.0, without extension lines, key name equal to origin. */
import { base64Of, bytesOfBase64, sameBytes } from '../lib/bytes.ts';
import type { Signer } from '../model/ports.ts';
import { isKeyName, openNote, signNote, type VerifierKey } from './note.ts';
import { HASH_BYTES, rootOf } from './tree.ts';

/** The head of a log at one size. */
export interface Checkpoint {
  readonly origin: string;
  readonly size: number;
  readonly root: Uint8Array;
}

/** A checkpoint whose signature holds, or why it does not. */
export type OpenedCheckpoint =
  | { readonly kind: 'opened'; readonly checkpoint: Checkpoint }
  | { readonly kind: 'refused'; readonly reason: string };

/** Writes the text that is signed: origin, size and root, a line each. */
export function formatCheckpoint({ origin, size, root }: Checkpoint): string {
  return `${origin}\n${size}\n${base64Of(root)}\n`;
}

/** Reads exactly what `formatCheckpoint` writes; undefined for anything else. */
export function parseCheckpoint(text: string): Checkpoint | undefined {
  const parts = /^([^\n]+)\n(0|[1-9][0-9]*)\n([^\n]+)\n$/.exec(text);
  const [, origin = '', decimal = '', encoded = ''] = parts ?? [];
  const size = Number(decimal);
  const root = bytesOfBase64(encoded);
  if (!isKeyName(origin) || !Number.isSafeInteger(size)) return undefined;
  if (root === undefined || root.length !== HASH_BYTES) return undefined;
  if (size === 0 && !sameBytes(root, rootOf([]))) return undefined;
  return { origin, size, root };
}

/** Signs a checkpoint with the log's key, whose name is the origin. */
export function signCheckpoint(
  { size, root }: Pick<Checkpoint, 'size' | 'root'>,
  signer: Signer,
): Promise<string> {
  return signNote(formatCheckpoint({ origin: signer.name, size, root }), signer);
}

/** Opens a signed checkpoint of the log whose key this is. */
export function openCheckpoint(note: string, key: VerifierKey): OpenedCheckpoint {
  const opened = openNote(note, key);
  if (opened.kind === 'refused') return opened;
  const checkpoint = parseCheckpoint(opened.text);
  if (checkpoint === undefined) {
    return { kind: 'refused', reason: 'its text is not an origin, a size and a root' };
  }
  if (checkpoint.origin !== key.name) {
    return { kind: 'refused', reason: `its origin is not \`${key.name}\`` };
  }
  return { kind: 'opened', checkpoint };
}
