/** The whole contract on the oldest server that a store may be on. */
import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import { openForSuite, storeServer } from '../../test/support/store-server.ts';
import { openEntry } from '../ledger/entry.ts';
import { createSequencer } from '../ledger/sequencer.ts';
import { testStore } from './conformance.ts';

const server = storeServer({ prefer: 'oldest' });
const ledger = { sequencer: createSequencer({ gateway: { id: 'gw-1' } }), open: openEntry };

testStore('postgres 15', openForSuite(server), ledger);

const isChosen = (process.env['WRITEGATE_TEST_POSTGRES_BIN'] ?? '') !== '';
const skip = isChosen && 'WRITEGATE_TEST_POSTGRES_BIN names another server';
test('the server is of version 15', { skip }, () => {
  assert.match(server().postgres.version, /^15\./);
});
