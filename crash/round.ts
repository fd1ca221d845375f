/** One round: a load, a fault in the midst of it, then all is quiet, and everything is looked at. */
import { setTimeout as pause } from 'node:timers/promises';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { folderReader } from '../src/ledger/folder.ts';
import { verifyLedger } from '../src/ledger/verify.ts';
import type { BudgetView } from '../src/client/index.ts';
import { audit, type Wrong } from './audit/audit.ts';
import { readEffects } from './audit/effects.ts';
import { publishedSize, readPublished, type PublishedState } from './audit/log.ts';
import { ask } from './database.ts';
import type { FaultName, Scene } from './faults/fault.ts';
import { FAULTS } from './faults/index.ts';
import type { Installation } from './installation.ts';
import { Journal } from './journal.ts';
import { startLoad } from './load.ts';
import { Lot } from './lot.ts';
import { chooseWrites, counterId, COUNTERS } from './writes.ts';

export interface Round {
  /** From 0 within its installation. */
  readonly number: number;
  readonly fault: FaultName;
  /** How often it strikes while the load goes on. */
  readonly strikes: number;
  readonly seed: number;
}

export interface RoundReport {
  readonly round: Round;
  /** How often its fault struck. */
  readonly strikes: number;
  readonly kills: number;
  readonly proposals: number;
  readonly effects: number;
  /** Calls of clients that came to nothing and were made again. */
  readonly again: number;
  /** How its proposals ended: `applied allowed` and so on, counted. */
  readonly ends: Readonly<Record<string, number>>;
  readonly wrongs: readonly Wrong[];
}

const CLIENTS = 8;
/** A client's writes, beside one for each two strikes. */
const WRITES_EACH = 2;
/** How long what a fault left open may stay open: a lease, a few ticks, and a machine that is slow. */
const OPEN_MS = 90_000;
const LOOK_MS = 40;
/** A moment comes after some of this part of all answers, and then so many milliseconds. */
const MOMENT_PART = 0.8;
const MOMENT_MS = 25;

/** Plays a round on an installation of which everything was right before. */
export async function playRound(installation: Installation, round: Round): Promise<RoundReport> {
  const lot = new Lot(round.seed);
  const { lane } = installation;
  await makeCounters(lane.database('shop'), round.number);
  const writes = chooseWrites(lot.fork('writes'), {
    round: round.number,
    clients: CLIENTS,
    each: WRITES_EACH + Math.ceil(round.strikes / 2),
  });
  const journal = new Journal(writes.flat());
  let kills = 0;
  let { strikes } = round;
  const found: Wrong[] = [];
  const load = startLoad(installation.doors, writes, journal);
  const struck = strike(round, {
    lot: lot.fork('fault'),
    lane,
    installation,
    over: load.over,
    trouble: () => journal.trouble(),
    moment: momentsOf(lot.fork('moment'), round, journal),
    killed: () => {
      kills += 1;
    },
    missed: () => {
      strikes -= 1;
    },
    found: (wrong) => {
      found.push(wrong);
    },
  });
  await Promise.all([struck, load.over]);
  const { log, budgets } = await quiet(installation);
  const effects = await readEffects(lane);
  const wrongs = [
    ...found,
    ...audit({ journal, log, effects, budgets }),
    ...(await ledgerWrongs(installation)),
  ];
  const own = [...log.proposals.values()].filter(({ run }) => run === `round-${round.number}`);
  const marks = [...new Set(own.map(({ mark }) => mark ?? ''))];
  const standing = (counts: ReadonlyMap<string, number>): number =>
    marks.reduce((sum, mark) => sum + (counts.get(mark) ?? 0), 0);
  const ends = Object.groupBy(own, ({ state, code }) => `${state} ${code}`);
  return {
    round,
    strikes,
    kills,
    proposals: own.length,
    effects: standing(effects.shop) + standing(effects.books),
    again: journal.again,
    ends: Object.fromEntries(Object.entries(ends).map(([end, of]) => [end, of?.length ?? 0])),
    wrongs,
  };
}

async function strike({ fault, strikes }: Round, scene: Scene): Promise<void> {
  for (let each = 0; each < strikes; each += 1) await FAULTS[fault].strike(scene);
}

/** The moments of a round's load, from the first to the last. */
function momentsOf(lot: Lot, { strikes }: Round, journal: Journal): () => Promise<void> {
  const answers = Math.floor(journal.lines.size * MOMENT_PART);
  const moments = Array.from({ length: strikes }, () => lot.below(answers)).toSorted(
    (one, other) => one - other,
  );
  return async () => {
    await journal.reached(moments.shift() ?? 0);
    await pause(lot.below(MOMENT_MS));
  };
}

async function makeCounters(url: string, round: number): Promise<void> {
  const rows = Array.from({ length: COUNTERS }, (_, each) => `(${counterId(round, each)}, 0, '')`);
  await ask(url, `INSERT INTO counters (id, value, marks) VALUES ${rows.join(', ')}`);
}

interface Quiet {
  readonly log: PublishedState;
  readonly budgets: readonly BudgetView[];
}

/** Waits until everything has ended or waits for people, and all of it is published. */
async function quiet(installation: Installation): Promise<Quiet> {
  const [door] = installation.doors;
  if (door === undefined) throw new Error('there is no gateway to ask');
  const client = door.client('olga');
  const deadline = performance.now() + OPEN_MS;
  const isLate = (): boolean => performance.now() > deadline;
  for (;;) {
    const open = await client.list({ state: OPEN, limit: 1 });
    if (open.items.length > 0 && !isLate()) {
      await pause(LOOK_MS);
      continue;
    }
    const { ledger } = await client.gatewayStatus();
    for (const folder of installation.logs) {
      while ((await publishedSize(folder)) < ledger.size && !isLate()) await pause(LOOK_MS);
    }
    const log = await readPublished(installation.logs[0] ?? '');
    const budgets = (await client.budgets()).items;
    const after = await client.gatewayStatus();
    // What came in between would make the two differ.
    if (after.ledger.size === log.size || isLate()) return { log, budgets };
  }
}

const OPEN = ['proposed', 'assessed', 'allowed', 'executing', 'stale', 'in_doubt'] as const;

/** Each gateway's copy of the published log is whole, and they are one log. */
async function ledgerWrongs({ logs }: Installation): Promise<readonly Wrong[]> {
  const wrongs: Wrong[] = [];
  const roots = new Set<string>();
  for (const [index, log] of logs.entries()) {
    const vkey = await readFile(join(log, 'vkey'), 'utf8');
    const report = await verifyLedger({ reader: folderReader(log), vkey });
    roots.add(`${report.size} ${report.root}`);
    for (const { code, index: entry, message } of report.findings) {
      const about = `gateway ${index + 1}: ${code} at entry ${entry}: ${message}`;
      wrongs.push({ kind: 'ledger', about });
    }
  }
  if (roots.size > 1) wrongs.push({ kind: 'ledger', about: `logs of ${[...roots].join(', ')}` });
  return wrongs;
}
