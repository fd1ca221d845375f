/** Blobs of the PostgreSQL store, as evidence takes them. */
import type { Blobs } from './blobs.ts';
import type { BlobTable } from './blob-table.ts';

/** They are the tenant's, and nobody's in particular. */
const owner = '';

export function postgresBlobs(table: BlobTable): Blobs {
  return {
    async create(name) {
      const blob = await table.begin(owner);
      return {
        append: (bytes) => blob.append(bytes),
        keep: () => blob.keep({ owner, name }),
        drop: () => blob.drop(),
      };
    },
    async open(name) {
      const found = await table.find({ owner, name });
      return (
        found && {
          sizeBytes: found.sizeBytes,
          read: (offset, length) => table.read(found.id, offset, length),
          close: () => Promise.resolve(),
        }
      );
    },
    remove: (name) => table.remove({ owner, name }),
    removeUnkept: (before) => table.removeOlder({ unkept: before }),
    list: (headBytes) => table.heads(headBytes),
  };
}
