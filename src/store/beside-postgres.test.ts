// Evidence, uploads and what gateways share, beside the state of the PostgreSQL store.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import type pg from 'pg';
import { fakeClock } from '../../test/support/fakes.ts';
import { startPostgres, type Postgres } from '../../support/postgres.ts';
import { newEvidenceId, newProposalId } from '../model/ids.ts';
import type { Effect } from '../model/plan.ts';
import { BlobTable, CHUNK_BYTES, type BlobTablePorts } from './blob-table.ts';
import { postgresBlobs } from './blobs-postgres.ts';
import { evidenceIn, type EvidenceFolder } from './evidence-files.ts';
import { openPool, placeOf, quoted } from './postgres/connect.ts';
import { migrate } from './postgres/migrate.ts';
import type { Row } from './postgres/rows.ts';
import { postgresShared } from './shared-postgres.ts';
import { ALIVE_MS, type GatewayCard } from './shared.ts';
import { UPLOAD_BOUNDS } from './uploads.ts';
import { openPostgresUploads } from './uploads-postgres.ts';

const AT = Date.UTC(2026, 10, 20);
const KEY = Buffer.alloc(32, 7);
const OWNER = newProposalId(AT, new Uint8Array(10));

let server: Postgres;
let pools: readonly pg.Pool[] = [];
let schema = '';

before(async () => {
  server = await startPostgres();
  const place = placeOf({ url: server.url() });
  // Two gateways.
  pools = [openPool(place, 4), openPool(place, 4)];
  schema = quoted(place);
  const client = await pool().connect();
  await migrate(client, place);
  client.release();
});
after(async () => {
  for (const each of pools) await each.end();
  await server.stop();
});

function pool(gateway = 0): pg.Pool {
  const found = pools[gateway];
  assert(found !== undefined);
  return found;
}

let tenants = 0;

/** A tenant of its own for each test. */
function fresh(): (gateway?: number) => Omit<BlobTablePorts, 'kind'> {
  tenants += 1;
  const tenant = `t${tenants}`;
  return (gateway = 0) => ({ pool: pool(gateway), schema, tenant, now: () => AT });
}

function evidence(ports: Omit<BlobTablePorts, 'kind'>, key = KEY): EvidenceFolder {
  const table = new BlobTable({ ...ports, kind: 'evidence' });
  return evidenceIn(postgresBlobs(table), key, ports.now);
}

function effects(count: number): readonly Effect[] {
  return Array.from({ length: count }, (_, row) => ({
    resource: 'public.customers',
    kind: 'update' as const,
    key: [String(row)],
    before: { id: String(row), note: `before ${row}` },
    after: { id: String(row), note: 'x'.repeat(200) },
  }));
}

/** Asks the database itself; `@` stands for the store's schema. */
async function sql(query: string, values: readonly unknown[] = []): Promise<readonly Row[]> {
  return (await pool().query<Row>(query.replaceAll('@', `${schema}.`), [...values])).rows;
}

