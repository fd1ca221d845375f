import { test } from 'node:test';
import { startPostgres, type Postgres } from '../../../../support/postgres.ts';
import { assertRounds, runRounds } from '../../../../test/support/random-rounds.ts';

/** `WRITEGATE_TEST_SEED` replays the workers from a seed on. */
const SEED = Number(process.env['WRITEGATE_TEST_SEED'] ?? 20_261_120);
const WORKERS = 4;

for (const { prefer, rounds, stepsMax, timeMaxMs } of [
  { prefer: 'newest', rounds: 10_000, stepsMax: 1, timeMaxMs: 900_000 },
  { prefer: 'oldest', rounds: 2_000, stepsMax: 1, timeMaxMs: 240_000 },
  { prefer: 'newest', rounds: 1_000, stepsMax: 6, timeMaxMs: 300_000 },
  { prefer: 'oldest', rounds: 400, stepsMax: 6, timeMaxMs: 120_000 },
] as const) {
  test(`${rounds} random writes of ${stepsMax} steps at the most are measured to the row, and taken back exactly or not at all`, async (context) => {
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
          // On a slow machine fewer are tried, and said to be.
          isOver: () => performance.now() - from > timeMaxMs,
          progress: (line) => context.diagnostic(`worker ${worker}: ${line}`),
        }),
      ),
    );
    for (const report of reports) assertRounds(report, (line) => context.diagnostic(line));
  });
}
