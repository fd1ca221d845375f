/** Files that agents send ahead of a write, wherever they are kept. */
import { hash } from 'node:crypto';
import type { UploadAnswer } from '../model/api.ts';
import type { Uploads } from '../model/ports.ts';
import { Problem } from '../model/problem.ts';

export const UPLOAD_BOUNDS = {
  fileBytesMax: 67_108_864,
  /** Of one owner, together, those on their way included. */
  ownerBytesMax: 268_435_456,
  ownerFilesMax: 100,
  keptMs: 86_400_000,
  /** What never became an upload is from a crash after this long. */
  partMs: 3_600_000,
} as const;

export interface UploadStore extends Uploads {
  /**
   * Takes a file; durable when it resolves, and nothing is left where it rejects. Throws
   * `request-too-large`, and `request-invalid` for an empty one.
   */
  put(owner: string, content: AsyncIterable<Uint8Array>): Promise<UploadAnswer>;
  /** Removes what is older than a day, and what a crash left. */
  sweep(): Promise<void>;
}

/** As `UPLOAD_BOUNDS`; tests hand in smaller ones. */
export type UploadBounds = { readonly [Name in keyof typeof UPLOAD_BOUNDS]: number };

/** What an owner is called where uploads are kept: any name may be one, and none is told there. */
export function ownerKey(owner: string): string {
  return hash('sha256', owner, 'hex').slice(0, 32);
}

/** Reads the content's hash out of an id; undefined where it is none. */
export function hashIn(id: string): string | undefined {
  return /^upl_([0-9a-f]{64})$/.exec(id)?.[1];
}

/** What an upload is called by. */
export function answerOf(bytes: number, sha256: string): UploadAnswer {
  return { id: `upl_${sha256}`, bytes, sha256 };
}

export function emptyUpload(): Problem {
  return new Problem('request-invalid', 'the file is empty; send its content as body');
}

export function overFile({ fileBytesMax }: UploadBounds): Problem {
  return new Problem(
    'request-too-large',
    `the file has more than ${fileBytesMax} bytes; send it in parts, each with a write of its own`,
  );
}

export function overOwner({ ownerBytesMax, ownerFilesMax }: UploadBounds): Problem {
  return new Problem(
    'request-too-large',
    `the uploads of the last day would be more than ${ownerFilesMax} files or ${ownerBytesMax} ` +
      'bytes; each is kept for a day, so send the rest then',
  );
}
