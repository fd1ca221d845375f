import { cp, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Gateway } from '../crash/gateway.ts';
import { createClient, type Client, type Result } from '../src/client/index.ts';
import { createSequencer } from '../src/ledger/sequencer.ts';
import { tenantId, type ProposalId } from '../src/model/ids.ts';
import { moveToPostgres } from '../src/store/move.ts';
import { startPostgres } from '../support/postgres.ts';
import { cpuMsOf, residentMbOf } from './cpu.ts';
import { fill } from './fill.ts';
import {
  copyKeys,
  dataAt,
  draftOf,
  gatewayAt,
  makeTarget,
  operatorOf,
  TENANT,
  type Place,
} from './installation.ts';
import { quantile, rounded } from './measure.ts';
import { RANDOM, storeFile } from './stores.ts';
import type { Cells } from './table.ts';
import { verified } from './verified.ts';

/** `WRITEGATE_BENCH_SIZE=0.1` fills a tenth: for a look, not for figures. */
const SHARE = Number(process.env['WRITEGATE_BENCH_SIZE'] ?? '1');
const SIZES = {
  small: { waiting: 0, entries: 10_000 * SHARE },
  large: { waiting: 100_000 * SHARE, entries: 1_000_000 * SHARE },
} as const;
type SizeName = keyof typeof SIZES;
const NAMES: readonly SizeName[] = ['small', 'large'];
const TIMES = 60;
const STARTS = 3;
const IDLE_MS = 4_000;
const PAGE = 50;
/** Where rows begin: the clerk's apart from the agent's, and those on one store from the other. */
const CLERKS_ROWS = 10_000;
const STORES_ROWS = 20_000;

/** One line of `npm run bench -- size --json`. */
export interface SizeRow {
  readonly bench: 'size';
  readonly store: 'SQLite' | 'PostgreSQL' | 'the published log';
  readonly what: string;
  readonly small: number;
  readonly large: number;
  /** Large ÷ small. */
  readonly ratio: number;
}

/** What is asked of both, and how it is counted. */
type Figures = ReadonlyMap<string, number>;

/**
 * What a full store costs: 100,000 proposals that wait and a ledger of a million entries beside an empty
 * inbox and ten thousand. The same calls to a gateway on each, in turn.
 */
