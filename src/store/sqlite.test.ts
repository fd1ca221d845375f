import { strict as assert } from 'node:assert';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openEntry } from '../ledger/entry.ts';
import { createSequencer } from '../ledger/sequencer.ts';
import { proposalId } from '../model/ids.ts';
import type { Store } from '../model/ports.ts';
import { Problem, type ProblemCode } from '../model/problem.ts';
import type { Proposal } from '../model/proposal.ts';
import { testStore } from './conformance.ts';
import {
  chainAssessmentOf,
  chainEntries,
  chainOutcome,
  withoutImages,
} from './conformance/chains.ts';
import {
  ACME,
  NOW,
  beginChange,
  effectsOf,
  goOn,
  outcomeEntry,
  proposalOf,
} from './conformance/fixtures.ts';
import { testLedger, testRandom, type Ledger } from './conformance/ledger.ts';
import { assertFold, committed, plain, type OpenStore } from './conformance/setting.ts';
import { SQLITE_MIGRATIONS } from './migrations/sqlite.ts';
import { openSqliteStore, SqliteStore } from './sqlite.ts';
import { openDatabase } from './sqlite/database.ts';
import { WAITING_MAX } from './state/queue.ts';

const production: Ledger = {
  sequencer: createSequencer({ gateway: { id: 'gw-1' } }),
  open: openEntry,
};
const sealing = { sequencer: testLedger.sequencer, random: testRandom() };
const LOAD = fileURLToPath(new URL('../../test/support/store-load.ts', import.meta.url));

/** Processes of the present test; they end with it. */
const children = new Set<ChildProcess>();

const openInFolder: OpenStore = async (given) => {
  const folder = mkdtempSync(join(tmpdir(), 'store-'));
  const path = join(folder, 'gateway.db');
  let time = 0;
  const options = { ...given, path, now: () => time };
  let store = await openSqliteStore(options);
  return {
    store,
    reopen: async () => {
      await store.close();
      store = await openSqliteStore(options);
      return store;
    },
    pass: async (ms) => void (time += ms),
    transactions: async () => framesInLog(path).filter((frame) => frame.isCommit).length,
    dispose: async () => {
      await store.close();
      rmSync(folder, { recursive: true });
    },
  };
};

// The contract, and with it G5 (fold), G7 (budgets) and G8 (attempts).
testStore('sqlite', openInFolder, production);

describe('sqlite in memory', () => {
  test('`:memory:` is a store that ends with its process', async () => {
    const store = await open(':memory:');
    await committed(store, beginChange(proposalOf(1), 'applied'));
    assert.equal(await assertFold(store, ACME, testLedger), 5);
    await store.close();
  });
});