describe('evidence in the store', () => {
  test('is read by another gateway as it was written, page by page and all at once', async () => {
    const at = fresh();
    const rows = effects(5_000);
    const writer = await evidence(at()).create(OWNER);
    for (let from = 0; from < rows.length; from += 700) {
      await writer.append(rows.slice(from, from + 700));
    }
    const other = evidence(at(1));
    const { id, bytes } = await writer.finish();
    assert(bytes > 4 * CHUNK_BYTES, 'the test needs several chunks');
    const reader = await other.open(id);
    assert(reader !== undefined);
    const all: Effect[] = [];
    for await (const batch of reader.batches()) all.push(...batch);
    assert.deepEqual(all, rows);
    for (const [from, limit] of [
      [0, 1],
      [699, 2_000],
      [4_999, 10],
      [5_000, 1],
    ] as const) {
      assert.deepEqual(await reader.page(from, limit), rows.slice(from, from + limit));
    }
    assert.deepEqual(await other.list(), [{ id, owner: OWNER, createdAt: AT }]);
    await other.remove(id);
    await other.remove(id);
    assert.equal(await evidence(at()).open(id), undefined);
    assert.deepEqual(await sql('SELECT * FROM @blobs WHERE tenant = $1', [at().tenant]), []);
  });

  test('is nobody else’s: not of another tenant, and not under another key', async () => {
    const [at, elsewhere] = [fresh(), fresh()];
    const { id } = await (await evidence(at()).create()).finish();
    assert.equal(await evidence(elsewhere()).open(id), undefined);
    assert.deepEqual(await evidence(elsewhere()).list(), []);
    await evidence(elsewhere()).remove(id);
    await assert.rejects(evidence(at(), Buffer.alloc(32, 8)).open(id), /another key/);
    assert((await evidence(at()).open(id)) !== undefined);
  });

  test('that is not finished is not there, and is removed once it is old', async () => {
    const at = fresh();
    const files = evidence(at());
    const writer = await files.create(OWNER);
    await writer.append(effects(3_000));
    assert.deepEqual(await files.list(), []);
    await evidence(at(1)).removeUnfinished(AT);
    assert.equal((await sql('SELECT 1 FROM @blobs WHERE tenant = $1', [at().tenant])).length, 1);
    await evidence(at(1)).removeUnfinished(AT + 1);
    await assert.rejects(writer.finish());
    assert.deepEqual(await files.list(), []);
    assert.deepEqual(
      await sql('SELECT FROM @blob_chunks WHERE blob NOT IN (SELECT id FROM @blobs)'),
      [],
    );
    await writer.discard();
  });

  test('that was discarded leaves neither row nor chunk', async () => {
    const at = fresh();
    const writer = await evidence(at()).create(OWNER);
    await writer.append(effects(3_000));
    await writer.discard();
    assert.deepEqual(await sql('SELECT 1 FROM @blobs WHERE tenant = $1', [at().tenant]), []);
  });

  test('that was changed, cut or swapped in the database is a problem, never other rows', async () => {
    const at = fresh();
    const files = evidence(at());
    const writer = await files.create(OWNER);
    await writer.append(effects(5_000));
    const { id } = await writer.finish();
    const [kept] = await sql('SELECT id, size_bytes AS size FROM @blobs WHERE name = $1', [id]);
    const [blob, size] = [kept?.['id'], kept?.['size']];
    const chunks = await sql('SELECT position, bytes FROM @blob_chunks WHERE blob = $1', [blob]);
    const read = async (): Promise<void> => {
      const reader = await files.open(id);
      assert(reader !== undefined);
      for await (const batch of reader.batches()) assert(batch.length > 0);
    };
    const attacks = [
      'UPDATE @blob_chunks SET bytes = set_byte(bytes, 200, 255 - get_byte(bytes, 200)) WHERE blob = $1 AND position = 1',
      'DELETE FROM @blob_chunks WHERE blob = $1 AND position = 2',
      'UPDATE @blob_chunks SET bytes = substring(bytes FROM 1 FOR 1000) WHERE blob = $1 AND position = 3',
      'UPDATE @blobs SET size_bytes = size_bytes - 1 WHERE id = $1',
    ];
    for (const attack of attacks) {
      await sql(attack, [blob]);
      await assert.rejects(read(), { name: 'Problem', code: 'store-unusable' }, attack);
      await sql('DELETE FROM @blob_chunks WHERE blob = $1', [blob]);
      for (const { position, bytes } of chunks) {
        await sql('INSERT INTO @blob_chunks VALUES ($1, $2, $3)', [blob, position, bytes]);
      }
      await sql('UPDATE @blobs SET size_bytes = $2 WHERE id = $1', [blob, size]);
      await read();
    }
  });
});

describe('a blob', () => {
  test('gives any part of itself, whatever chunks that lies in', async () => {
    const at = fresh();
    const table = new BlobTable({ ...at(), kind: 'evidence' });
    const whole = randomBytes(3 * CHUNK_BYTES + 17);
    const writer = await table.begin('');
    for (let from = 0; from < whole.length; from += 100_001) {
      await writer.append(whole.subarray(from, from + 100_001));
    }
    await writer.keep({ owner: '', name: 'any' });
    const found = await table.find({ owner: '', name: 'any' });
    assert.equal(found?.sizeBytes, whole.length);
    for (const [offset, length] of [
      [0, 1],
      [0, whole.length],
      [CHUNK_BYTES - 1, 2],
      [CHUNK_BYTES, CHUNK_BYTES],
      [5, 2 * CHUNK_BYTES],
      [whole.length - 3, 3],
      [whole.length - 3, 100],
      [whole.length, 1],
      [7, 0],
    ] as const) {
      const part = await table.read(found.id, offset, length);
      assert(part.equals(whole.subarray(offset, offset + length)), `${offset} ${length}`);
    }
  });

  test('that is a whole number of chunks long has no empty one', async () => {
    const at = fresh();
    const table = new BlobTable({ ...at(), kind: 'evidence' });
    const writer = await table.begin('');
    await writer.append(Buffer.alloc(2 * CHUNK_BYTES));
    await writer.keep({ owner: '', name: 'whole' });
    const found = await table.find({ owner: '', name: 'whole' });
    assert.equal((await table.read(found?.id ?? 0, 0, 3 * CHUNK_BYTES)).length, 2 * CHUNK_BYTES);
  });
});

