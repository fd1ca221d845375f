/** Killing a gateway at a named step, and what must hold after a restart on what it left. */
import assert from 'node:assert/strict';
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { Client } from 'pg';
import { isTerminal, STATES } from '../../src/model/lifecycle.ts';
import { startPostgres, type Postgres } from '../../support/postgres.ts';
import type { ChildOrder } from './crash-child.ts';
import { openCrashGate, type Order, type Scenario } from './crash-gate.ts';

const CHILD = fileURLToPath(new URL('crash-child.ts', import.meta.url));
/** Children that load their code while others are at work. */
const AHEAD = 2;

/** Every step at which a gateway is killed. */
export const STEPS: Readonly<Record<Scenario, readonly string[]>> = {
  autonomous: [
    'before plan 1',
    'after plan 1',
    'before commit 1',
    'after commit 1',
    'before apply 1',
    'after apply 1',
    'before commit 2',
    'after commit 2',
  ],
  held: [
    'before hold 1',
    'after hold 1',
    'before commit 1',
    'after commit 1',
    'before keep 1',
    'after keep 1',
    'before commit 2',
    'after commit 2',
  ],
  approved: [
    'after commit 1',
    'before commit 2',
    'after commit 2',
    'after apply 1',
    'after commit 3',
  ],
  rollback: ['after plan 2', 'after commit 3', 'after apply 2', 'after commit 4'],
  // Commit 1 has the first intent, 2 that of the second step, 3 the outcome.
  chain: [
    'after plan 2',
    'after commit 1',
    'before apply 1',
    'after apply 1',
    'before commit 2',
    'after commit 2',
    'before apply 2',
    'after apply 2',
    'before commit 3',
    'after commit 3',
  ],
  // As before up to the second step, which refuses; commit 3 says that the first is taken back.
  back: [
    'after apply 1',
    'after commit 2',
    'after apply 2',
    'before commit 3',
    'after commit 3',
    'after plan 3',
    'before apply 3',
    'after apply 3',
    'before commit 4',
    'after commit 4',
  ],
};

export const SCENARIOS = [
  'autonomous',
  'held',
  'approved',
  'rollback',
  'chain',
  'back',
] as const satisfies readonly Scenario[];

/** The steps after which most is left open: between what is durable here and what is there. */
export const CHOSEN: Readonly<Record<Scenario, readonly string[]>> = {
  autonomous: ['after commit 1', 'after apply 1'],
  held: ['after hold 1', 'after commit 1', 'after keep 1'],
  approved: ['after commit 2', 'after apply 1'],
  rollback: ['after apply 2'],
  chain: ['after apply 1', 'before apply 2', 'after apply 2'],
  back: ['after apply 2', 'after commit 3', 'after apply 3'],
};

type Child = ChildProcessByStdio<Writable, Readable, Readable>;

/** Where gateways are killed: one database server, and a store and a row for each case. */
export class CrashGround {
  readonly postgres: Postgres;
  readonly #folder: string;
  readonly #ahead: Child[] = [];
  #rows = 0;

  static async open(): Promise<CrashGround> {
    const postgres = await startPostgres();
    const ground = new CrashGround(postgres, await mkdtemp(join(tmpdir(), 'writegate-crash-')));
    await postgres.createDatabase('shop');
    await postgres.createDatabase('books');
    await ground.query(
      'shop',
      'CREATE TABLE counters (id integer PRIMARY KEY, value integer NOT NULL)',
    );
    await ground.query('books', 'CREATE TABLE postings (id integer PRIMARY KEY)');
    return ground;
  }

  private constructor(postgres: Postgres, folder: string) {
    this.postgres = postgres;
    this.#folder = folder;
  }

  /** A row with 0 in it, and a store of its own. */
  async order(scenario: Scenario): Promise<Order> {
    this.#rows += 1;
    const row = this.#rows;
    await this.query('shop', `INSERT INTO counters VALUES (${row}, 0)`);
    return {
      storePath: join(this.#folder, `store-${row}.sqlite`),
      databaseUrl: this.postgres.url('shop'),
      booksUrl: this.postgres.url('books'),
      scenario,
      row,
    };
  }

  /** Gives an order to a child that is loaded, and has the next ones load. */
  start(order: ChildOrder): Child {
    while (this.#ahead.length <= AHEAD) this.#ahead.push(this.#load());
    const child = this.#ahead.shift();
    assert.ok(child !== undefined);
    child.stdin.end(`${JSON.stringify(order)}\n`);
    return child;
  }

  /** Waits for a child's end, and answers the state that its write ended in; null where it was killed. */
  async endOf(child: Child): Promise<string | null> {
    const lines: string[] = [];
    let complaint = '';
    createInterface({ input: child.stdout }).on('line', (line) => lines.push(line));
    child.stderr.on('data', (bytes) => (complaint += String(bytes)));
    await once(child, 'close');
    if (child.signalCode === 'SIGKILL') return null;
    assert.equal(child.exitCode, 0, complaint);
    return lines.at(-1) ?? '';
  }

  /** Kills a gateway at a step of a scenario, and starts one on what it left. */
  async assertSurvives(scenario: Scenario, killAt: string): Promise<void> {
    const order = await this.order(scenario);
    const child = this.start({ ...order, killAt });
    assert.equal(await this.endOf(child), null, 'the step was reached');
    await this.assertRecovers(order);
  }

  /**
   * Opens a gate on what a killed one left, in this process: nothing of the dead one is in it. Every
   * proposal must end rightly or wait for a person, and the retry must have one effect.
   */
  async assertRecovers(order: Order): Promise<void> {
    const gate = await openCrashGate(order, (_name, call) => call());
    try {
      await gate.recover();
      assertSettled(await gate.states());
      const ended = await gate.play();
      assertSettled(await gate.states());
      assert.equal(ended, order.scenario === 'back' ? 'refused' : 'applied');
    } finally {
      await gate.close();
    }
    const isTakenBack = order.scenario === 'rollback' || order.scenario === 'back';
    assert.equal(await this.value(order), isTakenBack ? 0 : 1);
    const posted = `SELECT count(*) FROM postings WHERE id = ${order.row}`;
    assert.equal(await this.query('books', posted), order.scenario === 'chain' ? 1 : 0);
  }

  value({ row }: Order): Promise<number> {
    return this.query('shop', `SELECT value FROM counters WHERE id = ${row}`);
  }

  /** The first column of the first row, as a number. */
  async query(database: 'shop' | 'books', sql: string): Promise<number> {
    const client = new Client({ connectionString: this.postgres.url(database) });
    await client.connect();
    try {
      const { rows } = await client.query<unknown[]>({ text: sql, rowMode: 'array' });
      return Number(rows[0]?.[0]);
    } finally {
      await client.end();
    }
  }

  async close(): Promise<void> {
    for (const child of this.#ahead) child.kill('SIGKILL');
    await this.postgres.stop();
    await rm(this.#folder, { recursive: true, force: true });
  }

  #load(): Child {
    const child = spawn(process.execPath, [CHILD], { stdio: ['pipe', 'pipe', 'pipe'] });
    child.stdin.on('error', () => undefined);
    return child;
  }
}

function assertSettled(states: readonly string[]): void {
  for (const text of states) {
    const state = STATES.find((each) => each === text);
    assert.ok(state !== undefined && (isTerminal(state) || state === 'waiting'), text);
  }
}
