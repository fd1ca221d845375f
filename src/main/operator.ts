import { createHash } from 'node:crypto';
import { newCredentialId, type CredentialId, type TenantId } from '../model/ids.ts';
import type { Configuration } from '../model/policy.ts';
import type { Clock, Random, Store } from '../model/ports.ts';
import { Problem } from '../model/problem.ts';
import { issueOnce } from './credentials.ts';
import { exists, writePrivate, type DataFolder } from './folder.ts';

export interface OperatorPorts {
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  readonly tenant: TenantId;
  readonly folder: DataFolder;
  readonly configuration: Configuration;
}

const TRIES_MAX = 5;
const ID_BYTES = 10;

/**
 * Writes a token of the first operator of the file, where there is none in the folder. A gateway
 * at its start does so only while no operator's credential is live: who took the token away
 * meant to. Of several that start at once on an empty store one makes it. A crash between credential
 * and file leaves a credential whose secret nobody has.
 */
export async function provideOperator(ports: OperatorPorts, isAsked: boolean): Promise<void> {
  const { configuration, folder, store, tenant } = ports;
  if (await exists(folder.operatorToken)) return;
  const operators = [...configuration.policy.people.values()].filter((person) =>
    person.roles.includes('operator'),
  );
  const [operator] = operators;
  if (operator === undefined) return;
  const names = new Set(operators.map((person) => person.name));
  const holder = { kind: 'person', name: operator.name } as const;
  for (let tries = 0; tries < TRIES_MAX; tries += 1) {
    const earlier = (await store.credentials(tenant)).filter(
      (each) => each.holder.kind === 'person' && names.has(each.holder.name),
    );
    const isLive = earlier.some(({ revokedAt }) => revokedAt === undefined);
    if (isLive && !isAsked) return;
    const id = await idAfter(ports, earlier.length);
    const made = { ...ports, configuration: () => configuration };
    const issued = await issueOnce(made, operator.name, { holder, id });
    if (issued === undefined) continue;
    await writePrivate(folder.operatorToken, `${issued.secret}\n`);
    return;
  }
  throw new Problem('store-unusable', 'credentials of operators are made too often; try again');
}

/**
 * The id of the next credential that is made so, the same for whoever makes it: of two gateways that
 * begin at once the store takes one, as the first step of that id.
 */
async function idAfter(
  { store, tenant }: Pick<OperatorPorts, 'store' | 'tenant'>,
  count: number,
): Promise<CredentialId> {
  const [genesis] = await store.entries(tenant, 0, 1);
  if (genesis === undefined)
    throw new Error('a gateway begins its log before it makes credentials');
  const seed = createHash('sha256').update(`operator ${count} ${genesis.leafHash}`).digest();
  return newCredentialId(genesis.at, seed.subarray(0, ID_BYTES));
}
