/** Images that are taken back from evidence files: what is wrong with a file makes the rollback impossible. */
import type { EvidenceId } from '../../../model/ids.ts';
import { whyMissing } from '../../../model/evidence.ts';
import type { EvidenceFiles, EvidenceReader } from '../../../model/ports.ts';
import { Problem } from '../../../model/problem.ts';
import { Refused } from '../../connector.ts';

/** Opens a file whose every row is needed; refuses with `rollback-impossible` where it cannot give them. */
export async function openImages(
  files: EvidenceFiles | undefined,
  id: EvidenceId,
): Promise<EvidenceReader> {
  const reader = await told(async () => files?.open(id));
  if (reader === undefined) throw impossible(whyMissing(id, Date.now()));
  return {
    rows: reader.rows,
    page: (from, limit) => told(() => reader.page(from, limit)),
    async *batches() {
      try {
        yield* reader.batches();
      } catch (error) {
        throw ofFile(error);
      }
    },
    close: () => reader.close(),
  };
}

async function told<Value>(read: () => Promise<Value>): Promise<Value> {
  try {
    return await read();
  } catch (error) {
    throw ofFile(error);
  }
}

/** A file that was changed, or whose key is another, is no refusal of the database's. */
function ofFile(error: unknown): unknown {
  return error instanceof Problem ? impossible(error.message) : error;
}

/** Not for good: the file may be put back. */
function impossible(why: string): Refused {
  return new Refused('rollback-impossible', `nothing was taken back: ${why}`, { permanent: false });
}
