import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import { openEntry } from '../src/ledger/entry.ts';
import { Findings } from '../src/ledger/findings.ts';
import { parseLeaf } from '../src/ledger/leaf.ts';
import { Meaning } from '../src/ledger/meaning.ts';
import { ACME } from '../src/store/conformance/fixtures.ts';
import { fill } from './fill.ts';
import { storeFile } from './stores.ts';

test('what fills a store is as much as was asked for, and lawful', async () => {
  const store = await storeFile(':memory:');
  const filling = { tenant: ACME, target: 'bench', now: Date.now(), waiting: 20, entries: 240 };
  const middle = await fill(store, filling, () => undefined);
  assert.equal(await store.countInStates(ACME, ['waiting']), 20);
  assert.equal((await store.tree(ACME)).size, 240);
  const newer = await store.proposals(ACME, { limit: 100 });
  assert.equal(
    newer.findIndex(({ id }) => id === middle),
    newer.length / 2 - 1,
  );

  const findings = new Findings();
  const meaning = new Meaning(findings, 'bench');
  for (const { index, leaf, leafHash, payloads } of await store.entries(ACME, 0, 1_000)) {
    const parsed = parseLeaf(leaf);
    assert(parsed.kind === 'leaf');
    meaning.check({ index, hash: leafHash, leaf: parsed.leaf, body: openEntry(leaf, payloads) });
  }
  // The store of a gateway has its first entry before it is filled.
  const unlawful = findings.all().filter(({ code }) => code !== 'genesis-misplaced');
  assert.deepEqual(unlawful, []);
  assert.equal(meaning.figures().states.waiting, 20);
  await store.close();
});
