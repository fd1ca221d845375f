import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client } from 'pg';
import { startPostgres } from './postgres.ts';
import { fillDisk, noSmallDisk, SMALL_DISK } from './small-disk.ts';

const why = noSmallDisk();

test(
  'a disk that is full stops a server from writing, and only until there is room again',
  {
    skip: why ?? false,
  },
  async () => {
    await using stack = new AsyncDisposableStack();
    const server = await startPostgres({ smallDiskMegabytes: 40 });
    stack.defer(() => server.stop());
    const client = new Client({ connectionString: server.url() });
    await client.connect();
    stack.defer(() => client.end());
    await client.query(`CREATE TABLESPACE small LOCATION '${SMALL_DISK}'`);
    await client.query('CREATE TABLE rows (text text) TABLESPACE small');
    const write = (): Promise<unknown> =>
      client.query("INSERT INTO rows SELECT repeat('x', 1000) FROM generate_series(1, 500)");
    const makeRoom = fillDisk(server.keeperPid, 50_000);
    await assert.rejects(write, { code: '53100' });
    makeRoom();
    await write();
  },
);
