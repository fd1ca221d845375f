/** Several gateways on one database: what holds in one process holds over all of them. */
import { strict as assert } from 'node:assert';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import pg from 'pg';
import { storeServer, until } from '../../../test/support/store-server.ts';
import type { ProposalId } from '../../model/ids.ts';
import type { Change, Store } from '../../model/ports.ts';
import { testLedger } from '../conformance/ledger.ts';
import {
  ACME,
  GLOBEX,
  approvalEntry,
  beginChange,
  claimOf,
  decisionEntry,
  digestOf,
  freezeChange,
  freezeOf,
  goOn,
  intentEntry,
  lineOf,
  outcomeEntry,
  proposalOf,
  releaseChange,
} from '../conformance/fixtures.ts';
import { assertFold, committed, conflicting } from '../conformance/setting.ts';

const server = storeServer();
const random = { bytes: (count: number) => randomBytes(count) };

/** Two gateways on a store of their own. */
async function pair(): Promise<{ schema: string; first: Store; second: Store }> {
  const schema = server().newSchema();
  const first = await server().open(schema, { random });
  return { schema, first, second: await server().open(schema, { random }) };
}

/** Holds a tenant's lock, as a gateway in the middle of a commit does, until the answer is called. */
async function holding(schema: string, tenant: string): Promise<() => Promise<void>> {
  const client = new pg.Client({ connectionString: server().postgres.url() });
  await client.connect();
  await client.query('BEGIN');
  await client.query(`SELECT FROM ${schema}.logs WHERE tenant = $1 FOR UPDATE`, [tenant]);
  return async () => {
    await client.query('ROLLBACK');
    await client.end();
  };
}

async function waitingLocks(type: 'advisory' | 'transactionid' | 'relation'): Promise<number> {
  const { rows } = await server().admin.query<{ count: number }>(
    'SELECT count(*)::integer AS count FROM pg_locks WHERE NOT granted AND locktype = $1',
    [type],
  );
  return rows[0]?.count ?? 0;
}

test('many gateways may make the schema at once', async () => {
  const schema = server().newSchema();
  const stores = await Promise.all(
    Array.from({ length: 5 }, () => server().open(schema, { connectionsMax: 3 })),
  );
  for (const [number, store] of stores.entries()) {
    await committed(store, beginChange(proposalOf(number), 'assessed'));
  }
  assert.equal(await assertFold(stores[0] ?? assert.fail(), ACME, testLedger), 10);
});

test('what two gateways write at once has one order without a gap', async () => {
  const { first, second } = await pair();
  const tenants = [ACME, GLOBEX];
  const writes = Array.from({ length: 120 }, async (_, number) => {
    const id = proposalOf(number);
    const tenant = tenants[number % 2] ?? ACME;
    const [one, other] = number % 3 === 0 ? [first, second] : [second, first];
    await committed(one, beginChange(id, 'executing', { tenant }));
    await committed(other, goOn(id, 4, [outcomeEntry('applied')], { tenant }));
  });
  await Promise.all(writes);
  for (const tenant of tenants) {
    assert.equal(await assertFold(first, tenant, testLedger), 60 * 5);
    assert.deepEqual(await second.tree(tenant), await first.tree(tenant));
  }
});

test('a gateway sees at once what another has committed, whatever it has kept', async () => {
  const { first, second } = await pair();
  const id = proposalOf(1);
  await committed(first, beginChange(id, 'waiting'));
  assert.equal((await second.proposal(ACME, id))?.state, 'waiting');
  await committed(second, goOn(id, 3, [decisionEntry('deny')]));
  assert.equal((await first.proposal(ACME, id))?.state, 'denied');
  const late = await conflicting(first, goOn(id, 3, [decisionEntry('allow')]));
  assert.deepEqual(late, { kind: 'step', act: id, found: 4 });
});

