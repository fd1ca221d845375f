/** What a gateway stands on, before it has targets or listens. */
import { strict as assert } from 'node:assert';
import { createSequencer } from '../ledger/sequencer.ts';
import { createKeyFile, openSigner, originOf } from '../ledger/signer.ts';
import { LOG_ACT } from '../model/entry.ts';
import { tenantId, type TenantId } from '../model/ids.ts';
import type { Configuration } from '../model/policy.ts';
import type { Clock, Random, Signer, Store } from '../model/ports.ts';
import { Problem } from '../model/problem.ts';
import { openSqliteStore } from '../store/sqlite.ts';
import { loadConfiguration } from './configuration.ts';
import { dataFolder, exists, prepareFolder, type DataFolder } from './folder.ts';
import { nameGateway, type GatewayName } from './gateway-name.ts';
import { commitLog } from './policy-log.ts';
import { systemRandom, wallClock } from './world.ts';

/** What a gateway stands on, before it has targets or listens. */
export interface Ground {
  /** As the file has it. */
  readonly configuration: Configuration;
  readonly folder: DataFolder;
  readonly tenant: TenantId;
  readonly store: Store;
  readonly signer: Signer;
  readonly clock: Clock;
  readonly random: Random;
  readonly gateway: GatewayName;
}

/** Where a gateway finds what it stands on. */
export interface GroundOptions {
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
 * Opens it; whoever does closes the store again. Problems `configuration-…`, `store-…`,
 * `ledger-inconsistent` where the key is gone.
 */
export async function openGround(options: GroundOptions): Promise<Ground> {
  const configuration = await loadConfiguration(options.configPath);
  const tenant = tenantId(configuration.tenant);
  assert(tenant !== undefined, 'the schema of the file lets only tenant names through');
  const folder = dataFolder(options.dataFolder);
  const random = systemRandom;
  await prepareFolder(folder);
  const isNew = !(await exists(folder.ledgerKey));
  if (isNew && (await exists(folder.store))) throw keyIsGone(folder);
  if (isNew) await createKeyFile(folder.ledgerKey, originOf(tenant), random);
  const signer = await openSigner(folder.ledgerKey);
  if (signer.name !== originOf(tenant)) throw otherTenant(folder, signer, tenant);
  const gateway = await nameGateway(folder, random, { given: options.name, isLone: true });
  const sequencer = createSequencer({ gateway: { id: gateway.id } });
  const store = await openSqliteStore({ path: folder.store, sequencer, random });
  const ground = {
    configuration,
    folder,
    tenant,
    store,
    signer,
    random,
    gateway,
    clock: wallClock(options.now),
  };
  try {
    await begin(ground);
    return ground;
  } catch (error) {
    await store.close();
    throw error;
  }
}

/** The log's first entry, once: of two gateways that begin at the same time one makes it. */
async function begin({ store, tenant, signer, clock }: Ground): Promise<void> {
  if ((await store.actStep(tenant, LOG_ACT)) > 0) return;
  await commitLog({ store, clock, tenant }, 0, { type: 'genesis', origin: signer.name });
}

function keyIsGone(folder: DataFolder): Problem {
  return new Problem(
    'ledger-inconsistent',
    `there is a store in \`${folder.path}\` but no \`ledger.key\`; put the key back from your copy: a new one would begin another log`,
  );
}

function otherTenant(folder: DataFolder, signer: Signer, tenant: TenantId): Problem {
  return new Problem(
    'configuration-invalid',
    `expected the tenant of \`${signer.name}\`, whose data \`${folder.path}\` holds, found \`${tenant}\`; name another data folder, or put the tenant back`,
    { at: '/tenant' },
  );
}
