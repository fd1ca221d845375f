import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import pg from 'pg';
import type { BudgetLine } from '../src/model/budget.ts';
import { newProposalId } from '../src/model/ids.ts';
import type { Store } from '../src/model/ports.ts';
import { ACME, beginChange, goOn, NOW, outcomeEntry } from '../src/store/conformance/fixtures.ts';
import { startPostgres, type Postgres } from '../support/postgres.ts';
import { compareOne, type BenchRow, type Operation } from './measure.ts';
import { postgresOn, sqliteIn } from './stores.ts';

const SIZE = { clients: 64, rounds: 5, perRound: 960 } as const;
const CONNECTIONS_MAX = 16;

/** One budget that everybody shares, and one for each of 32 agents: the worst case and the usual one. */
const SCOPES = [
  { name: 'one shared budget', scopes: 1 },
  { name: '32 budgets', scopes: 32 },
] as const;

/**
 * Reservations per second at 64 clients, on every store there is: the whole first commit of an
 * allowed proposal (four entries, freeze and budget guarded) and the one that settles it,
 * both durable, beside two durable conditional UPDATEs of a counter and nothing else.
 */
export async function budget(progress: (line: string) => void): Promise<BenchRow[]> {
  const folder = await mkdtemp(join(tmpdir(), 'writegate-bench-'));
  const postgres = await startPostgres();
  try {
    const counters = [
      { kind: sqliteIn(folder), bare: (scopes: number) => bareCounter(folder, scopes) },
      { kind: postgresOn(postgres), bare: (scopes: number) => bareCounterOn(postgres, scopes) },
    ];
    const rows: BenchRow[] = [];
    for (const { kind, bare } of counters) {
      for (const { name, scopes } of SCOPES) {
        progress(`budget, ${kind.name}, ${name} …`);
        rows.push({
          bench: 'budget',
          subject: `reserve and settle on the ${kind.name} store, ${name}`,
          peer: `two conditional UPDATEs through ${kind.driver}, each a durable transaction`,
          ...(await beside(await kind.open(`store_${scopes}`), await bare(scopes), scopes)),
        });
      }
    }
    return rows;
  } finally {
    await postgres.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

async function beside(store: Store, bare: Bare, scopes: number): ReturnType<typeof compareOne> {
  try {
    return await compareOne(reserving(store, scopes), bare.operation, SIZE);
  } finally {
    await store.close();
    await bare.close();
  }
}

function reserving(store: Store, scopes: number): Operation {
  return async (turn) => {
    const id = newProposalId(NOW + turn, randomBytes(10));
    const begun = await store.commit({
      ...beginChange(id, 'executing'),
      guard: { notFrozen: { agent: 'ledger-bot', target: 'billing', run: null } },
      reserve: { proposalId: id, lines: [lineOf(turn % scopes)] },
    });
    if (begun.kind !== 'committed') throw new Error(`a ${begun.conflict.kind} conflict`);
    const step = begun.proposals[0]?.step ?? 0;
    const settled = await store.commit(
      goOn(id, step, [outcomeEntry('applied')], { tenant: ACME, settle: id }),
    );
    if (settled.kind !== 'committed') throw new Error(`a ${settled.conflict.kind} conflict`);
  };
}

function lineOf(agent: number): BudgetLine {
  return {
    budget: 'budgets.pace',
    scope: `agent=bot-${agent}`,
    measure: 'writes',
    window: 'minute',
    windowMs: 60_000,
    amount: 1,
    max: Number.MAX_SAFE_INTEGER,
  };
}

/** The least that any store does for a budget: one row, counted up where that stays within its bound. */
interface Bare {
  readonly operation: Operation;
  readonly close: () => void | Promise<void>;
}

async function bareCounter(folder: string, scopes: number): Promise<Bare> {
  const database = new DatabaseSync(join(folder, `bare-${scopes}.sqlite`));
  database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL');
  database.exec('CREATE TABLE counters (scope INTEGER PRIMARY KEY, used INTEGER NOT NULL) STRICT');
  const add = database.prepare('INSERT INTO counters VALUES (?, 0)');
  for (let scope = 0; scope < scopes; scope += 1) add.run(scope);
  const reserve = database.prepare(
    `UPDATE counters SET used = used + 1 WHERE scope = ? AND used < ${Number.MAX_SAFE_INTEGER}`,
  );
  return {
    operation: async (turn) => {
      reserve.run(turn % scopes);
      reserve.run(turn % scopes);
    },
    close: () => database.close(),
  };
}

async function bareCounterOn(server: Postgres, scopes: number): Promise<Bare> {
  const pool = new pg.Pool({ connectionString: server.url(), max: CONNECTIONS_MAX });
  pool.on('error', () => undefined);
  const table = `bare_${scopes}`;
  await pool.query(`CREATE TABLE ${table} (scope int PRIMARY KEY, used bigint NOT NULL)`);
  await pool.query(`INSERT INTO ${table} SELECT n, 0 FROM generate_series(0, ${scopes - 1}) AS n`);
  const text = `UPDATE ${table} SET used = used + 1
    WHERE scope = $1 AND used < ${Number.MAX_SAFE_INTEGER}`;
  const reserve = (scope: number) => pool.query({ name: table, text, values: [scope] });
  return {
    operation: async (turn) => {
      await reserve(turn % scopes);
      await reserve(turn % scopes);
    },
    close: () => pool.end(),
  };
}
