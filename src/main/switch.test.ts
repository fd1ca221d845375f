import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { test } from 'node:test';
import { fakeClock } from '../../test/support/fakes.ts';
import { need } from '../../test/support/gate.ts';
import type { FileSwitch } from '../gate/freeze.ts';
import { tenantId } from '../model/ids.ts';
import { keepSwitch, type EmergencySwitch } from './switch.ts';
import { takeTurns } from './turns.ts';

const TENANT = need(tenantId('acme'));
const GOOD = 'version: 1\ntenant: acme\n';
const OFF = `writes: { enabled: false }\n${GOOD}`;

interface World {
  readonly emergency: EmergencySwitch;
  /** What the store was last made to agree with; undefined before the first time. */
  readonly obeyed: () => boolean | undefined;
  readonly lines: readonly string[];
  write(text: string): void;
  remove(): void;
}

function switchTest(name: string, run: (world: World) => Promise<void>): void {
  test(name, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'switch-'));
    try {
      const path = join(folder, 'writegate.yaml');
      const calls: FileSwitch[] = [];
      const lines: string[] = [];
      const emergency = keepSwitch({
        path,
        tenant: TENANT,
        gateway: 'gateway-1',
        obey: async (file) => void calls.push(file),
        onChange: (line) => void lines.push(line),
      });
      await run({
        emergency,
        obeyed: () => calls.at(-1)?.isOff,
        lines,
        write: (text) => writeFileSync(path, text),
        remove: () => unlinkSync(path),
      });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
}

switchTest('a start with the switch off is stopped at the first look', async (world) => {
  world.write(OFF);
  await world.emergency.look();
  assert.equal(world.obeyed(), true);
  assert.equal(world.emergency.isOff(), true);
  assert.deepEqual(world.lines, ['the file stops all writes: `writes: { enabled: false }`']);
});

switchTest('off binds within one turn of a second, on within two', async (world) => {
  const clock = fakeClock();
  const stop = new AbortController();
  world.write(GOOD);
  const turns = takeTurns(
    { clock, intervalMs: 1_000, stop: stop.signal, onError: (error) => assert.fail(String(error)) },
    () => world.emergency.look(),
  );
  const turn = async (ms: number): Promise<void> => {
    clock.advance(ms);
    // The look reads a file; it is over when one of our own is.
    await nextTurn();
    await world.emergency.look();
  };
  await turn(1_000);
  await turn(1_000);
  assert.equal(world.obeyed(), false);
  world.write(OFF);
  clock.advance(999);
  await nextTurn();
  assert.equal(world.obeyed(), false);
  clock.advance(1);
  for (let waits = 0; waits < 1_000_000 && world.obeyed() !== true; waits += 1) await nextTurn();
  assert.equal(world.obeyed(), true);
  stop.abort();
  await turns;
});

switchTest('a file that is broken otherwise stops all the same', async (world) => {
  world.write(GOOD);
  await world.emergency.look();
  world.write(`${OFF}no-such-key: 1\nlimits: [\n`);
  await world.emergency.look();
  assert.equal(world.obeyed(), true);
});

switchTest(
  'nothing is lifted by a file that does not load, is cut short, or is gone',
  async (world) => {
    world.write(OFF);
    await world.emergency.look();
    for (const text of ['', `${GOOD}no-such-key: 1\n`, 'version: 1\nlimits: [\n']) {
      world.write(text);
      await world.emergency.look();
      assert.equal(world.obeyed(), true, text);
      world.write(OFF);
      await world.emergency.look();
    }
    world.remove();
    for (let looks = 0; looks < 3; looks += 1) await world.emergency.look();
    assert.equal(world.obeyed(), true);
    world.write(`${GOOD}no-such-key: 1\n`);
    for (let looks = 0; looks < 3; looks += 1) await world.emergency.look();
    assert.equal(world.obeyed(), true);
  },
);

switchTest(
  'a file that loads, and is the same at two looks, lifts what it stopped',
  async (world) => {
    world.write(OFF);
    await world.emergency.look();
    world.write(GOOD);
    await world.emergency.look();
    assert.equal(world.obeyed(), true);
    await world.emergency.look();
    assert.equal(world.obeyed(), false);
    assert.match(world.lines.at(-1) ?? '', /stops writes no longer/);
  },
);
