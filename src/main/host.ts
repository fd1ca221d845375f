/** What is done on the host while no gateway runs there. */
import { Problem } from '../model/problem.ts';
import { dataFolder, exists, type DataFolder } from './folder.ts';
import { openGround, type GroundOptions } from './ground.ts';
import { provideOperator } from './operator.ts';
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
 * `store-locked` while one runs, `store-unusable` where none ever did.
 */
export async function applyPolicyOnHost(options: GroundOptions): Promise<HostApplied> {
  await checkRan(options);
  const ground = await openGround(options);
  try {
    return await applyOnHost(ground, ground.configuration, options.configPath);
  } finally {
    await ground.storage.close();
  }
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