test('a commit goes on from what another gateway has committed, whatever it has kept', async () => {
  const { first, second } = await pair();
  const id = proposalOf(1);
  await committed(first, beginChange(id, 'waiting'));
  await committed(second, goOn(id, 3, [approvalEntry()]));
  const { proposals } = await committed(first, goOn(id, 4, [decisionEntry('allow')]));
  assert.equal(proposals[0]?.approvals.length, 1);
  assert.equal(await assertFold(second, ACME, testLedger), 5);
});

test('G7: of what two gateways reserve at once no more is granted than fits', async () => {
  const { first, second } = await pair();
  const reserving = (number: number): Change => {
    const proposalId = proposalOf(number);
    const lines = [lineOf({ amount: 3, max: 100 })];
    return beginChange(proposalId, 'allowed', { reserve: { proposalId, lines } });
  };
  const commits = await Promise.all(
    Array.from({ length: 80 }, (_, number) =>
      (number % 2 === 0 ? first : second).commit(reserving(number)),
    ),
  );
  assert.equal(commits.filter(({ kind }) => kind === 'committed').length, 33);
  assert.deepEqual(await second.budgetUsed(ACME, [lineOf()], 0), [99]);
});

test('G7: a reservation that the database does not have room for is not written', async () => {
  const { schema, first } = await pair();
  await committed(first, beginChange(proposalOf(1), 'allowed'));
  // As if the lock had let another gateway in between load and write.
  await server().admin.query(`
    CREATE FUNCTION ${schema}.spend() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      INSERT INTO ${schema}.reservations
        VALUES ('acme', 'prop_other', 'budgets.hourly', 'agent=ledger-bot', 'records', 'hour', 9);
      RETURN NULL;
    END $$;
    CREATE TRIGGER spend AFTER UPDATE ON ${schema}.logs EXECUTE FUNCTION ${schema}.spend()`);
  const proposalId = proposalOf(2);
  const reserve = { proposalId, lines: [lineOf({ amount: 4 })] };
  const write = first.commit(beginChange(proposalId, 'allowed', { reserve }));
  await assert.rejects(write, /not as they had been loaded/);
  assert.equal(await first.proposal(ACME, proposalId), undefined);
  assert.deepEqual(await first.budgetUsed(ACME, [lineOf()], 0), [0]);
});

test('of claims of one key by two gateways at once exactly one is granted', async () => {
  const { first, second } = await pair();
  const supplied = { agent: 'ledger-bot', key: 'month-end' };
  for (let round = 0; round < 10; round += 1) {
    const keys = [digestOf(`round ${round}`)];
    const commits = await Promise.all(
      [first, second].map((store, number) => {
        const id = proposalOf(round * 2 + number);
        const claim = { keys: claimOf(id, { keys, supplied: { ...supplied, key: `k${round}` } }) };
        return store.commit(beginChange(id, 'proposed', { guard: claim }));
      }),
    );
    assert.deepEqual(commits.map(({ kind }) => kind).toSorted(), ['committed', 'conflict']);
  }
});

test('a stop for everything waits for what is being committed, and binds what comes behind it', async () => {
  const { schema, first, second } = await pair();
  const subject = { agent: 'ledger-bot', target: 'billing', run: null };
  const guarded = (number: number): Change =>
    beginChange(proposalOf(number), 'allowed', { guard: { notFrozen: subject } });
  await committed(first, guarded(1));
  const release = await holding(schema, ACME);
  const under = first.commit(guarded(2));
  await until(async () => (await waitingLocks('transactionid')) > 0);
  let isStopped = false;
  const stop = { ...freezeChange(freezeOf(1), { kind: 'all' }), tenant: GLOBEX };
  const stopped = second.commit(stop).then((commit) => {
    isStopped = true;
    return commit;
  });
  await until(async () => isStopped || (await waitingLocks('advisory')) > 0);
  assert.equal(isStopped, false, 'the stop waits for the commit that did not see it');
  // This one comes behind the stop, though that still waits.
  const behind = second.commit({ ...guarded(3), tenant: GLOBEX });
  await release();
  assert.equal((await under).kind, 'committed');
  assert.equal((await stopped).kind, 'committed');
  assert.equal((await behind).kind, 'conflict');
  assert.equal((await conflicting(first, guarded(4))).kind, 'frozen');
  await committed(first, { ...releaseChange(freezeOf(1), 1), tenant: GLOBEX });
  await committed(second, guarded(4));
});