export async function size(progress: (line: string) => void): Promise<SizeRow[]> {
  const folder = await mkdtemp(join(tmpdir(), 'writegate-bench-'));
  const postgres = await startPostgres();
  try {
    await makeTarget(postgres);
    const place = { postgres, folder };
    const filled = new Map<SizeName, Filled>();
    for (const name of NAMES) filled.set(name, await fillOne(place, name, progress));
    const rows = await beside('SQLite', place, filled, progress);
    for (const name of NAMES) await moveOne(place, name, progress);
    rows.push(...(await beside('PostgreSQL', place, filled, progress)));
    rows.push(...(await verifyBoth(folder, progress)));
    return rows;
  } finally {
    await postgres.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

export function sizeSentence({ store, what, small, large, ratio }: SizeRow): string {
  return `size, ${store}: ${what} ${small} small, ${large} large (${ratio} ×)`;
}

export function sizeCells({ store, what, small, large, ratio }: SizeRow): Cells {
  return { of: store, what, small, large, ratio };
}

// ---- filling

/** Somebody who may call, and a proposal in the middle of all. */
interface Filled {
  readonly agent: string;
  readonly clerk: string;
  readonly ann: string;
  readonly middle: ProposalId;
}

async function fillOne(
  place: Place,
  name: SizeName,
  progress: (line: string) => void,
): Promise<Filled> {
  const data = dataAt(place.folder, name);
  const gateway = await gatewayAt(place, name);
  await gateway.start();
  const operator = await operatorOf(gateway, data);
  const [agent, clerk, ann] = await Promise.all([
    operator.issueCredential({ kind: 'agent', name: 'bench-agent' }),
    operator.issueCredential({ kind: 'agent', name: 'bench-clerk' }),
    operator.issueCredential({ kind: 'person', name: 'ann' }),
  ]);
  await gateway.stop();
  const tenant = tenantId(TENANT);
  if (tenant === undefined) throw new Error('it is a tenant');
  const store = await storeFile(join(data, 'store.sqlite'));
  const from = performance.now();
  const filling = { tenant, target: 'bench', now: Date.now(), ...SIZES[name] };
  const middle = await fill(store, filling, (done) => {
    if (done % 25_600 === 0) progress(`size, ${name}: ${done} proposals …`);
  });
  await store.close();
  progress(`size, ${name}: filled in ${seconds(from)} s`);
  const published = performance.now();
  await gateway.start();
  progress(`size, ${name}: started, and published all of it, in ${seconds(published)} s`);
  await gateway.stop();
  return { agent: agent.secret, clerk: clerk.secret, ann: ann.secret, middle };
}

async function moveOne(
  { folder, postgres }: Place,
  name: SizeName,
  progress: (line: string) => void,
): Promise<void> {
  const from = performance.now();
  await postgres.createDatabase(name);
  const sequencer = createSequencer({ gateway: { id: 'bench' } });
  await moveToPostgres({
    from: join(dataAt(folder, name), 'store.sqlite'),
    to: { url: postgres.url(name), sequencer, random: RANDOM },
  });
  await copyKeys(folder, name, `${name}-postgres`);
  const ledger = (data: string): string => join(dataAt(folder, data), 'ledger');
  await cp(ledger(name), ledger(`${name}-postgres`), { recursive: true });
  progress(`size, ${name}: moved to PostgreSQL in ${seconds(from)} s`);
}

function seconds(from: number): number {
  return Math.round((performance.now() - from) / 1_000);
}

// ---- measuring

type StoreName = 'SQLite' | 'PostgreSQL';

async function beside(
  store: StoreName,
  place: Place,
  filled: ReadonlyMap<SizeName, Filled>,
  progress: (line: string) => void,
): Promise<SizeRow[]> {
  const stands: Stand[] = [];
  try {
    for (const name of NAMES) {
      const isOwn = store === 'SQLite';
      const data = isOwn ? name : `${name}-postgres`;
      const gateway = await gatewayAt(isOwn ? place : { ...place, store: name }, data);
      const callers = filled.get(name);
      if (callers === undefined) throw new Error(`\`${name}\` was filled`);
      const firstRow = isOwn ? 0 : STORES_ROWS;
      stands.push({ gateway, callers, firstRow, data: dataAt(place.folder, data) });
    }
    progress(`size, ${store}: starting …`);
    const starts = await startAll(stands);
    progress(`size, ${store}: calling …`);
    const calls = await callAll(stands);
    progress(`size, ${store}: idle …`);
    const idle = await idleAll(stands);
    const [small, large] = NAMES.map((_name, at) =>
      merged([starts[at], calls[at], idle[at]].filter((each) => each !== undefined)),
    );
    return rowsOf(store, small, large);
  } finally {
    for (const { gateway } of stands) await gateway.kill();
  }
}

interface Stand {
  readonly gateway: Gateway;
  readonly callers: Filled;
  readonly data: string;
  /** What was moved knows the writes of before. */
  readonly firstRow: number;
}

/** From the start of the process to where it answers; what the first start has to do comes before. */
async function startAll(stands: readonly Stand[]): Promise<readonly Figures[]> {
  const took = stands.map((): number[] => []);
  for (let round = -1; round < STARTS; round += 1) {
    for (const [at, { gateway }] of stands.entries()) {
      await gateway.stop();
      const from = performance.now();
      await gateway.start();
      if (round >= 0) took[at]?.push(performance.now() - from);
    }
  }
  return took.map((each) => new Map([['start, ms', quantile(each, 0.5)]]));
}

type Call = readonly [what: string, call: (turn: number) => Promise<unknown>];

async function callAll(stands: readonly Stand[]): Promise<readonly Figures[]> {
  const calls = await Promise.all(stands.map(callsOf));
  const took = stands.map(() => new Map<string, number[]>());
  for (let turn = -5; turn < TIMES; turn += 1) {
    for (const [at, own] of calls.entries()) {
      for (const [what, call] of own) {
        const from = performance.now();
        await call(turn + 5);
        if (turn < 0) continue;
        const times = took[at]?.get(what) ?? [];
        times.push(performance.now() - from);
        took[at]?.set(what, times);
      }
    }
  }
  return took.map((own) => {
    const figures = new Map<string, number>();
    for (const [what, times] of own) {
      figures.set(`${what}, p50 ms`, quantile(times, 0.5));
      figures.set(`${what}, p90 ms`, quantile(times, 0.9));
    }
    return figures;
  });
}

/** In the order in which they are made. */
async function callsOf({ gateway, callers, data, firstRow }: Stand): Promise<readonly Call[]> {
  const { url } = gateway;
  const client = (token: string): Client => createClient({ url, token });
  const [agent, clerk, ann] = [client(callers.agent), client(callers.clerk), client(callers.ann)];
  const operator = await operatorOf(gateway, data);
  let waiting: Result | undefined;
  return [
    [
      'propose, applied',
      async (turn) => demand(await agent.propose(draftOf(firstRow + turn)), 'applied'),
    ],
    [
      'propose, waits',
      async (turn) => {
        waiting = demand(await clerk.propose(draftOf(firstRow + CLERKS_ROWS + turn)), 'waiting');
      },
    ],
    [
      'approve, applied',
      async () => {
        const [id, planDigest] = [waiting?.proposalId ?? '', waiting?.planDigest ?? ''];
        demand(await ann.approve(id, { verdict: 'approve', planDigest }), 'applied');
      },
    ],
    ['list what waits', () => ann.list({ state: ['waiting'], limit: PAGE })],
    ['list a page in the middle', () => ann.list({ limit: PAGE, before: callers.middle })],
    ['view one', () => ann.view(callers.middle)],
    ['status', () => operator.gatewayStatus()],
    [
      'metrics',
      async () => metrics(url, (await readFile(join(data, 'operator.token'), 'utf8')).trim()),
    ],
  ];
}

function demand(answer: Result, state: Result['state']): Result {
  if (answer.state === state) return answer;
  throw new Error(`expected ${state}, found ${answer.code}: ${answer.reason}`);
}

async function metrics(url: string, token: string): Promise<void> {
  const answer = await fetch(new URL('/metrics', url), {
    headers: { authorization: `Bearer ${token}` },
  });
  if (!answer.ok) throw new Error(`metrics: ${answer.status}`);
  await answer.text();
}

/** What a gateway costs that nobody calls: expiry, reconciliation, publication. */
async function idleAll(stands: readonly Stand[]): Promise<readonly Figures[]> {
  const cpu = (): readonly number[] => stands.map(({ gateway }) => cpuMsOf(gateway.pid));
  const before = cpu();
  await pause(IDLE_MS);
  const after = cpu();
  return stands.map(({ gateway }, at) => {
    const ms = (after[at] ?? Number.NaN) - (before[at] ?? Number.NaN);
    return new Map([
      ['CPU while idle, ms/s', (ms * 1_000) / IDLE_MS],
      ['resident after that, MB', residentMbOf(gateway.pid)],
    ]);
  });
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

async function verifyBoth(
  folder: string,
  progress: (line: string) => void,
): Promise<readonly SizeRow[]> {
  const figures: Figures[] = [];
  for (const name of NAMES) {
    progress(`size, ${name}: verifying …`);
    const { ms, peakMb, entries } = await verified(join(dataAt(folder, name), 'ledger'));
    figures.push(
      new Map([
        ['verify, ms for 1,000 entries', (ms * 1_000) / entries],
        ['verify, peak resident MB', peakMb],
      ]),
    );
  }
  return rowsOf('the published log', figures[0], figures[1]);
}

function merged(figures: readonly Figures[]): Figures {
  return new Map(figures.flatMap((each) => [...each]));
}

function rowsOf(
  store: SizeRow['store'],
  small: Figures | undefined,
  large: Figures | undefined,
): SizeRow[] {
  return [...(small ?? [])].map(([what, one]) => {
    const other = large?.get(what) ?? Number.NaN;
    const ratio = rounded(other / one);
    return { bench: 'size', store, what, small: rounded(one), large: rounded(other), ratio };
  });
}
