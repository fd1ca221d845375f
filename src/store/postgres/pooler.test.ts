/** A store behind a pooler that gives each transaction another connection of the server. */
import { strict as assert } from 'node:assert';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import pg from 'pg';
import { openPooler, trustLocal } from '../../../test/support/pooler.ts';
import { storeServer } from '../../../test/support/store-server.ts';
import {
  ACME,
  GLOBEX,
  beginChange,
  freezeChange,
  freezeOf,
  goOn,
  lineOf,
  outcomeEntry,
  proposalOf,
  releaseChange,
} from '../conformance/fixtures.ts';
import { testLedger } from '../conformance/ledger.ts';
import { assertFold, committed } from '../conformance/setting.ts';

const server = storeServer();
const SERVERS = 2;

test('two gateways work through a pooler, and leave nothing on its connections', async () => {
  const { admin, postgres, newSchema, open } = server();
  await trustLocal(admin);
  const pooler = await openPooler({
    serverPort: postgres.port,
    user: 'postgres',
    database: 'postgres',
    servers: SERVERS,
  });
  const url = new URL(postgres.url());
  url.port = String(pooler.port);
  const schema = newSchema();
  const options = {
    url: url.href,
    // Where the pooler leads is found out, not said.
    listenUrl: undefined,
    random: { bytes: (count: number) => randomBytes(count) },
  };
  const stores = [await open(schema, options), await open(schema, options)] as const;
  const [first, second] = stores;
  const heard: string[] = [];
  for (const store of stores) store.changes?.((_tenant, ids) => heard.push(...ids));
  const subject = { agent: 'ledger-bot', target: 'billing', run: null };
  await Promise.all(
    Array.from({ length: 60 }, async (_, number) => {
      const [one, other] = number % 2 === 0 ? [first, second] : [second, first];
      const tenant = number % 3 === 0 ? GLOBEX : ACME;
      const id = proposalOf(number);
      const reserve = { proposalId: id, lines: [lineOf({ amount: 1, max: 1_000 })] };
      const guard = { notFrozen: subject };
      await committed(one, beginChange(id, 'executing', { tenant, reserve, guard }));
      assert.equal((await other.proposal(tenant, id))?.state, 'executing');
      const outcome = [outcomeEntry('applied')];
      await committed(other, { ...goOn(id, 4, outcome, { tenant }), settle: id });
    }),
  );
  await committed(first, beginChange(proposalOf(100), 'in_doubt'));
  const claim = { holder: 'gw-1/1', states: ['in_doubt'], forMs: 60_000, limit: 5 } as const;
  assert.deepEqual(await second.claim(claim), [{ tenant: ACME, id: proposalOf(100), epoch: 1 }]);
  await second.release('gw-1/1', [{ tenant: ACME, id: proposalOf(100) }]);
  await committed(first, freezeChange(freezeOf(1), { kind: 'all' }));
  await committed(second, releaseChange(freezeOf(1), 1));
  assert.equal(await assertFold(first, ACME, testLedger), 40 * 5 + 5 + 2);
  assert.equal(await assertFold(second, GLOBEX, testLedger), 20 * 5);
  assert.deepEqual(await first.budgetUsed(ACME, [lineOf()], 0), [40]);
  assert(pooler.moves > 50, `only ${pooler.moves} moves: the pooler does not try anything`);
  await Promise.all(stores.map((store) => store.close()));

  for (let count = 0; count < SERVERS; count += 1) {
    const left = await residue(url.href);
    assert.deepEqual(left, { prepared: 0, channels: 0, locks: 0, settings: 0 });
  }
  assert.deepEqual(heard, [], 'nobody listens through a pooler');
  await pooler.close();
});

/** What is left on the pooler's next connection. */
async function residue(connectionString: string): Promise<unknown> {
  const client = new pg.Client({ connectionString });
  await client.connect();
  const { rows } = await client.query<Record<string, unknown>>(`
    SELECT (SELECT count(*)::integer FROM pg_prepared_statements) AS prepared,
      (SELECT count(*)::integer FROM pg_listening_channels()) AS channels,
      (SELECT count(*)::integer FROM pg_locks
       WHERE pid = pg_backend_pid() AND locktype = 'advisory') AS locks,
      (SELECT count(*)::integer FROM pg_settings WHERE source = 'session') AS settings`);
  await client.end();
  return rows[0];
}
