import { openForSuite, storeServer } from '../../test/support/store-server.ts';
import { openEntry } from '../ledger/entry.ts';
import { createSequencer } from '../ledger/sequencer.ts';
import { testStore } from './conformance.ts';

const ledger = { sequencer: createSequencer({ gateway: { id: 'gw-1' } }), open: openEntry };

// The contract, and with it G5 (fold), G7 (budgets) and G8 (attempts).
testStore('postgres', openForSuite(storeServer()), ledger);
