/**
 * Uploads in the PostgreSQL store: whichever gateway takes the file, each may be sent the write that
 * names it. The bounds of an owner hold over all gateways: what is written by now counts when a file is
 * begun, and again, one file after the other, when it is kept.
 */
import { createHash } from 'node:crypto';
import type pg from 'pg';
import type { Upload } from '../model/ports.ts';
import { BlobTable, CHUNK_BYTES, type BlobTablePorts, type KeptBlob } from './blob-table.ts';
import {
  answerOf,
  emptyUpload,
  hashIn,
  ownerKey,
  overFile,
  overOwner,
  UPLOAD_BOUNDS,
  type UploadBounds,
  type UploadStore,
} from './uploads.ts';

/** Opens the uploads of a tenant. */
export function openPostgresUploads(
  ports: Omit<BlobTablePorts, 'kind'>,
  bounds: UploadBounds = UPLOAD_BOUNDS,
): UploadStore {
  const table = new BlobTable({ ...ports, kind: 'upload' });
  const { now } = ports;
  return {
    async put(name, content) {
      const owner = ownerKey(name);
      const used = await table.usage(owner);
      if (used.files >= bounds.ownerFilesMax) throw overOwner(bounds);
      const blob = await table.begin(owner);
      try {
        const digest = createHash('sha256');
        let bytes = 0;
        for await (const part of content) {
          bytes += part.length;
          if (bytes > bounds.fileBytesMax) throw overFile(bounds);
          if (used.bytes + bytes > bounds.ownerBytesMax) throw overOwner(bounds);
          digest.update(part);
          await blob.append(part);
        }
        if (bytes === 0) throw emptyUpload();
        const sha256 = digest.digest('hex');
        await blob.keep({ owner, name: sha256 }, (client) =>
          checkOwner(table.ports, client, { owner, sha256, bytes }, bounds),
        );
        return answerOf(bytes, sha256);
      } catch (error) {
        // The first error says more; what is left is removed later.
        await blob.drop().catch(() => undefined);
        throw error;
      }
    },
    async open(id, name) {
      const sha256 = hashIn(id);
      const at = sha256 === undefined ? undefined : { owner: ownerKey(name), name: sha256 };
      const found = at && (await table.find(at));
      if (found === undefined || found.keptAt < now() - bounds.keptMs) return undefined;
      return uploadOf(table, found);
    },
    sweep: () => table.removeOlder({ unkept: now() - bounds.partMs, kept: now() - bounds.keptMs }),
  };
}

/** Files of one owner are kept one after the other, so that none passes the bounds beside another. */
async function checkOwner(
  { schema, tenant, kind }: BlobTablePorts,
  client: pg.PoolClient,
  file: { readonly owner: string; readonly sha256: string; readonly bytes: number },
  bounds: UploadBounds,
): Promise<void> {
  const { owner, sha256, bytes } = file;
  await client.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [
    `${schema} ${kind} ${tenant} ${owner}`,
  ]);
  const { rows } = await client.query<{ files: number; bytes: number }>(
    `SELECT count(*) AS files, coalesce(sum(size_bytes), 0) AS bytes FROM ${schema}.blobs
     WHERE tenant = $1 AND kind = $2 AND owner = $3 AND is_kept AND name <> $4`,
    [tenant, kind, owner, sha256],
  );
  const [others = { files: 0, bytes: 0 }] = rows;
  const isOver =
    others.files + 1 > bounds.ownerFilesMax || others.bytes + bytes > bounds.ownerBytesMax;
  if (isOver) throw overOwner(bounds);
}

function uploadOf(table: BlobTable, { id, name, sizeBytes }: KeptBlob): Upload {
  return {
    bytes: sizeBytes,
    sha256: name,
    async *stream() {
      for (let offset = 0; offset < sizeBytes; offset += CHUNK_BYTES) {
        const part = await table.read(id, offset, CHUNK_BYTES);
        // Removed meanwhile: who reads it holds what came against the hash.
        if (part.length === 0) return;
        yield part;
      }
    },
  };
}
