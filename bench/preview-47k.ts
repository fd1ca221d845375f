import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { Client } from 'pg';
import { startPostgres } from '../support/postgres.ts';
import { makeRoles } from '../test/support/postgres-roles.ts';
import type { BenchRow } from './measure.ts';

const ROWS = 47_000;
const ROUNDS = 7;
const STATEMENT = `UPDATE customers SET status = 'archived', touched = touched + 1`;

const SCHEMA = `
  CREATE TABLE customers (
    id integer PRIMARY KEY, name text NOT NULL, email text NOT NULL, city text,
    status text NOT NULL, balance numeric(12, 2) NOT NULL, touched integer NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
  );
  INSERT INTO customers (id, name, email, city, status, balance, touched)
    SELECT n, 'customer ' || n, 'c' || n || '@example.org', 'Leeds', 'active', n * 1.25, 0
    FROM generate_series(1, ${ROWS}) AS n;
`;

/** What the child answers: see `preview-47k-child.ts`. */
type Answer =
  | { readonly kind: 'ready' }
  | {
      readonly kind: 'planned';
      readonly rows: number;
      readonly evidenceRows: number;
      /** What the gateway's process computed for it, on all its threads. */
      readonly cpuMs: number;
    }
  | { readonly kind: 'peak'; readonly bytes: number };

/**
 * The preview of an UPDATE of 47,000 rows, every image of every row kept encrypted and all taken
 * back, beside the same UPDATE direct through `pg`, rolled back. The gateway's side is a process
 * of its own, so that its peak of resident memory is nobody else's.
 */
export async function preview47k(progress: (line: string) => void): Promise<BenchRow[]> {
  const postgres = await startPostgres();
  const direct = new Client({ connectionString: postgres.url('bench') });
  let child: ChildProcess | undefined;
  try {
    await postgres.createDatabase('bench');
    await direct.connect();
    await direct.query(SCHEMA);
    const roles = await makeRoles(postgres.url('bench'));
    child = fork(new URL('./preview-47k-child.ts', import.meta.url), [], {
      env: { ...process.env, BENCH_ROLES: JSON.stringify(roles) },
    });
    const gateway = child;
    await answered(gateway, 'ready');
    const previewed: number[] = [];
    const updated: number[] = [];
    const computed: number[] = [];
    // One round before the first is not counted.
    for (let round = -1; round < ROUNDS; round += 1) {
      progress(`preview-47k, round ${round + 1} of ${ROUNDS} …`);
      const subject = () =>
        timed(direct, async () => {
          computed.push(await preview(gateway));
        });
      const peer = () => timed(direct, () => updateDirect(direct));
      const isSubjectFirst = round % 2 === 0;
      const first = await (isSubjectFirst ? subject : peer)();
      const second = await (isSubjectFirst ? peer : subject)();
      if (round < 0) continue;
      previewed.push(isSubjectFirst ? first : second);
      updated.push(isSubjectFirst ? second : first);
    }
    progress(`preview-47k: the gateway computes ${rounded(median(computed.slice(1)))} ms of each`);
    gateway.send('peak');
    const { bytes } = await answered(gateway, 'peak');
    return [rowOf(previewed, updated, bytes)];
  } finally {
    if (child?.exitCode === null) {
      child.send('close');
      await once(child, 'exit');
    }
    await direct.end();
    await postgres.stop();
  }
}

function rowOf(
  previewed: readonly number[],
  updated: readonly number[],
  peakBytes: number,
): BenchRow {
  const ratios = previewed.map((ms, round) => ms / (updated[round] ?? Number.NaN));
  const ratio = median(ratios);
  return {
    bench: 'preview-47k',
    subject: `preview of ${ROWS.toLocaleString('en-GB')} rows with evidence`,
    peer: 'UPDATE direct through pg',
    clients: 1,
    n: previewed.length,
    p50Ms: rounded(median(previewed)),
    p99Ms: rounded(Math.max(...previewed)),
    perSecond: rounded(1_000 / median(previewed)),
    peerPerSecond: rounded(1_000 / median(updated)),
    ratioP50: rounded(ratio),
    ratioThroughput: rounded(1 / ratio),
    ratioRange: [rounded(Math.min(...ratios)), rounded(Math.max(...ratios))],
    peakResidentMb: Math.round(peakBytes / 1_048_576),
  };
}

/** What both leave behind is taken away before, so that neither pays for the other. */
async function timed(client: Client, operation: () => Promise<void>): Promise<number> {
  await client.query('VACUUM customers');
  const from = performance.now();
  await operation();
  return performance.now() - from;
}

async function updateDirect(client: Client): Promise<void> {
  await client.query('BEGIN');
  const { rowCount } = await client.query(STATEMENT);
  await client.query('ROLLBACK');
  if (rowCount !== ROWS) throw new Error(`expected ${ROWS} rows, found ${rowCount}`);
}

/** Answers the time that the gateway computed. */
async function preview(child: ChildProcess): Promise<number> {
  child.send(STATEMENT);
  const { rows, evidenceRows, cpuMs } = await answered(child, 'planned');
  if (rows === ROWS && evidenceRows === ROWS) return cpuMs;
  throw new Error(`expected ${ROWS} rows, found ${rows} counted and ${evidenceRows} kept`);
}

async function answered<Kind extends Answer['kind']>(
  child: ChildProcess,
  kind: Kind,
): Promise<Extract<Answer, { kind: Kind }>> {
  // The child sends nothing but these, and undefined stands for its end.
  const answer = await new Promise<Answer | undefined>((resolve) => {
    child.once('message', (message: unknown) => resolve(message as Answer));
    child.once('exit', () => resolve(undefined));
  }).finally(() => child.removeAllListeners());
  if (answer === undefined) throw new Error('the side of the gateway ended; its output says why');
  if (answer.kind !== kind) throw new Error(`expected ${kind}, found ${JSON.stringify(answer)}`);
  return answer as Extract<Answer, { kind: Kind }>;
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((left, right) => left - right);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

function rounded(value: number): number {
  return Math.round(value * 1_000) / 1_000;
}
