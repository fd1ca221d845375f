import { test } from 'node:test';
import { startPostgres, type Postgres } from '../../../../support/postgres.ts';
import { assertRounds, runRounds } from '../../../../test/support/random-rounds.ts';

/** `WRITEGATE_TEST_SEED` replays the workers from a seed on. */
const SEED = Number(process.env['WRITEGATE_TEST_SEED'] ?? 20_261_120);
/** All four runs together. Each ends when its share is over, or all of its rounds are done. */
const MINUTES = Number(process.env['WRITEGATE_TEST_ROUNDS_MINUTES'] ?? 5);
const WORKERS = 4;

for (const { prefer, rounds, stepsMax, share } of [
  { prefer: 'newest', rounds: 10_000, stepsMax: 1, share: 0.5 },
  { prefer: 'oldest', rounds: 2_000, stepsMax: 1, share: 0.15 },
  { prefer: 'newest', rounds: 1_000, stepsMax: 6, share: 0.25 },
  { prefer: 'oldest', rounds: 400, stepsMax: 6, share: 0.1 },
] as const) {
  const steps = stepsMax === 1 ? 'one step' : `up to ${stepsMax} steps`;
  test(`random writes of ${steps} are measured to the row, and taken back exactly or not at all, on the ${prefer} PostgreSQL`, async (context) => {
    const server: Postgres = await startPostgres({ prefer, settings: { fsync: 'off' } });
    context.after(() => server.stop());
    context.diagnostic(`PostgreSQL ${server.version}, seed ${SEED}`);
    const from = performance.now();
    const reports = await Promise.all(
      Array.from({ length: WORKERS }, (_, worker) =>
        runRounds(server, {
          seed: SEED + worker,
          rounds: rounds / WORKERS,
          hasUndo: worker % 2 === 1,
          stepsMax,
          isOver: () => performance.now() - from > share * MINUTES * 60_000,
          progress: (line) => context.diagnostic(`worker ${worker}: ${line}`),
        }),
      ),
    );
    for (const report of reports) assertRounds(report, (line) => context.diagnostic(line));
    const tried = reports.reduce((sum, report) => sum + report.rounds, 0);
    const left = `; ${rounds - tried} left out, for which there was no time: WRITEGATE_TEST_ROUNDS_MINUTES gives more`;
    context.diagnostic(`${tried} of ${rounds} random writes tried${tried < rounds ? left : ''}`);
  });
}
