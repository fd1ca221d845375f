/** The contract of `Store`: every store passes this suite. */
import { describe } from 'node:test';
import { testBaselines } from './conformance/baselines.ts';
import { testBudgets } from './conformance/budgets.ts';
import { testChains } from './conformance/chains.ts';
import { testDeadlines } from './conformance/deadlines.ts';
import { testEntries } from './conformance/entries.ts';
import { testKeys } from './conformance/keys.ts';
import { testLeases } from './conformance/leases.ts';
import { testLedger, type Ledger } from './conformance/ledger.ts';
import { testReads } from './conformance/reads.ts';
import { storeTest, type OpenStore } from './conformance/setting.ts';
import { testCredentials, testFreezes } from './conformance/switches.ts';

/** Declares the suite for one store; `open` is called once per test. */
export function testStore(name: string, open: OpenStore, ledger: Ledger = testLedger): void {
  const test = storeTest(open, ledger);
  describe(name, () => {
    describe('entries', () => testEntries(test));
    describe('chains', () => testChains(test));
    describe('keys', () => testKeys(test));
    describe('budgets', () => testBudgets(test));
    describe('leases', () => testLeases(test));
    describe('baselines', () => testBaselines(test));
    describe('freezes', () => testFreezes(test));
    describe('credentials', () => testCredentials(test));
    describe('deadlines', () => testDeadlines(test));
    describe('reads', () => testReads(test));
  });
}