async function* content(...parts: readonly string[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) yield Buffer.from(part);
}

async function text(stream: AsyncIterable<Uint8Array>): Promise<string> {
  const parts: Uint8Array[] = [];
  for await (const part of stream) parts.push(part);
  return Buffer.concat(parts).toString();
}

const SMALL = { ...UPLOAD_BOUNDS, fileBytesMax: 10, ownerBytesMax: 15, ownerFilesMax: 2 };

test('evidence and uploads make no difference of what the database has set', async () => {
  await sql('CREATE DATABASE odd');
  await sql('ALTER DATABASE odd SET default_transaction_read_only = on');
  const place = placeOf({ url: server.url('odd') });
  const own = openPool(place, 3);
  const client = await own.connect();
  await migrate(client, place);
  client.release();
  const ports = { pool: own, schema, tenant: 'odd', now: () => AT };
  const files = evidence(ports);
  const writer = await files.create(OWNER);
  await writer.append(effects(3_000));
  const { id } = await writer.finish();
  await (await files.create(OWNER)).discard();
  await files.removeUnfinished(AT);
  await files.remove(id);
  assert.deepEqual(await files.list(), []);
  const uploads = openPostgresUploads(ports);
  assert.equal((await uploads.put('agent:a', content('x,y\n'))).bytes, 4);
  await uploads.sweep();
  await own.end();
});

describe('uploads in the store', () => {
  test('are their owner’s, by their content, on every gateway', async () => {
    const at = fresh();
    const [one, two] = [openPostgresUploads(at()), openPostgresUploads(at(1))];
    const answer = await one.put('agent:a', content('x,y\n', '1,2\n'));
    const sha256 = createHash('sha256').update('x,y\n1,2\n').digest('hex');
    assert.deepEqual(answer, { id: `upl_${sha256}`, bytes: 8, sha256 });
    assert.deepEqual(await two.put('agent:a', content('x,y\n1,2\n')), answer);
    const opened = await two.open(answer.id, 'agent:a');
    assert(opened !== undefined);
    assert.deepEqual([opened.bytes, opened.sha256], [8, sha256]);
    assert.equal(await text(opened.stream()), 'x,y\n1,2\n');
    for (const [id, owner] of [
      [answer.id, 'agent:b'],
      [`upl_${'0'.repeat(64)}`, 'agent:a'],
      [`upl_../../${sha256}`, 'agent:a'],
    ] as const) {
      assert.equal(await two.open(id, owner), undefined);
    }
    assert.equal((await sql('SELECT 1 FROM @blobs WHERE tenant = $1', [at().tenant])).length, 1);
  });

  test('that are too large, empty or broken off leave nothing', async () => {
    const at = fresh();
    const uploads = openPostgresUploads(at(), SMALL);
    const tooLarge = { code: 'request-too-large' };
    await assert.rejects(uploads.put('a', content('123456', '78901')), tooLarge);
    await assert.rejects(uploads.put('a', content()), { code: 'request-invalid' });
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('1');
      throw new Error('gone');
    }
    await assert.rejects(uploads.put('a', broken()), /gone/);
    assert.deepEqual(await sql('SELECT 1 FROM @blobs WHERE tenant = $1', [at().tenant]), []);
    await uploads.put('a', content('1234567890'));
  });

  test('are bounded for an owner over all gateways, and no other owner pays for it', async () => {
    const at = fresh();
    const [one, two] = [openPostgresUploads(at(), SMALL), openPostgresUploads(at(1), SMALL)];
    await one.put('a', content('12345678'));
    await assert.rejects(two.put('a', content('abcdefgh')), { code: 'request-too-large' });
    await two.put('a', content('abc'));
    await assert.rejects(one.put('a', content('z')), { code: 'request-too-large' });
    await two.put('b', content('12345678'));
    const both = await Promise.allSettled([
      one.put('c', content('12345678')),
      two.put('c', content('abcdefgh')),
    ]);
    assert(both.some(({ status }) => status === 'rejected'));
    const kept = await sql(
      'SELECT owner FROM @blobs WHERE tenant = $1 GROUP BY owner HAVING sum(size_bytes) > 15',
      [at().tenant],
    );
    assert.deepEqual(kept, []);
  });

  test('are gone after a day, and the sweep removes them and what a crash left', async () => {
    const at = fresh();
    const clock = fakeClock();
    const uploads = openPostgresUploads({ ...at(), now: () => clock.now() });
    const { id } = await uploads.put('a', content('old'));
    await new BlobTable({ ...at(), now: () => clock.now(), kind: 'upload' }).begin('anybody');
    clock.advance(UPLOAD_BOUNDS.keptMs - 1);
    assert(await uploads.open(id, 'a'));
    const later = await uploads.put('a', content('new'));
    clock.advance(2);
    assert.equal(await uploads.open(id, 'a'), undefined);
    await uploads.sweep();
    const left = await sql('SELECT name FROM @blobs WHERE tenant = $1', [at().tenant]);
    assert.deepEqual(left, [{ name: later.sha256 }]);
    await uploads.put('a', content('old'));
    assert(await uploads.open(id, 'a'));
  });
});

