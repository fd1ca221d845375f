import { Pool } from 'pg';
import { openPostgresTarget } from '../src/connectors/postgres.ts';
import { newProposalId } from '../src/model/ids.ts';
import { planDigest, type Plan } from '../src/model/plan.ts';
import type { Compensated, PlanRequest, Target } from '../src/model/ports.ts';
import { startPostgres } from '../support/postgres.ts';
import { compareAll, type BenchRow, type Size } from './measure.ts';

const ROWS = 10_000;
const SIZES: readonly (Size & { readonly rows: number })[] = [
  { rows: 1, clients: 1, rounds: 5, perRound: 40 },
  { rows: 1_000, clients: 1, rounds: 5, perRound: 4 },
];

/**
 * Taking back an UPDATE of one row and of a thousand on the target's side: plan and apply, the
 * inverse guarded row by row and measured, beside the same inverse as an UPDATE direct through `pg`.
 */
export async function undo(progress: (line: string) => void): Promise<BenchRow[]> {
  const postgres = await startPostgres();
  const pool = new Pool({ connectionString: postgres.url('bench') });
  try {
    await postgres.createDatabase('bench');
    await pool.query(
      'CREATE TABLE counters (id integer PRIMARY KEY, name text NOT NULL, value bigint NOT NULL)',
    );
    await pool.query(
      `INSERT INTO counters SELECT n, 'counter ' || n, 0 FROM generate_series(1, ${ROWS}) AS n`,
    );
    await pool.query('VACUUM ANALYZE counters');
    const settings = {
      url: postgres.url('bench'),
      rowsMax: 10_000,
      acceptFindings: ['role-superuser'],
    };
    const target = await openPostgresTarget('bench', settings, () => undefined);
    try {
      const found: BenchRow[] = [];
      for (const size of SIZES) {
        progress(`undo, ${size.rows} ${size.rows === 1 ? 'row' : 'rows'} …`);
        const sides = sidesOf(target, pool, size.rows);
        await sides.start();
        const [figures] = await compareAll([sides.governed], sides.direct, size);
        if (figures === undefined) throw new Error('a comparison of one subject gave none');
        found.push({
          bench: `undo ${size.rows}`,
          subject: 'plan and apply of the inverse',
          peer: 'the inverse UPDATE direct through pg',
          ...figures,
        });
      }
      return found;
    } finally {
      await target.close();
    }
  } finally {
    await pool.end();
    await postgres.stop();
  }
}

interface Sides {
  start(): Promise<void>;
  governed(turn: number): Promise<void>;
  direct(turn: number): Promise<void>;
}

/**
 * Each governed turn takes back the one before it, itself a compensation, so that the rows go to and
 * fro and nothing but inverses is timed. The direct side does the same to rows of its own.
 */
function sidesOf(target: Target, pool: Pool, rows: number): Sides {
  let last: Compensated | null = null;
  let directValue = 0;
  let proposals = 0;
  const run = async (compensated: Compensated | null, statement: string): Promise<Compensated> => {
    proposals += 1;
    const request: PlanRequest = {
      proposalId: newProposalId(Date.now(), new Uint8Array(10).fill(proposals % 256)),
      operation: 'sql',
      arguments: compensated === null ? { statement } : {},
      permits: () => true,
      compensated,
    };
    const signal = AbortSignal.timeout(60_000);
    const answer = await target.plan(request, signal);
    if (answer.kind === 'refused') throw new Error(answer.reason);
    const { plan } = answer;
    const digest = (each: Plan): ReturnType<typeof planDigest> => planDigest('bench', 'sql', each);
    const key = request.proposalId;
    const applied = await target.apply(
      { ...request, key, planDigest: digest(plan), digest },
      signal,
    );
    if (applied.kind !== 'applied')
      throw new Error(`expected \`applied\`, found \`${applied.kind}\``);
    return {
      proposalId: request.proposalId,
      plan,
      effects: applied.effects ?? plan.effects,
      evidence: applied.evidence ?? plan.evidence,
    };
  };
  return {
    async start() {
      last = await run(null, `UPDATE counters SET value = value + 1 WHERE id <= ${rows}`);
    },
    async governed() {
      last = await run(last, '');
    },
    async direct() {
      directValue = 1 - directValue;
      await pool.query({
        name: 'inverse',
        text:
          'UPDATE counters AS c SET value = g.value FROM unnest($1::int[], $2::bigint[]) ' +
          'AS g(id, value) WHERE c.id = g.id',
        values: [
          Array.from({ length: rows }, (_, at) => ROWS - at),
          Array.from({ length: rows }, () => directValue),
        ],
      });
    },
  };
}
