import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { createSequencer } from '../src/ledger/sequencer.ts';
import type { BudgetLine } from '../src/model/budget.ts';
import { newProposalId } from '../src/model/ids.ts';
import type { Store } from '../src/model/ports.ts';
import { ACME, beginChange, goOn, NOW, outcomeEntry } from '../src/store/conformance/fixtures.ts';
import { openSqliteStore } from '../src/store/sqlite.ts';
import { compareAll, type BenchRow, type Operation } from './measure.ts';

const SIZE = { clients: 64, rounds: 5, perRound: 1_280 } as const;

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
  try {
    const rows: BenchRow[] = [];
    for (const { name, scopes } of SCOPES) {
      progress(`budget, ${name} …`);
      const store = await openSqliteStore({
        path: join(folder, `store-${scopes}.sqlite`),
        sequencer: createSequencer({ gateway: { id: 'bench' } }),
        random: { bytes: (count) => randomBytes(count) },
      });
      const bare = bareCounter(join(folder, `bare-${scopes}.sqlite`), scopes);
      try {
        const [figures] = await compareAll([reserving(store, scopes)], bare.operation, SIZE);
        if (figures === undefined) throw new Error('a comparison of one subject gave none');
        rows.push({
          bench: 'budget',
          subject: `reserve and settle on the SQLite store, ${name}`,
          peer: 'two conditional UPDATEs through node:sqlite, each a durable transaction',
          ...figures,
        });
      } finally {
        await store.close();
        bare.close();
      }
    }
    return rows;
  } finally {
    await rm(folder, { recursive: true, force: true });
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
function bareCounter(
  path: string,
  scopes: number,
): { readonly operation: Operation; readonly close: () => void } {
  const database = new DatabaseSync(path);
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
