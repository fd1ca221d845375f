/** What goes wrong between a gateway and its store, and what callers hear of it. */
import { strict as assert } from 'node:assert';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { inspect } from 'node:util';
import pg from 'pg';
import { storeServer, until } from '../../../test/support/store-server.ts';
import { openStoreProxy, type Fate, type StoreProxy } from '../../../test/support/store-proxy.ts';
import { proposalId } from '../../model/ids.ts';
import { Problem, type ProblemCode } from '../../model/problem.ts';
import type { Store } from '../../model/ports.ts';
import {
  ACME,
  GLOBEX,
  beginChange,
  goOn,
  lineOf,
  outcomeEntry,
  proposalOf,
} from '../conformance/fixtures.ts';
import { testLedger } from '../conformance/ledger.ts';
import { assertFold, committed } from '../conformance/setting.ts';

const server = storeServer();

function isProblem(error: unknown, code: ProblemCode): boolean {
  return error instanceof Problem && error.code === code;
}

/** A store behind a proxy, and another one without. */
async function proxied(): Promise<{
  schema: string;
  proxy: StoreProxy;
  store: Store;
  other: Store;
}> {
  const schema = server().newSchema();
  const proxy = await openStoreProxy(server().postgres.port);
  const url = new URL(server().postgres.url());
  url.port = String(proxy.port);
  const random = { bytes: (count: number) => randomBytes(count) };
  const store = await server().open(schema, { url: url.href, random });
  return { schema, proxy, store, other: await server().open(schema, { random }) };
}

describe('a COMMIT whose fate is not known', () => {
  const fates: readonly Fate[] = ['request-lost', 'reply-lost', 'cut-off'];
  for (const fate of fates) {
    test(`${fate}: the caller hears what is so, and everything is written once`, async () => {
      const { proxy, store, other } = await proxied();
      await committed(store, beginChange(proposalOf(0), 'applied'));
      const over = proxy.next(fate);
      const commits = await Promise.all(
        Array.from({ length: 20 }, (_, number) =>
          committed(store, beginChange(proposalOf(number + 1), 'executing')),
        ),
      );
      await over;
      assert.deepEqual(
        commits.flatMap(({ entries }) => entries.map(({ index }) => index)),
        Array.from({ length: 80 }, (_, index) => index + 5),
      );
      assert.equal(await assertFold(other, ACME, testLedger), 85);
      await committed(store, goOn(proposalOf(1), 4, [outcomeEntry('applied')]));
      await proxy.close();
    });

    test(`${fate}: a change without entries is carried out once, too`, async () => {
      const { proxy, store, other } = await proxied();
      const id = proposalOf(1);
      const reserve = { proposalId: id, lines: [lineOf({ amount: 4 })] };
      await committed(store, beginChange(id, 'allowed', { reserve }));
      const over = proxy.next(fate);
      await committed(store, { tenant: ACME, at: 1, acts: [], settle: id });
      await over;
      assert.deepEqual(await other.budgetUsed(ACME, [lineOf()], 1), [4]);
      await proxy.close();
    });
  }

  test('the first one of a tenant is waited for, too, while the server is at it', async () => {
    const { schema, proxy, store, other } = await proxied();
    const { admin, postgres } = server();
    await admin.query(`
      CREATE FUNCTION ${schema}.linger() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        PERFORM pg_advisory_xact_lock_shared(1, 1);
        RETURN NULL;
      END $$;
      CREATE CONSTRAINT TRIGGER linger AFTER INSERT ON ${schema}.entries
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ${schema}.linger()`);
    const holder = new pg.Client({ connectionString: postgres.url() });
    await holder.connect();
    await holder.query('SELECT pg_advisory_lock(1, 1)');
    const over = proxy.next('cut-off');
    const commit = store.commit(beginChange(proposalOf(1), 'applied'));
    await over;
    // Who asks what became of it waits for the transaction that is being committed.
    await until(async () => {
      const { rows } = await admin.query(
        "SELECT FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'",
      );
      return rows.length > 0;
    });
    await holder.end();
    assert.equal((await commit).kind, 'committed');
    assert.equal(await assertFold(other, ACME, testLedger), 5);
    await proxy.close();
  });

  test('others go on while the reply is looked for', async () => {
    const { proxy, store, other } = await proxied();
    const over = proxy.next('reply-lost');
    const commit = store.commit(beginChange(proposalOf(1), 'applied'));
    await over;
    await committed(other, beginChange(proposalOf(2), 'applied'));
    await committed(store, { ...beginChange(proposalOf(3), 'applied'), tenant: GLOBEX });
    assert.equal((await commit).kind, 'committed');
    await proxy.close();
  });

  test('a gateway that stops in mid-transaction holds its tenants for a while, and then goes on', async () => {
    const { proxy, store, other } = await proxied();
    await committed(store, beginChange(proposalOf(0), 'applied'));
    const over = proxy.next('stalled');
    const stopped = store.commit(beginChange(proposalOf(1), 'applied'));
    await over;
    await committed(other, beginChange(proposalOf(2), 'applied'));
    // The transaction is over, and the gateway finds that out when it wakes.
    proxy.cutAll();
    assert.equal((await stopped).kind, 'committed');
    assert.equal(await assertFold(other, ACME, testLedger), 15);
    await proxy.close();
  });
});

