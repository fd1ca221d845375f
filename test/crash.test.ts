// A gateway is killed with SIGKILL between any two steps, and inside the target's commit; after a
// restart every proposal has ended rightly or waits for a person, and a retry has one effect. Here
// at the steps where most can go wrong; `crash.slow.test.ts` has all others.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { Client } from 'pg';
import { openCommitProxy } from './support/commit-proxy.ts';
import { CHOSEN, CrashGround, SCENARIOS, STEPS } from './support/crash-cases.ts';
import type { Order } from './support/crash-gate.ts';

let ground: CrashGround;
before(async () => {
  ground = await CrashGround.open();
});
after(() => ground?.close());

describe('G1, G3, L1: a gateway that is killed', { concurrency: 2 }, () => {
  for (const scenario of SCENARIOS) {
    for (const killAt of CHOSEN[scenario]) {
      test(`in the ${scenario} journey ${killAt} leaves what a restart ends rightly`, async () => {
        assert.ok(STEPS[scenario].includes(killAt), 'it is one of the steps');
        await ground.assertSurvives(scenario, killAt);
      });
    }
  }
});

describe("G3, L1: killed while the target's commit is under way", () => {
  for (const lost of ['request', 'reply'] as const) {
    test(`the ${lost} of COMMIT is lost with the gateway: one effect after the restart`, async (t) => {
      const order = await ground.order('autonomous');
      const { postgres } = ground;
      const gateways: ReturnType<CrashGround['start']>[] = [];
      const proxy = await openCommitProxy(postgres.port, lost, () => {
        for (const gateway of gateways) gateway.kill('SIGKILL');
      });
      t.after(() => proxy.close());
      const child = ground.start({ ...order, databaseUrl: through(proxy, order), killAt: null });
      gateways.push(child);
      assert.equal(await ground.endOf(child), null, 'the commit was reached');
      assert.equal(await settledValue(order), lost === 'reply' ? 1 : 0);
      await ground.assertRecovers(order);
    });

    test(`the ${lost} of COMMIT is lost and the gateway lives: it finds out by itself`, async (t) => {
      const order = await ground.order('autonomous');
      const cut = Promise.withResolvers<void>();
      // Open by then: what comes later would end the connection that the gateway finds out by.
      const beside = new Client({ connectionString: ground.postgres.url('shop') });
      await beside.connect();
      t.after(() => beside.end());
      const proxy = await openCommitProxy(ground.postgres.port, lost, () => {
        cut.resolve();
        void beside.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity ${OF_GATEWAYS}`);
      });
      t.after(() => proxy.close());
      const child = ground.start({ ...order, databaseUrl: through(proxy, order), killAt: null });
      const ended = await ground.endOf(child);
      await cut.promise;
      assert.equal(ended, 'applied');
      assert.equal(await ground.value(order), 1);
    });
  }
});

const OF_GATEWAYS = `WHERE application_name = 'writegate'`;

function through(proxy: { readonly port: number }, { databaseUrl }: Order): string {
  const proxied = new URL(databaseUrl);
  proxied.port = String(proxy.port);
  return proxied.href;
}

/** The database's own view once no backend of the killed gateway is left. */
async function settledValue(order: Order): Promise<number> {
  const left = `SELECT count(*) FROM pg_stat_activity ${OF_GATEWAYS}`;
  while ((await ground.query('shop', left)) > 0) await setTimeout(20);
  return ground.value(order);
}
