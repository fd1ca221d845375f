/**
 * Evidence files: the images of writes that are too many for a plan, encrypted, in a folder of the data
 * folder or in the store. `evidence-format.ts` says how one is laid out.
 *
 * 1. Nobody reads a file that is not finished.
 * 2. What is read is what was written, or it is a problem: never other rows, never fewer of them.
 * 3. One frame of the file is in memory at a time, whatever the file's size.
 */
import { randomBytes } from 'node:crypto';
import { madeAt, newEvidenceId, type EvidenceId, type ProposalId } from '../model/ids.ts';
import type { EvidenceFiles } from '../model/ports.ts';
import type { Blobs } from './blobs.ts';
import { openFolderBlobs } from './blobs-folder.ts';
import { HEADER_BYTES, newHeader, parseHeader } from './evidence-format.ts';
import { createEvidenceKey, readEvidenceKey, unusableKey } from './evidence-key.ts';
import { openReader } from './evidence-reader.ts';
import { openWriter } from './evidence-writer.ts';

/** A file as the sweep looks at it. */
export interface EvidenceFile {
  readonly id: EvidenceId;
  /** The proposal that it was written for; null where none was named. */
  readonly owner: ProposalId | null;
  /** Ms since the epoch, by the clock that named it. */
  readonly createdAt: number;
}

/** Evidence files, and what a sweep needs beside. */
export interface EvidenceFolder extends EvidenceFiles {
  /** Every finished file; one whose head cannot be read is left out. */
  list(): Promise<readonly EvidenceFile[]>;
  /** Removes what was begun before this time, in ms, and never finished. */
  removeUnfinished(before: number): Promise<void>;
}

export interface EvidenceOptions {
  /** Made where it is missing, 0700. */
  readonly folder: string;
  /** The installation's key; made where it is missing, 0600. */
  readonly keyPath: string;
  /** Ms since the epoch. */
  readonly now: () => number;
}

/** What a file of evidence is called behind its id. */
export const EVIDENCE_SUFFIX = '.evidence';

/**
 * Opens evidence in a folder and removes what was not finished. Problem `store-unusable` where the key
 * is gone while files are there, is open to others, or is no key.
 */
export async function openEvidenceFiles(options: EvidenceOptions): Promise<EvidenceFolder> {
  const { folder, keyPath, now } = options;
  const blobs = await openFolderBlobs(folder, EVIDENCE_SUFFIX);
  const known = await readEvidenceKey(keyPath);
  if (known === undefined && (await blobs.list(0)).length > 0) {
    throw unusableKey(
      keyPath,
      'the key that the evidence files were written with, found none; put it back from your copy, or move the files away: the writes they belong to can then no longer be rolled back',
    );
  }
  return evidenceIn(blobs, known ?? (await createEvidenceKey(keyPath)), now);
}

/** Evidence in any place for blobs, under the key of the installation. */
export function evidenceIn(blobs: Blobs, key: Buffer, now: () => number): EvidenceFolder {
  return {
    async create(owner) {
      const id = newEvidenceId(now(), new Uint8Array(randomBytes(10)));
      const { header, fileKey } = newHeader(id, owner ?? null, key);
      return openWriter({ blob: await blobs.create(id), header, fileKey });
    },
    async open(id) {
      const blob = await blobs.open(id);
      return blob && openReader(blob, id, key);
    },
    remove: (id) => blobs.remove(id),
    removeUnfinished: (before) => blobs.removeUnkept(before),
    async list() {
      return (await blobs.list(HEADER_BYTES)).flatMap(({ name, head }) => {
        const header = parseHeader(head);
        if (header === undefined || header.id !== name) return [];
        return [{ id: header.id, owner: header.owner, createdAt: madeAt(header.id) }];
      });
    },
  };
}