describe('a server that goes away', () => {
  test('killed under load and started again it loses nothing that was answered for', async () => {
    const schema = server().newSchema();
    const stores = [await server().open(schema), await server().open(schema)];
    const answered: string[] = [];
    const refused: unknown[] = [];
    const over = new AbortController();
    let number = 0;
    const write = async (store: Store): Promise<void> => {
      while (!over.signal.aborted) {
        number += 1;
        const id = proposalOf(number);
        try {
          await committed(store, beginChange(id, 'executing'));
          answered.push(id);
        } catch (error) {
          refused.push(error);
        }
      }
    };
    const writers = Array.from({ length: 12 }, (_, writer) =>
      write(stores[writer % 2] ?? assert.fail()),
    );
    for (let round = 1; round <= 3; round += 1) {
      const before = answered.length;
      while (answered.length < before + 40) await new Promise(setImmediate);
      await server().postgres.kill();
      await server().postgres.restart();
    }
    const before = answered.length;
    while (answered.length < before + 20) await new Promise(setImmediate);
    over.abort();
    await Promise.all(writers);
    for (const error of refused) assert(isProblem(error, 'store-unreachable'), inspect(error));
    const [store] = stores;
    assert(store !== undefined);
    const size = await assertFold(store, ACME, testLedger);
    assert(size >= answered.length * 4);
    for (const id of answered) assert.equal(await store.actStep(ACME, id), 4, `lost: ${id}`);
  });

  test('while it is away calls are refused, and afterwards the same store works', async () => {
    const store = await server().open(server().newSchema());
    await committed(store, beginChange(proposalOf(1), 'waiting'));
    await server().postgres.kill();
    const isAway = (error: unknown): boolean => isProblem(error, 'store-unreachable');
    const [write, read] = await Promise.allSettled([
      store.commit(beginChange(proposalOf(2), 'waiting')),
      store.proposal(ACME, proposalOf(1)),
    ]);
    assert(write.status === 'rejected' && isAway(write.reason), inspect(write));
    assert(read.status === 'rejected' && isAway(read.reason), inspect(read));
    // By now it is known to be away: nobody waits for it any more.
    await assert.rejects(store.commit(beginChange(proposalOf(3), 'waiting')), isAway);
    await assert.rejects(server().open('store_never'), isAway);
    await server().postgres.restart();
    assert.equal((await store.proposal(ACME, proposalOf(1)))?.state, 'waiting');
    await committed(store, beginChange(proposalOf(2), 'waiting'));
    assert.equal(await assertFold(store, ACME, testLedger), 6);
  });
});