describe('sqlite file', () => {
  fileTest('the file is for its owner alone, and so is a folder made for it', async (folder) => {
    const path = join(folder, 'state', 'deep', 'gateway.db');
    const store = await open(path);
    await committed(store, beginChange(proposalOf(1), 'applied'));
    assert.equal(statSync(path).mode & 0o777, 0o600);
    assert.equal(statSync(`${path}-wal`).mode & 0o777, 0o600);
    assert.equal(statSync(join(folder, 'state', 'deep')).mode & 0o777, 0o700);
    await store.close();
  });

  fileTest('a second store on the file is refused, and the first goes on', async (folder) => {
    const path = join(folder, 'gateway.db');
    const store = await open(path);
    await refused(path, 'store-locked');
    await committed(store, beginChange(proposalOf(1), 'applied'));
    assert.deepEqual(await linesUntilKilled(load(path), 1), [], 'another process is refused too');
    await committed(store, beginChange(proposalOf(2), 'applied'));
    await store.close();
    await (await open(path)).close();
  });

  fileTest('the lock of a killed process ends with it', async (folder) => {
    const path = join(folder, 'gateway.db');
    const child = load(path);
    await firstLine(child);
    await refused(path, 'store-locked');
    child.kill('SIGKILL');
    await once(child, 'exit');
    await (await open(path)).close();
  });

  fileTest('a file that is no database is not usable, and stays as it is', async (folder) => {
    const path = join(folder, 'gateway.db');
    const text = 'this is a text and no database '.repeat(100);
    writeFileSync(path, text);
    await refused(path, 'store-unusable');
    assert.equal(readFileSync(path, 'utf8'), text);
  });

  fileTest('a truncated file is not usable', async (folder) => {
    const path = await filled(folder);
    truncateSync(path, Math.floor(statSync(path).size / 2));
    await refused(path, 'store-unusable');
  });

  fileTest('a file with a damaged page is not usable', async (folder) => {
    const path = await filled(folder);
    const bytes = readFileSync(path);
    bytes.fill(0xff, 3 * 4096, 5 * 4096);
    writeFileSync(path, bytes);
    await refused(path, 'store-unusable');
  });

  fileTest('a store of a newer version is not usable, and says which', async (folder) => {
    const path = await filled(folder);
    const database = new DatabaseSync(path);
    database.exec('PRAGMA user_version = 99');
    database.close();
    await assert.rejects(open(path), /schema version 99/);
    await refused(path, 'store-unusable');
  });

  fileTest('another application’s database is not written to', async (folder) => {
    const path = join(folder, 'other.db');
    const database = new DatabaseSync(path);
    database.exec('CREATE TABLE songs (title TEXT)');
    database.close();
    await refused(path, 'store-unusable');
  });

  fileTest('a path that cannot be a file is not usable', async (folder) => {
    writeFileSync(join(folder, 'file'), '');
    await refused(join(folder, 'file', 'gateway.db'), 'store-unusable');
    await refused(folder, 'store-unusable');
  });
});

describe('sqlite queue', () => {
  fileTest('a full queue refuses, and what was queued is answered', async (folder) => {
    const store = await open(join(folder, 'gateway.db'));
    const answers = await Promise.allSettled(
      Array.from({ length: WAITING_MAX + 1 }, (_, number) =>
        store.commit(beginChange(proposalOf(number), 'proposed')),
      ),
    );
    const last = answers.pop();
    assert(last?.status === 'rejected' && isProblem(last.reason, 'too-many-requests'));
    assert(answers.every((answer) => answer.status === 'fulfilled'));
    await store.close();
  });

  fileTest('later steps of a large proposal do not write its effects again', async (folder) => {
    const path = join(folder, 'gateway.db');
    const database = openDatabase(path);
    const store = new SqliteStore(database, sealing);
    await committed(store, beginChange(proposalOf(1), 'executing', { effects: effectsOf(10_000) }));
    assert(statSync(path).size + statSync(`${path}-wal`).size > 2_000_000);
    database.exec('PRAGMA wal_checkpoint(TRUNCATE)');
    await committed(store, goOn(proposalOf(1), 4, [outcomeEntry('applied')]));
    const pages = framesInLog(path).length;
    assert(pages > 0 && pages < 40, `${pages} pages`);
    await store.close();
  });
});

