/** The whole contract, through a pooler that gives each transaction another connection. */
import { after } from 'node:test';
import { openPooler, trustLocal, type Pooler } from '../../../test/support/pooler.ts';
import { openForSuite, storeServer } from '../../../test/support/store-server.ts';
import { openEntry } from '../../ledger/entry.ts';
import { createSequencer } from '../../ledger/sequencer.ts';
import { testStore } from '../conformance.ts';

const server = storeServer();
let pooler: Promise<Pooler> | undefined;

async function begun(): Promise<Pooler> {
  const { admin, postgres } = server();
  await trustLocal(admin);
  const serverPort = postgres.port;
  return openPooler({ serverPort, user: 'postgres', database: 'postgres', servers: 3 });
}

const open = openForSuite(server, async () => {
  pooler ??= begun();
  const { port } = await pooler;
  const url = new URL(server().postgres.url());
  url.port = String(port);
  return url.href;
});
after(async () => (await pooler)?.close());

const ledger = { sequencer: createSequencer({ gateway: { id: 'gw-1' } }), open: openEntry };

testStore('postgres behind a pooler', open, ledger);
