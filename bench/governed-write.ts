import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Pool } from 'pg';
import { createClient } from '../src/client/index.ts';
import { openGateway, type Gateway } from '../src/main.ts';
import { credentialId, tenantId } from '../src/model/ids.ts';
import type { AgentPrincipal } from '../src/model/principal.ts';
import type { Result } from '../src/model/result.ts';
import { startPostgres } from '../support/postgres.ts';
import { compareAll, type BenchRow, type Operation, type Size } from './measure.ts';

const ROWS = 10_000;
const SIZES: readonly Size[] = [
  { clients: 1, rounds: 5, perRound: 200 },
  { clients: 64, rounds: 5, perRound: 1_280 },
];
const STATEMENT = 'UPDATE counters SET value = $2 WHERE id = $1';

const POLICY = `
version: 1
tenant: bench
environment: bench
targets:
  bench: { kind: postgres, url: '\${env:BENCH_URL}', acceptFindings: [role-superuser] }
people: { olga: { roles: [operator] } }
agents:
  bench-agent: { owner: olga, permissions: [{ target: bench, class: update, tier: autonomous }] }
limits: [{ name: records, recordsMax: 10 }]
rules: [{ id: permit, effect: permit, match: { target: bench }, reason: the bench }]
`;

/**
 * A single-row UPDATE by primary key, auto-approved, durable in the store and in the target: through
 * the gate as who embeds it calls it, and over HTTP, beside the same UPDATE direct through `pg`.
 * Callers, gateway and peer share one process; the database has its own.
 */
export async function governedWrite(progress: (line: string) => void): Promise<BenchRow[]> {
  const folder = await mkdtemp(join(tmpdir(), 'writegate-bench-'));
  const postgres = await startPostgres();
  const pool = new Pool({ connectionString: postgres.url('bench'), max: 64 });
  // A connection that is still closing when the server stops is told so; unheard it would end the run.
  pool.on('error', () => undefined);
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
      const subjects = new Map([
        ['writegate in process', inProcess(gateway)],
        ['writegate over HTTP', await overHttp(gateway)],
      ]);
      const rows: BenchRow[] = [];
      for (const size of SIZES) {
        progress(`governed-write, ${size.clients} clients …`);
        const figures = await compareAll([...subjects.values()], direct(pool), size);
        const bench = { bench: 'governed-write', peer: 'UPDATE direct through pg' };
        for (const [index, subject] of [...subjects.keys()].entries()) {
          const measured = figures[index];
          if (measured !== undefined) rows.push({ ...bench, subject, ...measured });
        }
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

function direct(pool: Pool): Operation {
  return async (turn) => {
    const values = [rowOf(turn), turn];
    await pool.query({ name: 'direct', text: STATEMENT, values });
  };
}

function inProcess(gateway: Gateway): Operation {
  const tenant = tenantId('bench');
  const credential = credentialId(`cred_${'0'.repeat(26)}`);
  if (tenant === undefined || credential === undefined) throw new Error('these are ids');
  const agent: AgentPrincipal = {
    kind: 'agent',
    name: 'bench-agent',
    owner: 'olga',
    environment: 'bench',
    tenant,
    credential,
  };
  const absent = { reason: undefined, idempotencyKey: undefined, run: undefined };
  return async (turn) => {
    const draft = { ...draftOf(turn), ...absent, compensates: undefined };
    demandApplied(await gateway.gate.propose(agent, draft));
  };
}

async function overHttp(gateway: Gateway): Promise<Operation> {
  const operator = createClient({
    url: gateway.url,
    token: (await readFile(gateway.folder.operatorToken, 'utf8')).trim(),
  });
  const { secret } = await operator.issueCredential({ kind: 'agent', name: 'bench-agent' });
  const agent = createClient({ url: gateway.url, token: secret });
  return async (turn) => demandApplied(await agent.propose(draftOf(turn)));
}

function draftOf(turn: number) {
  const parameters = [rowOf(turn), turn];
  return { target: 'bench', operation: 'sql', arguments: { statement: STATEMENT, parameters } };
}

/** No two turns in flight at once have the same row. */
function rowOf(turn: number): number {
  return (turn % ROWS) + 1;
}

function demandApplied(result: Result): void {
  if (result.state !== 'applied') throw new Error(`${result.code}: ${result.reason}`);
}
