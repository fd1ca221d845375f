import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { newProposalId, type ProposalId } from '../src/model/ids.ts';
import type { Change, Store } from '../src/model/ports.ts';
import {
  beginChange,
  claimOf,
  digestOf,
  goOn,
  lineOf,
  NOW,
  outcomeEntry,
} from '../src/store/conformance/fixtures.ts';
import { startPostgres } from '../support/postgres.ts';
import {
  batching,
  difference,
  replayed,
  type Replay,
  type RowWrites,
  type Tables,
  type Value,
} from './direct.ts';
import { compareEach, type BenchRow, type Operation, type Size } from './measure.ts';
import { countedRandom, postgresOn, sqliteIn, type Direct, type StoreKind } from './stores.ts';

const SIZES: readonly Size[] = [
  { clients: 1, rounds: 5, perRound: 150 },
  { clients: 16, rounds: 5, perRound: 800 },
  { clients: 64, rounds: 5, perRound: 960 },
];
const SCOPES = 32;
/** How many commits share a transaction where they are batched, as in the PostgreSQL store. */
const BATCH_MAX = 256;
/** How many entries a pair has: four and the outcome. */
const PAIR_ENTRIES = 5;
const HOLDER = 'bench/1';

/**
 * Pairs of intent and outcome per second, each of two durable commits: the whole first commit of an
 * allowed proposal (four entries; stop, key, budget and lease guarded) and the one that settles it. Beside
 * them the rows that they write, through the driver alone: a transaction for each commit, and what
 * waits together.
 */
export async function store(progress: (line: string) => void): Promise<BenchRow[]> {
  const folder = await mkdtemp(join(tmpdir(), 'writegate-bench-'));
  const postgres = await startPostgres();
  try {
    const rows: BenchRow[] = [];
    for (const kind of [sqliteIn(folder), postgresOn(postgres)]) {
      rows.push(...(await measured(kind, progress)));
    }
    return rows;
  } finally {
    await postgres.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

async function measured(kind: StoreKind, progress: (line: string) => void): Promise<BenchRow[]> {
  const pair = await recorded(kind);
  const single = await emptied(kind, 'single');
  const batched = await emptied(kind, 'batched');
  const own = await kind.open('own');
  const inBatches = batching((commits: readonly RowWrites[]) => batched.write(commits), BATCH_MAX);
  const peers = [
    { name: 'a transaction for each', run: direct(pair, (commit) => single.write([commit])) },
    { name: 'in batches', run: direct(pair, inBatches) },
  ];
  // Sizes share the tables, and so no two of them may have a turn in common.
  let turns = 0;
  const counted =
    (operation: Operation): Operation =>
    () => {
      turns += 1;
      return operation(turns);
    };
  const pairs = counted(writing(own));
  const peerRuns = peers.map(({ run }) => counted(run));
  try {
    const rows: BenchRow[] = [];
    for (const size of SIZES) {
      progress(`store, ${kind.name}, ${size.clients} clients …`);
      const [figures] = await compareEach([pairs], peerRuns, size);
      for (const [at, measuredRow] of (figures ?? []).entries()) {
        rows.push({
          bench: 'store',
          subject: `intent and outcome on the ${kind.name} store`,
          peer: `their rows through \`${kind.driver}\`, ${peers[at]?.name ?? ''}`,
          ...measuredRow,
        });
      }
    }
    return rows;
  } finally {
    await Promise.all([own.close(), single.close(), batched.close()]);
  }
}

function writing(own: Store): Operation {
  return async (turn) => {
    const id = newProposalId(NOW + turn, countedBytes(turn));
    const begun = await own.commit(intentOf(id, turn));
    if (begun.kind !== 'committed') throw new Error(`a ${begun.conflict.kind} conflict`);
    const settled = await own.commit(outcomeOf(id, begun.lease ?? 0));
    if (settled.kind !== 'committed') throw new Error(`a ${settled.conflict.kind} conflict`);
  };
}

function countedBytes(turn: number): Uint8Array {
  const bytes = new Uint8Array(10);
  new DataView(bytes.buffer).setUint32(0, turn);
  return bytes;
}

function intentOf(id: ProposalId, turn: number): Change {
  const derivedKey = digestOf(String(turn));
  return beginChange(id, 'executing', {
    derivedKey,
    guard: {
      notFrozen: { agent: 'ledger-bot', target: 'billing', run: null },
      keys: claimOf(id, { keys: [derivedKey] }),
      lease: { proposalId: id, holder: HOLDER, epoch: null, forMs: 60_000 },
    },
    reserve: {
      proposalId: id,
      lines: [lineOf({ scope: scopeOf(turn), max: Number.MAX_SAFE_INTEGER })],
    },
  });
}

function outcomeOf(id: ProposalId, epoch: number): Change {
  return goOn(id, PAIR_ENTRIES - 1, [outcomeEntry('applied')], {
    settle: id,
    guard: { lease: { proposalId: id, holder: HOLDER, epoch, forMs: 60_000 } },
  });
}

function scopeOf(turn: number): string {
  return `agent=bot-${turn % SCOPES}`;
}

// ---- the peer

export interface Pair {
  readonly id: ProposalId;
  readonly intent: RowWrites;
  readonly outcome: RowWrites;
  /** What the tables hold after both. */
  readonly after: Tables;
}

/** What the store writes for a pair: the difference of one with the intent alone and one that went on. */
export async function recorded(kind: StoreKind): Promise<Pair> {
  const id = newProposalId(NOW, countedBytes(0));
  const states = [];
  for (const [name, isSettled] of [
    ['intent', false],
    ['outcome', true],
  ] as const) {
    const opened = await kind.open(name, countedRandom());
    const begun = await opened.commit(intentOf(id, 0));
    if (begun.kind !== 'committed') throw new Error(`a ${begun.conflict.kind} conflict`);
    if (isSettled) await opened.commit(outcomeOf(id, begun.lease ?? 0));
    await opened.close();
    const tables = await kind.direct(name);
    states.push(await tables.tables());
    await tables.close();
  }
  const [intent = new Map(), outcome = new Map()] = states;
  return {
    id,
    intent: difference(new Map(), intent),
    outcome: difference(intent, outcome),
    after: outcome,
  };
}

export async function emptied(kind: StoreKind, name: string): Promise<Direct> {
  await (await kind.open(name)).close();
  const tables = await kind.direct(name);
  await tables.clear();
  return tables;
}

function direct(
  { id, intent, outcome }: Pair,
  write: (commit: RowWrites) => Promise<void>,
): Operation {
  return async (turn) => {
    const replay: Replay = {
      names: new Map<Value, string>([
        [id, newProposalId(NOW + turn, countedBytes(turn))],
        [digestOf('0'), digestOf(String(turn))],
        [scopeOf(0), scopeOf(turn)],
      ]),
      shift: turn * PAIR_ENTRIES,
    };
    await write(replayed(intent, replay));
    await write(replayed(outcome, replay));
  };
}