describe('a gateway that is killed', () => {
  test('kill -9 under load, of two in turn, loses nothing that was answered for', async () => {
    const schema = server().newSchema();
    const printed: string[] = [];
    let left = load(schema, printed);
    for (let round = 0; round < 4; round += 1) {
      const right = load(schema, printed);
      await left.printedMore(60 + round * 17);
      await right.printedMore(20);
      await left.kill();
      left = right;
    }
    await left.kill();
    const store = await server().open(schema);
    const acknowledged = printed.filter((line) => line.startsWith('prop_'));
    assert(acknowledged.length > 300);
    for (const line of acknowledged) {
      const [text = '', state] = line.split(' ');
      const id = proposalId(text) ?? assert.fail(text);
      const found = (await store.proposal(ACME, id))?.state;
      assert(found === state || found === 'applied', `lost: ${line}`);
    }
    assert.deepEqual(
      printed.filter((line) => line.startsWith('rejected')),
      [],
    );
    await assertFold(store, ACME, testLedger);
  });
});

const LOAD = fileURLToPath(new URL('../../../test/support/store-load.ts', import.meta.url));

interface Load {
  /** Resolves when it has printed so many lines more. */
  printedMore(count: number): Promise<void>;
  kill(): Promise<void>;
}

/** A process that writes to the store until it is killed; what it prints is added to `printed`. */
function load(schema: string, printed: string[]): Load {
  const child = spawn(process.execPath, [LOAD, server().postgres.url(), schema], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout });
  const own: string[] = [];
  lines.on('line', (line) => {
    own.push(line);
    printed.push(line);
  });
  return {
    printedMore: async (more) => {
      const wanted = own.length + more;
      while (own.length < wanted) await once(lines, 'line');
    },
    kill: async () => {
      child.kill('SIGKILL');
      await once(child, 'close');
    },
  };
}

describe('what the database refuses', () => {
  /** Makes the first so many rows of a table fail as the server would. */
  async function failing(
    schema: string,
    table: string,
    code: string,
    times: number,
  ): Promise<void> {
    await server().admin.query(`
      CREATE SEQUENCE ${schema}.failures;
      CREATE FUNCTION ${schema}.fail() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        IF nextval('${schema}.failures') <= ${times} THEN
          RAISE EXCEPTION 'as the server would say it' USING ERRCODE = '${code}';
        END IF;
        RETURN NEW;
      END $$;
      CREATE TRIGGER fail BEFORE INSERT ON ${schema}.${table}
        FOR EACH ROW EXECUTE FUNCTION ${schema}.fail()`);
  }

  for (const [what, code] of [
    ['a deadlock', '40P01'],
    ['a serialization failure', '40001'],
  ] as const) {
    test(`${what} is tried again`, async () => {
      const schema = server().newSchema();
      const store = await server().open(schema);
      await failing(schema, 'entries', code, 3);
      const commits = await Promise.all(
        [1, 2, 3].map((number) => committed(store, beginChange(proposalOf(number), 'applied'))),
      );
      assert.equal(commits.length, 3);
      assert.equal(await assertFold(store, ACME, testLedger), 15);
    });
  }

  test('a full disk refuses the batch and takes the next one', async () => {
    const schema = server().newSchema();
    const store = await server().open(schema);
    await failing(schema, 'payloads', '53100', 1);
    const refused = await Promise.allSettled(
      [1, 2, 3].map((number) => store.commit(beginChange(proposalOf(number), 'applied'))),
    );
    for (const each of refused) {
      assert(each.status === 'rejected' && isProblem(each.reason, 'store-unusable'));
    }
    await committed(store, beginChange(proposalOf(4), 'applied'));
    assert.equal(await assertFold(store, ACME, testLedger), 5);
  });

  test('what the database does not take is refused alone', async () => {
    const schema = server().newSchema();
    const store = await server().open(schema);
    await server().admin.query(`
      ALTER TABLE ${schema}.proposals ADD CHECK (id <> '${proposalOf(2)}')`);
    const [first, second, third] = await Promise.allSettled(
      [1, 2, 3].map((number) => store.commit(beginChange(proposalOf(number), 'applied'))),
    );
    assert(first?.status === 'fulfilled' && third?.status === 'fulfilled');
    assert(second?.status === 'rejected' && !isProblem(second.reason, 'store-unusable'));
    assert.equal(await store.proposal(ACME, proposalOf(2)), undefined);
    assert.equal(await assertFold(store, ACME, testLedger), 10);
  });
});