test('what several gateways claim at once is claimed by one of them', async () => {
  const { first, second } = await pair();
  const ids = Array.from({ length: 60 }, (_, number) => proposalOf(number));
  await Promise.all(ids.map((id) => committed(first, beginChange(id, 'executing'))));
  const claimed: ProposalId[] = [];
  const claimAll = async (store: Store, holder: string): Promise<void> => {
    for (;;) {
      const got = await store.claim({ holder, states: ['executing'], forMs: 60_000, limit: 7 });
      claimed.push(...got.map(({ id }) => id));
      if (claimed.length >= ids.length) return;
    }
  };
  await Promise.all(
    [first, second, first, second].map((store, number) => claimAll(store, `gw-${number}/1`)),
  );
  assert.deepEqual(claimed.toSorted(), ids);
});

test('a claim passes over a proposal that a commit is at', async () => {
  const { schema, first, second } = await pair();
  const [id, other] = [proposalOf(1), proposalOf(2)];
  for (const each of [id, other]) await committed(first, beginChange(each, 'in_doubt'));
  const client = new pg.Client({ connectionString: server().postgres.url() });
  await client.connect();
  await client.query('BEGIN');
  await client.query(`SELECT FROM ${schema}.proposals WHERE id = $1 FOR NO KEY UPDATE`, [id]);
  const claim = { holder: 'gw-2/1', states: ['in_doubt'], forMs: 60_000, limit: 5 } as const;
  assert.deepEqual(await second.claim(claim), [{ tenant: ACME, id: other, epoch: 1 }]);
  await client.query('ROLLBACK');
  await client.end();
  assert.deepEqual(await second.claim(claim), [{ tenant: ACME, id, epoch: 1 }]);
});

test('a claim passes over what a commit has loaded and not yet written', async () => {
  const { schema, first, second } = await pair();
  const id = proposalOf(1);
  const lease = { proposalId: id, holder: 'gw-1/1', epoch: null, forMs: 0 };
  await committed(first, beginChange(id, 'executing', { guard: { lease } }));
  const client = new pg.Client({ connectionString: server().postgres.url() });
  await client.connect();
  await client.query(`BEGIN; LOCK TABLE ${schema}.payloads IN SHARE MODE`);
  const settled = first.commit(
    goOn(id, 4, [outcomeEntry('applied')], { guard: { lease: { ...lease, epoch: 1 } } }),
  );
  await until(async () => (await waitingLocks('relation')) > 0);
  const claim = { holder: 'gw-2/1', states: ['executing'], forMs: 60_000, limit: 5 } as const;
  assert.deepEqual(await second.claim(claim), []);
  await client.query('ROLLBACK');
  await client.end();
  assert.equal((await settled).kind, 'committed');
});

test('G8: who is taken over from while its commit waits does not settle', async () => {
  const { schema, first, second } = await pair();
  const id = proposalOf(1);
  const lease = { proposalId: id, holder: 'gw-1/1', epoch: null, forMs: 0 };
  await committed(first, beginChange(id, 'executing', { guard: { lease } }));
  const release = await holding(schema, ACME);
  const late = first.commit(
    goOn(id, 4, [outcomeEntry('applied')], { guard: { lease: { ...lease, epoch: 1 } } }),
  );
  await until(async () => (await waitingLocks('transactionid')) > 0);
  const claim = { holder: 'gw-2/1', states: ['executing'], forMs: 60_000, limit: 5 } as const;
  assert.deepEqual(await second.claim(claim), [{ tenant: ACME, id, epoch: 2 }]);
  await release();
  assert.deepEqual(await late, {
    kind: 'conflict',
    conflict: { kind: 'leased', proposalId: id, epoch: 2 },
  });
  const taken = { ...lease, holder: 'gw-2/1', epoch: 2 };
  await committed(second, goOn(id, 4, [intentEntry(2)], { guard: { lease: taken } }));
});

