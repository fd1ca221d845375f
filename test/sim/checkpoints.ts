/** What the gateways signed of the log: each with the production code, over a signer of the seed's. */
import { openCheckpoint, signCheckpoint } from '../../src/ledger/checkpoint.ts';
import { parseVkey, signingKey } from '../../src/ledger/note.ts';
import { rootOf } from '../../src/ledger/tree.ts';
import { bytesOfHex, sameBytes } from '../../src/lib/bytes.ts';
import type { Signer, Store, TreeState } from '../../src/model/ports.ts';
import { hold } from './invariants/violation.ts';
import { TENANT } from './principals.ts';

const KEY = signingKey('writegate.local/acme', new Uint8Array(32).fill(1));
const VERIFIER = parseVkey(KEY.vkey);

export const SIGNER: Signer = {
  name: KEY.name,
  vkey: KEY.vkey,
  sign: (message) => Promise.resolve(KEY.sign(message)),
};

export async function checkpoint(store: Store, signer: Signer): Promise<string> {
  const tree = await store.tree(TENANT);
  return signCheckpoint({ size: tree.size, root: rootHash(tree) }, signer);
}

/** What was signed is the tree of that size as it was seen to grow. */
export function checkCheckpoint(
  note: string,
  treeAt: (size: number) => TreeState | undefined,
): void {
  if (VERIFIER === undefined) throw new Error('the key of the simulation is one');
  const opened = openCheckpoint(note, VERIFIER);
  hold('ledger', opened.kind === 'opened', () => 'a checkpoint is not signed by its key');
  const { size, root } = opened.checkpoint;
  const tree = treeAt(size);
  hold('ledger', tree !== undefined && sameBytes(rootHash(tree), root), () => {
    return `the checkpoint of ${size} entries is not of this log`;
  });
}

function rootHash({ range }: TreeState): Uint8Array {
  return rootOf(range.map((hash) => bytesOfHex(hash) ?? new Uint8Array()));
}
