import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { createSequencer } from '../ledger/sequencer.ts';
import { replacing } from '../lib/around.ts';
import { tenantId } from '../model/ids.ts';
import type { Store } from '../model/ports.ts';
import { parseConfiguration } from '../policy/parse.ts';
import { openSqliteStore } from '../store/sqlite.ts';
import { need } from '../../test/support/gate.ts';
import { dataFolder, exists, prepareFolder } from './folder.ts';
import { provideOperator, type OperatorPorts } from './operator.ts';
import { commitLog } from './policy-log.ts';
import { systemRandom } from './world.ts';

const TENANT = need(tenantId('acme'));
const FILE = `
version: 1
tenant: acme
people: { ada: { roles: [operator] } }
`;

let home: string;
let store: Store;
before(async () => {
  home = await mkdtemp(join(tmpdir(), 'writegate-operator-'));
  const sequencer = createSequencer({ gateway: { id: 'test' } });
  store = await openSqliteStore({ path: ':memory:', sequencer, random: systemRandom });
  await commitLog({ store, clock: CLOCK, tenant: TENANT }, 0, { type: 'genesis', origin: 'acme' });
});
after(async () => {
  await store.close();
  await rm(home, { recursive: true, force: true });
});

const CLOCK = { now: () => 1_000, sleep: () => Promise.resolve() };

async function ports(name: string, own = store): Promise<OperatorPorts> {
  const folder = dataFolder(join(home, name));
  await prepareFolder(folder);
  const configuration = parseConfiguration(FILE, 'writegate.yaml');
  return { store: own, clock: CLOCK, random: systemRandom, tenant: TENANT, folder, configuration };
}

/** The store of two gateways that both look before either of them writes. */
function lookedAtByTwo(): Store {
  const both = Promise.withResolvers<void>();
  let looks = 0;
  return replacing(store, {
    credentials: async (tenant) => {
      const found = await store.credentials(tenant);
      looks += 1;
      if (looks === 2) both.resolve();
      await both.promise;
      return found;
    },
  });
}

test('of two gateways that start at once one makes the first token; who asks gets another', async () => {
  const shared = lookedAtByTwo();
  const [one, two] = [await ports('one', shared), await ports('two', shared)];
  await Promise.all([provideOperator(one, false), provideOperator(two, false)]);
  const made = [await exists(one.folder.operatorToken), await exists(two.folder.operatorToken)];
  assert.equal(made.filter(Boolean).length, 1);
  assert.equal((await store.credentials(TENANT)).length, 1);

  const asked = lookedAtByTwo();
  const [three, four] = [await ports('three', asked), await ports('four', asked)];
  await Promise.all([provideOperator(three, true), provideOperator(four, true)]);
  assert(await exists(three.folder.operatorToken));
  assert(await exists(four.folder.operatorToken));
  assert.equal((await store.credentials(TENANT)).length, 3);
});
