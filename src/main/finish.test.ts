/** A gateway that is told to stop: what was begun ends, or is said and left; what was not is sent away. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { openApp } from '../server/app.ts';
import { appOptions, fakeGate, TOKENS } from '../../test/support/fake-gate.ts';
import { fakeClock } from '../../test/support/fakes.ts';
import { POLICY, testGate, type TestGate } from '../../test/support/gate.ts';
import { send, serveApp, type Got, type Served } from '../../test/support/serve.ts';
import { finishCalls, letGo } from './finish.ts';

/** The agent of the server's fake credentials. */
const WITH_AGENT = POLICY.replace(/^agents:$/m, 'agents:\n  ledger-bot:').replace(
  'ledger-bot:',
  `ledger-bot:
    owner: owner
    permissions: [{ target: kv, class: [create, update], tier: autonomous }]`,
);

interface Bench extends TestGate {
  readonly served: Served;
  readonly logged: string[];
  propose(key: string): Promise<Got>;
  /** Stops it; the deadline is 20 s of the fake clock. */
  finish(): Promise<void>;
}

async function bench(t: TestContext): Promise<Bench> {
  const world = await testGate({ policy: WITH_AGENT, clock: fakeClock() });
  const app = openApp({ ...appOptions(fakeGate()), gate: world.gate });
  const here = await serveApp(t, app);
  const logged: string[] = [];
  return {
    ...world,
    served: here,
    logged,
    propose: (key) => {
      const body = { target: 'kv', operation: 'set', arguments: { key, value: '9' } };
      return send(here, { path: '/v1/proposals', token: TOKENS.agent, body });
    },
    finish: () =>
      finishCalls({
        clock: world.clock,
        log: (line) => void logged.push(line),
        gate: world.gate,
        app,
        endTurning: () => Promise.resolve(),
        finishMs: 20_000,
      }),
  };
}

/** Holds the next write in the target until `go`. */
function heldUp({ target }: TestGate): { readonly begun: Promise<void>; readonly go: () => void } {
  const begun = Promise.withResolvers<void>();
  const held = Promise.withResolvers<void>();
  target.beforeApply = () => {
    begun.resolve();
    return held.promise;
  };
  return { begun: begun.promise, go: held.resolve };
}

test('a write that was begun is finished and answered, and a new one is sent away', async (t) => {
  const world = await bench(t);
  const { begun, go } = heldUp(world);
  const answer = world.propose('a');
  await begun;
  const finished = world.finish();
  const late = await world.propose('b');
  assert.equal(late.status, 503);
  assert.match(late.text, /gateway-stopping/);
  go();
  assert.match((await answer).text, /"state":"applied"/);
  await finished;
  assert.deepEqual(world.logged, []);
  assert.deepEqual([world.target.rows.get('a'), world.target.rows.get('b')], ['9', '2']);
});

test('a write that does not end in time is said and left with its intent, and is settled later', async (t) => {
  const world = await bench(t);
  const { begun, go } = heldUp(world);
  const answer = world.propose('a');
  await begun;
  const finished = world.finish();
  world.clock.advance(19_999);
  await send(world.served, { path: '/v1/healthz' });
  assert.deepEqual(world.logged, []);
  world.clock.advance(1);
  await Promise.all([finished, assert.rejects(answer)]);
  assert.deepEqual(world.logged, [
    '1 write was not finished within 20 s and is left: the next start, or another gateway, settles it',
  ]);
  const [open] = await world.store.inStates(['executing'], 10);
  assert.ok(open !== undefined);
  world.target.beforeApply = null;
  go();
  world.clock.advance(60_000);
  await (await world.restart()).tick();
  assert.equal((await world.proposal(open.id)).state, 'applied');
  assert.equal(world.target.committed.length, 1);
});

test('what cannot be let go of is not waited for without end', async () => {
  const clock = fakeClock();
  const stuck = letGo(clock, () => new Promise(() => {}));
  clock.advance(5_000);
  await stuck;
  await letGo(clock, () => Promise.resolve());
  await assert.rejects(
    letGo(clock, () => Promise.reject(new Error('no'))),
    /no/,
  );
});
