/** The whole contract through PgBouncer itself in transaction mode, where this machine has one. */
import { after, test } from 'node:test';
import {
  pgbouncerProgram,
  startPgBouncer,
  type PgBouncer,
} from '../../../test/support/pgbouncer.ts';
import { trustLocal } from '../../../test/support/pooler.ts';
import { openForSuite, storeServer } from '../../../test/support/store-server.ts';
import { openEntry } from '../../ledger/entry.ts';
import { createSequencer } from '../../ledger/sequencer.ts';
import { testStore } from '../conformance.ts';

const program = pgbouncerProgram();
const ledger = { sequencer: createSequencer({ gateway: { id: 'gw-1' } }), open: openEntry };

if (program === undefined) {
  const skip = 'there is no `pgbouncer` on the PATH; pooler.slow.test.ts plays one';
  test('the contract through PgBouncer', { skip }, () => undefined);
} else {
  const server = storeServer();
  let pooler: Promise<PgBouncer> | undefined;
  const begun = async (): Promise<PgBouncer> => {
    const { admin, postgres } = server();
    await trustLocal(admin);
    return startPgBouncer(program, { serverPort: postgres.port, servers: 3 });
  };
  const open = openForSuite(server, async () => {
    pooler ??= begun();
    const url = new URL(server().postgres.url());
    url.port = String((await pooler).port);
    return url.href;
  });
  after(async () => (await pooler)?.close());
  testStore('postgres behind PgBouncer', open, ledger);
}
