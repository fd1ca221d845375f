import type { TenantId } from '../model/ids.ts';
import type { Configuration } from '../model/policy.ts';
import type { Clock, Random, Store } from '../model/ports.ts';
import { issue } from './credentials.ts';
import { exists, writePrivate, type DataFolder } from './folder.ts';

export interface OperatorPorts {
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  readonly tenant: TenantId;
  readonly folder: DataFolder;
  readonly configuration: Configuration;
}

/**
 * Writes a token of the first operator of the file, where there is none in the folder. A gateway
 * at its start does so only while no operator's credential is live: who took the token away
 * meant to. A crash between credential and file leaves a credential whose secret nobody has.
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
  const isLive = (await store.credentials(tenant)).some(
    ({ holder, revokedAt }) =>
      holder.kind === 'person' && names.has(holder.name) && revokedAt === undefined,
  );
  if (isLive && !isAsked) return;
  const { secret } = await issue({ ...ports, configuration: () => configuration }, operator.name, {
    kind: 'person',
    name: operator.name,
  });
  await writePrivate(folder.operatorToken, `${secret}\n`);
}