test('a commit locks leases in the order in which they are renewed', async () => {
  const { schema, first } = await pair();
  const guardOf = (id: ProposalId, epoch: number | null) => ({
    guard: { lease: { proposalId: id, holder: 'gw-1/1', epoch, forMs: 60_000 } },
  });
  const [lowest, middle, highest] = [proposalOf(1), proposalOf(2), proposalOf(3)];
  for (const id of [lowest, middle, highest]) {
    await committed(first, beginChange(id, 'executing', guardOf(id, null)));
  }
  const client = new pg.Client({ connectionString: server().postgres.url() });
  await client.connect();
  const lock = `SELECT FROM ${schema}.leases WHERE proposal = ANY ($1) FOR NO KEY UPDATE NOWAIT`;
  await client.query('BEGIN');
  await client.query(lock, [[lowest]]);
  const settling = [
    goOn(highest, 4, [outcomeEntry('applied')], guardOf(highest, 1)),
    goOn(middle, 4, [outcomeEntry('in_doubt')], guardOf(middle, 1)),
    goOn(lowest, 4, [outcomeEntry('applied')], guardOf(lowest, 1)),
  ].map((change) => committed(first, change));
  await until(async () => (await waitingLocks('transactionid')) > 0);
  await client.query(lock, [[middle, highest]]);
  await client.query('ROLLBACK');
  await client.end();
  await Promise.all(settling);
});

test('a claim takes leases in the order in which they are renewed', async () => {
  const { schema, first, second } = await pair();
  const places = [
    { tenant: ACME, id: proposalOf(2) },
    { tenant: GLOBEX, id: proposalOf(1) },
  ];
  for (const { tenant, id } of places) {
    const lease = { proposalId: id, holder: 'gw-1/1', epoch: null, forMs: 0 };
    await committed(first, beginChange(id, 'executing', { tenant, guard: { lease } }));
  }
  const client = new pg.Client({ connectionString: server().postgres.url() });
  await client.connect();
  const lock = `SELECT FROM ${schema}.leases WHERE tenant = $1 FOR NO KEY UPDATE NOWAIT`;
  await client.query('BEGIN');
  await client.query(lock, [ACME]);
  const claim = { holder: 'gw-2/1', states: ['executing'], forMs: 60_000, limit: 5 } as const;
  const claimed = second.claim(claim);
  await until(async () => (await waitingLocks('transactionid')) > 0);
  await client.query(lock, [GLOBEX]);
  await client.query('ROLLBACK');
  await client.end();
  assert.equal((await claimed).length, 2);
});

test('a gateway hears of another one’s commits', async () => {
  const schema = server().newSchema();
  const first = await server().open(schema, { listenUrl: server().postgres.url() });
  const second = await server().open(schema);
  const { promise: heard, resolve } = Promise.withResolvers<readonly ProposalId[]>();
  const end = first.changes?.((tenant, ids) => {
    if (tenant === ACME && ids.includes(proposalOf(2))) resolve(ids);
  });
  await until(async () => {
    const { rows } = await server().admin.query(
      "SELECT FROM pg_stat_activity WHERE query LIKE 'LISTEN%'",
    );
    return rows.length > 0;
  });
  await committed(second, {
    ...beginChange(proposalOf(1), 'waiting'),
    acts: [1, 2].map((number) => ({
      act: proposalOf(number),
      expectStep: 0,
      entries: beginChange(proposalOf(number), 'waiting').acts[0]?.entries ?? [],
    })),
  });
  assert.deepEqual(await heard, [proposalOf(1), proposalOf(2)]);
  end?.();
});