describe('sqlite chains', () => {
  fileTest('later steps of a large chain do not write its effects again', async (folder) => {
    const path = join(folder, 'gateway.db');
    const database = openDatabase(path);
    const store = new SqliteStore(database, sealing);
    const entries = chainEntries(chainAssessmentOf(2_000));
    await committed(store, goOn(proposalOf(1), 0, entries.slice(0, 2)));
    assert(statSync(path).size + statSync(`${path}-wal`).size > 2_000_000);
    for (const [index, entry] of entries.slice(2).entries()) {
      database.exec('PRAGMA wal_checkpoint(TRUNCATE)');
      await committed(store, goOn(proposalOf(1), 2 + index, [entry]));
      const pages = framesInLog(path).length;
      assert(pages > 0 && pages < 40, `${pages} pages for entry ${3 + index}`);
    }
    await store.close();
  });

  fileTest('effects of a chain are written once, with the plan or outcome', async (folder) => {
    const database = openDatabase(join(folder, 'gateway.db'));
    database.exec(`
      CREATE TEMP TABLE written (part TEXT);
      CREATE TEMP TRIGGER inserted AFTER INSERT ON main.effects
        BEGIN INSERT INTO written VALUES (new.part); END;
      CREATE TEMP TRIGGER updated AFTER UPDATE ON main.effects
        BEGIN INSERT INTO written VALUES (new.part); END`);
    const store = new SqliteStore(database, sealing);
    const rollback = { type: 'rollback', compensatedBy: proposalOf(2) } as const;
    const entries = [...chainEntries(chainAssessmentOf(2)), chainOutcome(2), rollback];
    for (const [step, entry] of entries.entries()) {
      await committed(store, goOn(proposalOf(1), step, [entry]));
    }
    const written = database.prepare('SELECT part FROM written ORDER BY rowid').all();
    assert.deepEqual(
      written.map(({ part }) => part),
      ['plan', 'plan-parts', 'outcome-parts'],
    );
    await store.close();
  });

  fileTest('the record of a chain holds no image, however many there are', async (folder) => {
    const path = join(folder, 'gateway.db');
    const store = await open(path);
    for (const [number, count] of [1, 1_000].entries()) {
      const entries = [...chainEntries(chainAssessmentOf(count)), chainOutcome(count)];
      await committed(store, goOn(proposalOf(number), 0, entries));
    }
    await store.close();
    const [few = '', many = ''] = recordsIn(path);
    assert(!few.includes('"before":{') && !many.includes('"before":{'));
    // What grows is the digits of the counts.
    assert(many.length - few.length < 200, `${few.length} and ${many.length} characters`);
  });

  fileTest('records of a former version are read, and give their images up', async (folder) => {
    const [written, former] = [join(folder, 'gateway.db'), join(folder, 'former.db')];
    const store = await open(written);
    const chain = [...chainEntries(chainAssessmentOf(5)), chainOutcome(4)];
    const unfinished = chain.slice(0, 4);
    await committed(store, goOn(proposalOf(1), 0, chain));
    await committed(store, goOn(proposalOf(2), 0, unfinished));
    await committed(store, beginChange(proposalOf(3), 'applied'));
    const ids = [1, 2, 3].map(proposalOf);
    const expected = await Promise.all(ids.map((id) => store.proposal(ACME, id)));
    await store.close();
    asFormerVersion(written, former, expected);
    const images = (): number[] =>
      recordsIn(former).map((record) => record.split('"before":{').length - 1);
    assert.deepEqual(images(), [5 * 4 + 4, 5 * 4, 0]);

    const opened = await open(former);
    const listed = await opened.proposals(ACME, { limit: 10 });
    const bare = expected.map((proposal) => withoutImages(proposal ?? assert.fail()));
    assert.deepEqual(plain(listed), bare.toReversed());
    assert.deepEqual(await Promise.all(ids.map((id) => opened.proposal(ACME, id))), expected);
    const { proposals } = await committed(opened, goOn(proposalOf(2), 4, [chainOutcome(4)]));
    const rollback = { type: 'rollback', compensatedBy: proposalOf(3) } as const;
    await committed(opened, goOn(proposalOf(1), 5, [rollback]));
    await opened.close();

    assert.deepEqual(images(), [0, 0, 0]);
    const reopened = await open(former);
    assert.deepEqual(await reopened.proposal(ACME, proposalOf(2)), proposals[0]);
    assert.equal(await assertFold(reopened, ACME, testLedger), 6 + 5 + 5);
    await reopened.close();
  });
});

