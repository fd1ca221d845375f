import { mkdtemp, rm } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import type { Gateway } from '../crash/gateway.ts';
import { createClient, type Client } from '../src/client/index.ts';
import { startPostgres, type Postgres } from '../support/postgres.ts';
import { cpuMsOf, cpuMsOfFamily, parentOf } from './cpu.ts';
import { copyKeys, dataAt, draftOf, gatewayAt, makeTarget, operatorOf } from './installation.ts';
import { quantile, rounded } from './measure.ts';
import type { Cells } from './table.ts';

const GATEWAYS_MAX = 3;
const CLIENTS = 48;
const CREDENTIALS = 4;
/** Each number of gateways is measured once in each pass; every other pass goes down again. */
const PASSES = 6;
const WARM_MS = 700;
const MEASURED_MS = 3_000;
/** One line of `npm run bench -- scale --json`. */
export interface ScaleRow {
  readonly bench: 'scale';
  readonly gateways: number;
  readonly clients: number;
  /** Writes that were timed. */
  readonly n: number;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Throughput ÷ that of one gateway in the same pass, the median of the passes. */
  readonly ratio: number;
  readonly ratioRange: readonly [number, number];
  /** Of one write, by who spends it; NaN where the system does not tell. */
  readonly cpuMs: Spent;
  readonly cores: number;
  /** How many writes a second all cores could pay for, were they never idle. */
  readonly coresAllow: number;
}

interface Spent {
  readonly gateways: number;
  readonly database: number;
  readonly clients: number;
}

interface Measured {
  readonly latenciesMs: readonly number[];
  readonly perSecond: number;
  readonly cpuMs: Spent;
}

/**
 * Writes per second through one, two and three gateways, each a process of its own, over one store in
 * PostgreSQL: single-row UPDATEs, auto-approved, over HTTP, by clients that share the machine with
 * gateways, store and target. Store and target are databases of one server.
 */
