import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Pool } from 'pg';
import { createClient } from '../src/client/index.ts';
import { openGateway } from '../src/main.ts';
import { startPostgres } from '../support/postgres.ts';
import { compare, type BenchRow } from './measure.ts';

const ROWS = 10_000;
const CLIENTS = [1, 64];
const ROUNDS = 5;

const POLICY = `
version: 1
tenant: bench
targets:
  bench: { kind: postgres, url: '\${env:BENCH_URL}' }
people: { olga: { roles: [operator] } }
agents:
  bench-agent: { owner: olga, permissions: [{ target: bench, class: update, tier: autonomous }] }
limits: [{ name: records, recordsMax: 10 }]
rules: [{ id: permit, effect: permit, match: { target: bench }, reason: the bench }]
`;

/**
 * A single-row UPDATE by primary key through the gateway over HTTP, auto-approved, durable in the
 * store and in the target, beside the same UPDATE direct through `pg`.
 */
export async function governedWrite(progress: (line: string) => void): Promise<BenchRow[]> {
  const folder = await mkdtemp(join(tmpdir(), 'writegate-bench-'));
  const postgres = await startPostgres();
  const pool = new Pool({ connectionString: postgres.url('bench'), max: 64 });
  try {
    await postgres.createDatabase('bench');
    await pool.query('CREATE TABLE counters (id integer PRIMARY KEY, value bigint NOT NULL)');
    await pool.query(`INSERT INTO counters SELECT n, 0 FROM generate_series(1, ${ROWS}) AS n`);
    await pool.query('VACUUM ANALYZE counters');
    const configPath = join(folder, 'writegate.yaml');
    await writeFile(configPath, POLICY);
    const gateway = await openGateway({
      configPath,
      dataFolder: join(folder, 'data'),
      port: 0,
      environment: (name) => (name === 'BENCH_URL' ? postgres.url('bench') : undefined),
      log: progress,
    });
    try {
      const operator = createClient({
        url: gateway.url,
        token: (await readFile(gateway.folder.operatorToken, 'utf8')).trim(),
      });
      const { secret } = await operator.issueCredential({ kind: 'agent', name: 'bench-agent' });
      const agent = createClient({ url: gateway.url, token: secret });
      const statement = 'UPDATE counters SET value = $2 WHERE id = $1';
      const governed = async (turn: number): Promise<void> => {
        const result = await agent.propose({
          target: 'bench',
          operation: 'sql',
          arguments: { statement, parameters: [(turn % ROWS) + 1, turn] },
        });
        if (result.state !== 'applied') throw new Error(`${result.code}: ${result.reason}`);
      };
      const direct = async (turn: number): Promise<void> => {
        const values = [(turn % ROWS) + 1, turn];
        await pool.query({ name: 'direct', text: statement, values });
      };
      const rows: BenchRow[] = [];
      for (const clients of CLIENTS) {
        progress(`governed-write, ${clients} clients …`);
        const size = { clients, rounds: ROUNDS, perRound: clients === 1 ? 150 : 640 };
        const figures = await compare(governed, direct, size);
        rows.push({
          bench: 'governed-write',
          subject: 'writegate over HTTP',
          peer: 'UPDATE direct through pg',
          ...figures,
        });
      }
      return rows;
    } finally {
      await gateway.close();
    }
  } finally {
    await pool.end();
    await postgres.stop();
    await rm(folder, { recursive: true, force: true });
  }
}
