import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { fakeClock } from '../../test/support/fakes.ts';
import { LEASE_MS } from '../model/lease.ts';
import { keepRenewing } from './turning.ts';

test('leases are renewed well before they run out, also after a renewal that failed, until it is ended', async () => {
  const clock = fakeClock();
  const logged: unknown[] = [];
  const renewedAt: number[] = [];
  const from = clock.now();
  const failure = new Error('the store is away');
  const gate = {
    renew: async (): Promise<void> => {
      renewedAt.push(clock.now() - from);
      if (renewedAt.length === 1) throw failure;
    },
  };
  const end = keepRenewing({ clock }, gate, (_line, cause) => void logged.push(cause));
  for (let passed = 0; passed < LEASE_MS; passed += 1_000) {
    clock.advance(1_000);
    await nextTurn();
  }
  assert.deepEqual(renewedAt, [LEASE_MS / 3, (2 * LEASE_MS) / 3, LEASE_MS]);
  assert.deepEqual(logged, [failure]);
  await end();
  clock.advance(LEASE_MS);
  await nextTurn();
  assert.equal(renewedAt.length, 3);
});