export async function scale(progress: (line: string) => void): Promise<ScaleRow[]> {
  const folder = await mkdtemp(join(tmpdir(), 'writegate-bench-'));
  const postgres = await startPostgres({ settings: { max_connections: '200' } });
  const gateways: Gateway[] = [];
  try {
    await makeTarget(postgres);
    await postgres.createDatabase('store');
    const place = { postgres, folder, store: 'store' };
    const first = await gatewayAt(place, 'data-1', 1);
    gateways.push(first);
    await first.start();
    const tokens = await issue(first, folder);
    for (let number = 2; number <= GATEWAYS_MAX; number += 1) {
      await copyKeys(folder, 'data-1', `data-${number}`);
      gateways.push(await gatewayAt(place, `data-${number}`, number));
    }
    const server = await postmasterOf(postgres);
    const passes: Measured[][] = [];
    for (let pass = 0; pass < PASSES; pass += 1) {
      progress(`scale, pass ${pass + 1} of ${PASSES} …`);
      passes.push(await measurePass(gateways, { tokens, server, isUp: pass % 2 === 0 }));
    }
    return gateways.map((_gateway, at) => rowOf(passes, at));
  } finally {
    for (const each of gateways) await each.kill();
    await postgres.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

export function scaleSentence(row: ScaleRow): string {
  const { gateways, clients, database } = row.cpuMs;
  return [
    `scale, ${row.gateways} of them, ${row.clients} clients: ${row.perSecond}/s`,
    `(${row.ratio} × one [${row.ratioRange.join(' to ')}]), p50 ${row.p50Ms} ms, p99 ${row.p99Ms} ms,`,
    `CPU of a write ${gateways} ms in gateways, ${database} ms in PostgreSQL, ${clients} ms in clients:`,
    `${row.cores} cores could pay for ${row.coresAllow}/s, ${row.n} writes`,
  ].join(' ');
}

export function scaleCells(row: ScaleRow): Cells {
  return {
    gateways: row.gateways,
    'writes/s': row.perSecond,
    'of one': row.ratio,
    'p50, ms': row.p50Ms,
    'p99, ms': row.p99Ms,
    'CPU of a write, ms: gateways': row.cpuMs.gateways,
    PostgreSQL: row.cpuMs.database,
    clients: row.cpuMs.clients,
    [`${row.cores} cores could pay for`]: `${row.coresAllow}/s`,
  };
}

async function issue(gateway: Gateway, folder: string): Promise<readonly string[]> {
  const operator = await operatorOf(gateway, dataAt(folder, 'data-1'));
  const tokens: string[] = [];
  for (let count = 0; count < CREDENTIALS; count += 1) {
    const { secret } = await operator.issueCredential({ kind: 'agent', name: 'bench-agent' });
    tokens.push(secret);
  }
  return tokens;
}

/** Measures with one gateway after the other started, or, on the way down, stopped. */
async function measurePass(
  gateways: readonly Gateway[],
  setting: {
    readonly tokens: readonly string[];
    readonly server: number | undefined;
    readonly isUp: boolean;
  },
): Promise<Measured[]> {
  const pass: Measured[] = [];
  const counts = gateways.map((_gateway, at) => at + 1);
  for (const count of setting.isUp ? counts : counts.toReversed()) {
    for (const [at, gateway] of gateways.entries()) {
      if (at < count && !gateway.isRunning) await gateway.start();
      if (at >= count && gateway.isRunning) await gateway.stop();
    }
    pass[count - 1] = await measure(gateways.slice(0, count), setting);
  }
  return pass;
}

let turns = 0;

async function measure(
  gateways: readonly Gateway[],
  { tokens, server }: { readonly tokens: readonly string[]; readonly server: number | undefined },
): Promise<Measured> {
  const latenciesMs: number[] = [];
  let from = Number.POSITIVE_INFINITY;
  const over = new AbortController();
  const loops = Array.from({ length: CLIENTS }, async (_, at) => {
    const gateway = gateways[at % gateways.length];
    const token = tokens[at % tokens.length];
    if (gateway === undefined || token === undefined) throw new Error('there is one of each');
    const client = createClient({ url: gateway.url, token });
    while (!over.signal.aborted) {
      const start = performance.now();
      await write(client);
      if (start >= from && !over.signal.aborted) latenciesMs.push(performance.now() - start);
    }
  });
  const spent = (): Spent => ({
    gateways: gateways.reduce((sum, { pid }) => sum + cpuMsOf(pid), 0),
    database: cpuMsOfFamily(server),
    clients: cpuMsOf(process.pid),
  });
  await pause(WARM_MS);
  from = performance.now();
  const before = spent();
  await pause(MEASURED_MS);
  const after = spent();
  const ms = performance.now() - from;
  over.abort();
  const { length: writes } = latenciesMs;
  await Promise.all(loops);
  const each = (who: keyof Spent): number => (after[who] - before[who]) / writes;
  return {
    latenciesMs,
    perSecond: (writes * 1_000) / ms,
    cpuMs: { gateways: each('gateways'), database: each('database'), clients: each('clients') },
  };
}

async function write(client: Client): Promise<void> {
  turns += 1;
  const result = await client.propose(draftOf(turns));
  if (result.state !== 'applied') throw new Error(`${result.code}: ${result.reason}`);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

async function postmasterOf(postgres: Postgres): Promise<number | undefined> {
  const client = new pg.Client(postgres.url());
  await client.connect();
  const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  const parent = parentOf(rows[0]?.pid);
  await client.end();
  return parent;
}

function rowOf(passes: readonly (readonly Measured[])[], at: number): ScaleRow {
  const own = passes.flatMap((pass) => pass.slice(at, at + 1));
  const ones = passes.flatMap((pass) => pass.slice(0, 1));
  const ratios = own.map(
    ({ perSecond }, pass) => perSecond / (ones[pass]?.perSecond ?? Number.NaN),
  );
  const latencies = own.flatMap(({ latenciesMs }) => latenciesMs);
  const median = (of: (each: Measured) => number): number => rounded(quantile(own.map(of), 0.5));
  const cpuMs = {
    gateways: median((each) => each.cpuMs.gateways),
    database: median((each) => each.cpuMs.database),
    clients: median((each) => each.cpuMs.clients),
  };
  const cores = cpus().length;
  return {
    bench: 'scale',
    gateways: at + 1,
    clients: CLIENTS,
    n: latencies.length,
    perSecond: Math.round(median(({ perSecond }) => perSecond)),
    p50Ms: rounded(quantile(latencies, 0.5)),
    p99Ms: rounded(quantile(latencies, 0.99)),
    ratio: rounded(quantile(ratios, 0.5)),
    ratioRange: [rounded(Math.min(...ratios)), rounded(Math.max(...ratios))],
    cpuMs,
    cores,
    coresAllow: Math.round((cores * 1_000) / (cpuMs.gateways + cpuMs.database + cpuMs.clients)),
  };
}
