/** What is done on the host while no gateway runs there. */
import { Problem } from '../model/problem.ts';
import { dataFolder, exists, type DataFolder } from './folder.ts';
import { openGround, type Ground, type GroundOptions } from './ground.ts';
import { provideOperator } from './operator.ts';
import { gatewaysThere } from './presence.ts';
import { applyOnHost, type HostApplied } from './policies.ts';

/** Makes what a gateway needs and the first operator's token, and leaves no gateway running. */
export async function prepareGateway(
  options: GroundOptions,
): Promise<{ readonly folder: DataFolder; readonly vkey: string }> {
  const ground = await openGround(options);
  try {
    await provideOperator(ground, true);
    return { folder: ground.folder, vkey: ground.signer.vkey };
  } finally {
    await ground.storage.close();
  }
}

/**
 * Lets the file in as whoever can write to the data folder, and leaves no gateway running. Problems
 * `store-locked` while any runs on the store, `store-unusable` where none ever did.
 */
export async function applyPolicyOnHost(options: GroundOptions): Promise<HostApplied> {
  await checkRan(options);
  const ground = await openGround(options);
  try {
    await checkNoneRuns(ground);
    return await applyOnHost(ground, ground.configuration, options.configPath);
  } finally {
    await ground.storage.close();
  }
}

/** A store of one gateway's own is locked by it; one that is shared says who is there. */
async function checkNoneRuns({ storage: { shared, where } }: Ground): Promise<void> {
  const there = await gatewaysThere(shared);
  if (there.length === 0) return;
  const named = there.map(({ id, url }) => (url === null ? `\`${id}\`` : `\`${id}\` at ${url}`));
  const run = there.length === 1 ? 'a gateway runs' : `${there.length} gateways run`;
  throw new Problem(
    'store-locked',
    `${run} on the store at ${where}: ${named.join(', ')}; stop every one first (one that crashed elsewhere counts for another 15 s), or have somebody with the role \`policy\` apply it at one of them, without --offline`,
  );
}

async function checkRan(options: GroundOptions): Promise<void> {
  const folder = dataFolder(options.dataFolder);
  // The ledger's key comes before the first entry, wherever that is.
  if (await exists(folder.ledgerKey)) return;
  throw new Problem(
    'store-unusable',
    `no gateway ever ran on \`${folder.path}\`: its first start takes the file as it is; name another with --dir`,
  );
}