describe('sqlite disk', () => {
  fileTest(
    'on a full disk commits are refused, nothing is lost, later ones work',
    async (folder) => {
      const path = join(folder, 'gateway.db');
      const database = openDatabase(path);
      const store = new SqliteStore(database, sealing);
      database.exec('PRAGMA max_page_count = 120');
      let acknowledged = 0;
      for (;;) {
        const batch = await Promise.allSettled(
          Array.from({ length: 10 }, (_, offset) =>
            store.commit(beginChange(proposalOf(acknowledged + offset), 'applied')),
          ),
        );
        if (batch.every((each) => each.status === 'fulfilled')) {
          acknowledged += batch.length;
          continue;
        }
        for (const each of batch) {
          assert(each.status === 'rejected' && isProblem(each.reason, 'store-unusable'));
        }
        break;
      }
      assert(acknowledged > 0);
      assert.equal(await assertFold(store, ACME, testLedger), acknowledged * 5);
      database.exec('PRAGMA max_page_count = 100000');
      await committed(store, beginChange(proposalOf(acknowledged), 'applied'));
      await store.close();
      const reopened = await open(path);
      assert.equal(await assertFold(reopened, ACME, testLedger), (acknowledged + 1) * 5);
      await reopened.close();
    },
  );

  fileTest(
    'after a write that the system refused the store stops, and loses nothing',
    async (folder) => {
      const path = join(folder, 'gateway.db');
      // A bound on the size of files, whose signal is ignored, makes write(2) fail.
      const child = spawn('sh', [
        '-c',
        'trap "" XFSZ; ulimit -f 2000; exec "$@"',
        'sh',
        process.execPath,
        LOAD,
        path,
      ]);
      const printed = await linesUntilKilled(child, Infinity);
      assert.deepEqual(
        new Set(printed.filter((line) => line.startsWith('rejected'))),
        new Set(['rejected store-unusable']),
      );
      const store = await open(path);
      await assertAcknowledged(store, printed);
      await store.close();
    },
  );

  fileTest(
    'a store that the disk has let down takes nothing until it is opened again',
    async (folder) => {
      const path = join(folder, 'gateway.db');
      const database = openDatabase(path);
      const store = new SqliteStore(database, sealing);
      await committed(store, beginChange(proposalOf(1), 'applied'));
      database.exec('PRAGMA query_only = ON');
      const isUnusable = (error: unknown): boolean => isProblem(error, 'store-unusable');
      await assert.rejects(store.commit(beginChange(proposalOf(2), 'applied')), isUnusable);
      database.exec('PRAGMA query_only = OFF');
      await assert.rejects(store.commit(beginChange(proposalOf(3), 'applied')), isUnusable);
      assert.equal((await store.proposal(ACME, proposalOf(1)))?.state, 'applied');
      await store.close();
      const reopened = await open(path);
      await committed(reopened, beginChange(proposalOf(4), 'applied'));
      assert.equal(await assertFold(reopened, ACME, testLedger), 10);
      await reopened.close();
    },
  );
});

describe('sqlite of a former version', () => {
  fileTest('what waited before there were deadlines is due at its own', async (folder) => {
    const [present, former] = [join(folder, 'present.db'), join(folder, 'former.db')];
    const store = await open(present);
    for (const [number, state] of (['waiting', 'applied', 'waiting'] as const).entries()) {
      await committed(store, beginChange(proposalOf(number), state));
    }
    const due = await store.due(NOW + 60_000, 10);
    assert.equal(due.length, 2);
    await store.close();
    asFormerVersion(present, former, []);
    const moved = await open(former);
    assert.deepEqual(await moved.due(NOW + 59_999, 10), []);
    assert.deepEqual(await moved.due(NOW + 60_000, 10), due);
    await moved.close();
  });
});

describe('sqlite crash', () => {
  fileTest(
    'kill -9 in mid-load, five times on one file, loses nothing acknowledged',
    async (folder) => {
      const path = join(folder, 'gateway.db');
      const acknowledged: string[] = [];
      for (let round = 0; round < 5; round += 1) {
        const child = load(path);
        acknowledged.push(...(await linesUntilKilled(child, 300 + round * 37)));
        const store = await open(path);
        await assertAcknowledged(store, acknowledged);
        await store.close();
      }
      assert(acknowledged.length > 1_500);
    },
  );
});

// ---- what the tests are made of

function fileTest(name: string, run: (folder: string) => Promise<void>): void {
  test(name, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'store-'));
    try {
      await run(folder);
    } finally {
      for (const child of children) child.kill('SIGKILL');
      children.clear();
      rmSync(folder, { recursive: true });
    }
  });
}

function open(path: string): Promise<Store> {
  return openSqliteStore({ ...sealing, path });
}

