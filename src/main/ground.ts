/** What a gateway stands on, before it has targets or listens. */
import { strict as assert } from 'node:assert';
import { join } from 'node:path';
import { createSequencer } from '../ledger/sequencer.ts';
import { LOG_ACT } from '../model/entry.ts';
import { tenantId, type TenantId } from '../model/ids.ts';
import type { Configuration } from '../model/policy.ts';
import type { Clock, Random, Signer, Store } from '../model/ports.ts';
import { Problem } from '../model/problem.ts';
import { loadConfiguration } from './configuration.ts';
import { dataFolder, exists, prepareFolder, type DataFolder } from './folder.ts';
import { nameGateway, type GatewayName } from './gateway-name.ts';
import { openLedgerKey } from './keys.ts';
import { readMove } from './moved.ts';
import { commitLog } from './policy-log.ts';
import { openStorage, type Storage } from './storage.ts';
import { chooseStore, type StoreChoice, type StoreWish } from './store-choice.ts';
import { systemRandom, wallClock } from './world.ts';

/** What a gateway stands on, before it has targets or listens. */
export interface Ground {
  /** As the file has it. */
  readonly configuration: Configuration;
  readonly folder: DataFolder;
  readonly tenant: TenantId;
  readonly storage: Storage;
  readonly store: Store;
  readonly signer: Signer;
  readonly clock: Clock;
  readonly random: Random;
  readonly gateway: GatewayName;
}

/** Where a gateway finds what it stands on. */
export interface GroundOptions extends StoreWish {
  /** Path of `writegate.yaml`. */
  readonly configPath: string;
  /** Path of the data folder; made where it is missing. */
  readonly dataFolder: string;
  /** Ms since the epoch; tests and the demo hand in their own. */
  readonly now?: () => number;
  /** What the gateway is called, in place of what the data folder says. */
  readonly name?: string;
}

/**
 * Opens it; whoever does closes the storage again. Problems `configuration-…`, `store-…`, `key-differs`,
 * `ledger-inconsistent` where the key is gone.
 */
export async function openGround(options: GroundOptions): Promise<Ground> {
  const configuration = await loadConfiguration(options.configPath);
  const tenant = tenantOf(configuration);
  const folder = dataFolder(options.dataFolder);
  const random = systemRandom;
  const clock = wallClock(options.now);
  await prepareFolder(folder);
  const choice = await chooseStore(options, configuration, folder);
  await checkPlace(choice, folder);
  const isLone = choice.kind === 'sqlite';
  const gateway = await nameGateway(folder, random, { given: options.name, isLone });
  const sequencer = createSequencer({ gateway: { id: gateway.id } });
  const storage = await openStorage(choice, { folder, tenant, sequencer, random, clock });
  try {
    const { store, shared, where } = storage;
    const signer = await openLedgerKey({ folder, tenant, random, shared, where });
    const ground = {
      configuration,
      folder,
      tenant,
      storage,
      store,
      signer,
      random,
      gateway,
      clock,
    };
    await begin(ground);
    return ground;
  } catch (error) {
    await storage.close();
    throw error;
  }
}

/** The tenant that a configuration is of. */
export function tenantOf(configuration: Configuration): TenantId {
  const tenant = tenantId(configuration.tenant);
  assert(tenant !== undefined, 'the schema of the file lets only tenant names through');
  return tenant;
}

/** Two stores of one installation would be two ledgers under one key. */
async function checkPlace({ kind, where }: StoreChoice, folder: DataFolder): Promise<void> {
  const hasOwn = await exists(folder.store);
  const move = await readMove(folder);
  if (kind === 'postgres') {
    // A crash may have kept the old store from getting its other name.
    if (!hasOwn || move?.state === 'moved') return;
    throw new Problem(
      'store-unusable',
      `\`${folder.path}\` has a store of its own, in \`${folder.store}\`; move it to ${where} with \`writegate store migrate --from sqlite\`, or name another data folder with --dir`,
    );
  }
  if (move !== undefined) {
    const what =
      move.state === 'moved'
        ? `was moved to ${move.to}: start the gateway with that store (--store, $WRITEGATE_STORE, or \`store\` of writegate.yaml)`
        : `is being moved to ${move.to}: run \`writegate store migrate\` again, which goes on from there, or with --abandon`;
    throw new Problem('store-moved', `the store of \`${folder.path}\` ${what}`);
  }
  // Before an empty store is made there, beside which the right one could not be named any more.
  if (!hasOwn && (await hasPublished(folder))) throw otherStore(folder, where);
  if (hasOwn && !(await exists(folder.ledgerKey))) {
    throw new Problem(
      'ledger-inconsistent',
      `there is a store in \`${folder.path}\` but no \`ledger.key\`; put the key back from your copy: a new one would begin another log`,
    );
  }
}

function hasPublished(folder: DataFolder): Promise<boolean> {
  return exists(join(folder.ledger, 'checkpoint'));
}

function otherStore(folder: DataFolder, where: string): Problem {
  return new Problem(
    'ledger-inconsistent',
    `\`${folder.ledger}\` has a published log and the store at ${where} has none; name the store that it is of (--store, $WRITEGATE_STORE, or \`store\` of writegate.yaml), or put that back from your copy`,
  );
}

/** The log's first entry, once: of two gateways that begin at the same time one makes it. */
async function begin({ store, tenant, signer, clock, folder, storage }: Ground): Promise<void> {
  if ((await store.actStep(tenant, LOG_ACT)) > 0) return;
  if (await hasPublished(folder)) throw otherStore(folder, storage.where);
  await commitLog({ store, clock, tenant }, 0, { type: 'genesis', origin: signer.name });
}
