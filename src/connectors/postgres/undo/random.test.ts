import { after, before, test } from 'node:test';
import { startPostgres, type Postgres } from '../../../../support/postgres.ts';
import { assertRounds, runRounds } from '../../../../test/support/random-rounds.ts';

/** `WRITEGATE_TEST_SEED` replays a run; the slow suite has many more. */
const SEED = Number(process.env['WRITEGATE_TEST_SEED'] ?? 1);
const ROUNDS = 75;

let server: Postgres;

before(async () => {
  server = await startPostgres({ settings: { fsync: 'off' } });
});
after(async () => {
  await server.stop();
});

for (const hasUndo of [false, true]) {
  const how = hasUndo ? 'with triggers off' : 'with triggers on';
  test(`random writes are measured to the row and taken back exactly or not at all, ${how}`, async (context) => {
    const report = await runRounds(server, { seed: SEED, rounds: ROUNDS, hasUndo });
    assertRounds(report, (line) => context.diagnostic(line));
  });
}

const STEPS_ROUNDS = 20;

test('random writes that share a transaction are measured step by step, and taken back as one', async (context) => {
  const options = { seed: SEED, rounds: STEPS_ROUNDS, hasUndo: true, stepsMax: 4 };
  assertRounds(await runRounds(server, options), (line) => context.diagnostic(line));
});