async function refused(path: string, code: ProblemCode): Promise<void> {
  await assert.rejects(open(path), (error) => isProblem(error, code));
}

function isProblem(error: unknown, code: ProblemCode): boolean {
  return error instanceof Problem && error.code === code;
}

/** A closed store with some hundred pages. */
async function filled(folder: string): Promise<string> {
  const path = join(folder, 'gateway.db');
  const store = await open(path);
  await Promise.all(
    Array.from({ length: 100 }, (_, number) =>
      committed(store, beginChange(proposalOf(number), 'applied')),
    ),
  );
  await store.close();
  return path;
}

/** The records of proposals in the file of a closed store, in the order of ids. */
function recordsIn(path: string): readonly string[] {
  const database = new DatabaseSync(path);
  const rows = database.prepare('SELECT record FROM proposals ORDER BY id').all();
  database.close();
  return rows.map(({ record }) => String(record));
}

/**
 * Copies a closed store into a file of schema version 4, in which a record holds what its steps and
 * segments changed and the list of the whole alone lies apart.
 */
function asFormerVersion(
  from: string,
  to: string,
  proposals: readonly (Proposal | undefined)[],
): void {
  const database = new DatabaseSync(to, { enableForeignKeyConstraints: false });
  for (const migration of SQLITE_MIGRATIONS.slice(0, 4)) database.exec(migration);
  database.exec('PRAGMA application_id = 0x57677465; PRAGMA user_version = 4');
  const tables = database.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").all();
  database.prepare('ATTACH ? AS present').run(from);
  for (const { name } of tables) {
    const only = name === 'effects' ? "WHERE part IN ('plan', 'outcome')" : '';
    database.exec(`INSERT INTO main.${String(name)} SELECT * FROM present.${String(name)} ${only}`);
  }
  const save = database.prepare('UPDATE main.proposals SET record = ? WHERE id = ?');
  for (const proposal of proposals) {
    assert(proposal !== undefined && proposal.assessment !== null);
    const { assessment } = proposal;
    const plan = { ...assessment.plan, effects: [] };
    save.run(JSON.stringify({ ...proposal, assessment: { ...assessment, plan } }), proposal.id);
  }
  database.close();
}

function load(path: string): ChildProcess {
  const child = spawn(process.execPath, [LOAD, path], { stdio: ['ignore', 'pipe', 'ignore'] });
  children.add(child);
  return child;
}

async function firstLine(child: ChildProcess): Promise<void> {
  assert(child.stdout !== null);
  const ended = once(child, 'close').then(() => assert.fail('the process ended'));
  await Promise.race([once(child.stdout, 'data'), ended]);
}

/**
 * The lines that a child prints until it ends; it is killed (SIGKILL) once it has printed `count`.
 * A line that the kill cut short is left out.
 */
async function linesUntilKilled(child: ChildProcess, count: number): Promise<readonly string[]> {
  let printed = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    printed += text;
    if (printed.split('\n').length > count) child.kill('SIGKILL');
  });
  await once(child, 'close');
  return printed.split('\n').slice(0, -1);
}

async function assertAcknowledged(store: Store, printed: readonly string[]): Promise<void> {
  for (const line of printed) {
    const [text = '', state] = line.split(' ');
    const id = proposalId(text);
    if (id === undefined) continue;
    const proposal = await store.proposal(ACME, id);
    assert(proposal?.state === state || proposal?.state === 'applied', `lost: ${line}`);
  }
  await assertFold(store, ACME, testLedger);
}

/**
 * The frames of the write-ahead log, by SQLite's file format: a page each, with a mark on the last
 * one of a transaction. Frames of an earlier round have another salt.
 */
function framesInLog(path: string): readonly { readonly isCommit: boolean }[] {
  const log = readFileSync(`${path}-wal`);
  const frameSize = 24 + log.readUInt32BE(8);
  const frames = [];
  for (let at = 32; at + frameSize <= log.length; at += frameSize) {
    if (log.compare(log, 16, 24, at + 8, at + 16) !== 0) break;
    frames.push({ isCommit: log.readUInt32BE(at + 4) !== 0 });
  }
  return frames;
}
