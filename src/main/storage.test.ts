import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { openStoreProxy } from '../../test/support/store-proxy.ts';
import { storeServer, until } from '../../test/support/store-server.ts';
import { Secret } from '../lib/secret.ts';
import { ACME, beginChange, proposalOf } from '../store/conformance/fixtures.ts';
import { testLedger, testRandom } from '../store/conformance/ledger.ts';
import { committed } from '../store/conformance/setting.ts';
import { dataFolder } from './folder.ts';
import { openStorage } from './storage.ts';
import { wallClock } from './world.ts';

const server = storeServer();

test('a server that does not answer any more is not waited for at the end', async () => {
  const { admin, newSchema, postgres } = server();
  const proxy = await openStoreProxy(postgres.port);
  const url = new URL(postgres.url());
  url.port = String(proxy.port);
  const { sequencer } = testLedger;
  const { store, shared, close } = await openStorage(
    { kind: 'postgres', where: 'there', url: new Secret(url.href), schema: newSchema() },
    {
      folder: dataFolder('/nowhere'),
      tenant: ACME,
      sequencer,
      random: testRandom(),
      clock: wallClock(),
    },
  );
  store.changes?.(() => undefined);
  await until(async () => {
    const asked = "SELECT FROM pg_stat_activity WHERE query LIKE 'LISTEN%'";
    return (await admin.query(asked)).rows.length > 0;
  });
  await committed(store, beginChange(proposalOf(1), 'applied'));
  await store.proposal(ACME, proposalOf(1));
  await shared.gateways();

  proxy.stallAll();
  const over = new AbortController();
  const closed = close().then(() => 'closed');
  const late = pause(10_000, 'still waiting', { signal: over.signal }).catch(() => 'over');
  const end = await Promise.race([closed, late]);
  over.abort();
  await proxy.close();
  assert.equal(end, 'closed');
});
