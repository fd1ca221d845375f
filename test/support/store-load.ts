/**
 * A process that writes to the store at the path given, or at the connection string with the schema
 * behind it, until it is killed. It prints each proposal
 * on a line of its own as soon as the store has answered, and never before; where the store does
 * not answer it prints `rejected` and the code, and ends.
 */
import { randomBytes } from 'node:crypto';
import { writeSync } from 'node:fs';
import { newProposalId } from '../../src/model/ids.ts';
import { Problem } from '../../src/model/problem.ts';
import {
  ACME,
  NOW,
  beginChange,
  goOn,
  outcomeEntry,
} from '../../src/store/conformance/fixtures.ts';
import { testLedger } from '../../src/store/conformance/ledger.ts';
import { openPostgresStore } from '../../src/store/postgres.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';

const CONCURRENCY = 16;

const [, , at = '', schema = ''] = process.argv;
const sealing = { sequencer: testLedger.sequencer, random: { bytes: randomBytes } };
const store = at.startsWith('postgresql:')
  ? await openPostgresStore({ ...sealing, url: at, schema, connectionsMax: 4, listenUrl: null })
  : await openSqliteStore({ ...sealing, path: at });
writeSync(1, 'open\n');
let isRejected = false;

async function write(): Promise<void> {
  while (!isRejected) {
    const id = newProposalId(NOW, randomBytes(10));
    try {
      await store.commit(beginChange(id, 'executing'));
      writeSync(1, `${id} executing\n`);
      await store.commit(goOn(id, 4, [outcomeEntry('applied')], { tenant: ACME }));
      writeSync(1, `${id} applied\n`);
    } catch (error) {
      isRejected = true;
      writeSync(1, `rejected ${error instanceof Problem ? error.code : String(error)}\n`);
    }
  }
}

await Promise.all(Array.from({ length: CONCURRENCY }, write));