function card(changes: Partial<GatewayCard> = {}): GatewayCard {
  const common = { version: '1', url: null, host: 'one', pid: 1, startedAt: AT, opened: {} };
  return { id: 'gateway-1', holder: 'gateway-1/a', ...common, ...changes };
}

describe('what gateways share', () => {
  test('is agreed on once, by whoever comes first', async () => {
    const at = fresh();
    const [one, two] = [postgresShared(at()), postgresShared(at(1))];
    const agreed = await Promise.all(
      Array.from({ length: 10 }, (_, index) =>
        (index % 2 === 0 ? one : two).agree('key', `value ${index}`),
      ),
    );
    assert.equal(new Set(agreed).size, 1);
    assert.equal(await two.noted('key'), agreed[0]);
    assert.equal(await one.noted('other'), undefined);
    assert.equal(await postgresShared(fresh()()).noted('key'), undefined);
  });

  test('a round is one gateway’s, until its time is over', async () => {
    const at = fresh();
    const [one, two] = [postgresShared(at()), postgresShared(at(1))];
    const first = await Promise.all([
      one.takeRound('sweep', 60_000),
      two.takeRound('sweep', 60_000),
    ]);
    assert.equal(first.filter((isOwn) => isOwn).length, 1);
    assert.equal(await one.takeRound('sweep', 60_000), false);
    assert.equal(await one.takeRound('other', 60_000), true);
    assert.equal(await two.takeRound('sweep', 0), true);
  });

  test('tells its own clock', async () => {
    const asked = Date.now();
    const now = await postgresShared(fresh()()).now();
    // The server is on this machine.
    assert(now !== null && now >= asked - 1 && now <= Date.now() + 1);
  });

  test('a name is one run’s at a time', async () => {
    const at = fresh();
    const [one, two] = [postgresShared(at()), postgresShared(at(1))];
    const [first, second] = [card(), card({ holder: 'gateway-1/b', pid: 2 })];
    assert.equal(await one.join(first, null), true);
    assert.equal(await two.join(second, null), false);
    assert.equal(await two.join(second, 'gateway-1/other'), false);
    const [seen] = await two.gateways();
    assert.deepEqual({ ...seen, seenAgoMs: 0 }, { ...first, seenAgoMs: 0 });
    assert(seen !== undefined && seen.seenAgoMs < ALIVE_MS);
    assert.equal(await two.join(second, first.holder), true, 'who knows that it is gone');
    assert.equal(await one.beat(first), false);
    assert.equal(await two.beat({ ...second, url: 'http://x' }), true);
    await one.leave(first);
    assert.deepEqual(
      (await one.gateways()).map(({ holder, url }) => [holder, url]),
      [[second.holder, 'http://x']],
    );
    await two.leave(second);
    await two.leave(second);
    assert.deepEqual(await one.gateways(), []);
  });

  test('a server that is away is a problem that says so, without its address', async () => {
    const place = placeOf({ url: 'postgres://user:hush@127.0.0.1:1/none' });
    const nowhere = openPool(place, 1);
    const { now } = fresh()();
    const shared = postgresShared({ pool: nowhere, schema, tenant: 't' });
    const uploads = openPostgresUploads({ pool: nowhere, schema, tenant: 't', now });
    for (const call of [shared.noted('x'), uploads.open(`upl_${'0'.repeat(64)}`, 'a')]) {
      await assert.rejects(call, (error: unknown) => {
        assert(error instanceof Error && 'code' in error);
        assert.equal(error.code, 'store-unreachable');
        assert(!error.message.includes('hush'));
        return true;
      });
    }
    await nowhere.end();
  });
});

test('an id that nobody has is nothing', async () => {
  const files = evidence(fresh()());
  assert.equal(await files.open(newEvidenceId(AT, new Uint8Array(10))), undefined);
});
