// A SQLite store with everything in it, moved into PostgreSQL: the same answers, entry for entry.
import { strict as assert } from 'node:assert';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, before, describe, test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { startPostgres, type Postgres } from '../../support/postgres.ts';
import { isRecord, recordOf } from '../lib/record.ts';
import { STATES } from '../model/lifecycle.ts';
import type { Store } from '../model/ports.ts';
import { chainAssessmentOf, chainEntries } from './conformance/chains.ts';
import {
  ACME,
  beginChange,
  claimOf,
  credentialEntry,
  credentialOf,
  digestOf,
  effectsOf,
  freezeChange,
  freezeOf,
  GLOBEX,
  goOn,
  lineOf,
  NOW,
  outcomeEntry,
  proposalOf,
  releaseChange,
} from './conformance/fixtures.ts';
import { testLedger, testRandom } from './conformance/ledger.ts';
import { assertFold, committed, conflicting, plain, stateOf } from './conformance/setting.ts';
import { moveToPostgres } from './move.ts';
import { openPostgresStore } from './postgres.ts';
import { openSqliteStore } from './sqlite.ts';

const sealing = { sequencer: testLedger.sequencer, random: testRandom() };
const LINES = [
  lineOf(),
  lineOf({ budget: 'budgets.other', measure: 'value:GBP', amount: 1, max: 50 }),
  lineOf({ window: 'day', windowMs: 86_400_000, amount: 1, max: 9 }),
];

let server: Postgres;
let folder: string;
let schemas = 0;

before(async () => {
  server = await startPostgres({ settings: { fsync: 'on' } });
  folder = mkdtempSync(join(tmpdir(), 'store-move-'));
});
after(async () => {
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
});

function target() {
  schemas += 1;
  return { ...sealing, url: server.url(), schema: `move_${schemas}`, connectionsMax: 4 };
}

/** Proposals in every state, chains, budgets in use, keys, stops, credentials, two tenants. */
async function filled(name: string): Promise<string> {
  const path = join(folder, name);
  const store = await openSqliteStore({ ...sealing, path });
  for (const [number, state] of STATES.entries()) {
    const id = proposalOf(number);
    const claim = claimOf(id, {
      keys: [digestOf(`key ${number}`)],
      supplied: { agent: 'ledger-bot', key: `own ${number}` },
    });
    await committed(
      store,
      beginChange(id, state, {
        at: NOW + number,
        derivedKey: digestOf(`key ${number}`),
        effects: effectsOf(number),
        guard: { keys: claim },
      }),
    );
  }
  for (const [number, end] of [
    [100, null],
    [101, 'settle'],
    [102, 'settle'],
    [103, 'release'],
  ] as const) {
    const proposalId = proposalOf(number);
    const lines = LINES.map((line) => ({ ...line, amount: 1 }));
    await committed(
      store,
      beginChange(proposalId, 'executing', { at: NOW + number, reserve: { proposalId, lines } }),
    );
    if (end === null) continue;
    const rest = { at: NOW + number, [end]: proposalId };
    const outcome = outcomeEntry(end === 'settle' ? 'applied' : 'refused');
    await committed(store, goOn(proposalId, 4, [outcome], rest));
  }
  await committed(store, goOn(proposalOf(200), 0, chainEntries(chainAssessmentOf(3))));
  await committed(store, freezeChange(freezeOf(1), { kind: 'tenant' }));
  await committed(store, freezeChange(freezeOf(2), { kind: 'agent', name: 'bot' }));
  await committed(store, releaseChange(freezeOf(2), NOW + 9));
  await committed(store, { ...freezeChange(freezeOf(3), { kind: 'all' }), tenant: GLOBEX });
  const credential = {
    id: credentialOf(7),
    secretDigest: 'ab',
    createdAt: NOW,
    revokedAt: undefined,
    holder: { kind: 'agent' as const, name: 'bot', owner: undefined },
  };
  await committed(store, goOn(credential.id, 0, [credentialEntry('added', credential)]));
  const revoked = { ...credential, id: credentialOf(8) };
  await committed(store, goOn(revoked.id, 0, [credentialEntry('added', revoked)]));
  const entry = credentialEntry('revoked', { ...revoked, revokedAt: NOW + 5 });
  await committed(store, goOn(revoked.id, 1, [entry], { at: NOW + 5 }));
  await committed(store, beginChange(proposalOf(300), 'waiting', { tenant: GLOBEX }));
  await store.close();
  return path;
}

/** Everything that a store says, of both tenants. */
async function told(store: Store): Promise<unknown> {
  const keys = STATES.map((_, number) => ({
    keys: [digestOf(`key ${number}`)],
    supplied: { agent: 'ledger-bot', key: `own ${number}` },
    appliedSince: NOW - 1,
  }));
  const subject = { agent: 'ledger-bot', target: 'billing', operation: 'sql' };
  return flat({
    tenants: await store.tenants(),
    states: await Promise.all([ACME, GLOBEX].map((tenant) => stateOf(store, tenant))),
    holders: await Promise.all(keys.map((each) => store.keyHolders(ACME, each))),
    used: await store.budgetUsed(ACME, LINES, NOW + 200),
    later: await store.budgetUsed(ACME, LINES, NOW + 3_600_101),
    uses: await store.budgetUses(ACME, NOW + 200, 100),
    free: await Promise.all(
      LINES.map((line) => store.budgetFreeAt(ACME, { ...line, max: line.amount }, NOW + 200)),
    ),
    baseline: await store.baseline(ACME, subject),
    open: await store.inStates(STATES, 1_000),
    due: await store.due(NOW + 1_000_000, 100),
    step: await store.actStep(ACME, freezeOf(2)),
    latest: await store.latest(ACME, credentialOf(8)),
  });
}

describe('a move from SQLite to PostgreSQL', () => {
  test('leaves a store that answers the same, and goes on where the other ended', async () => {
    const from = await filled('whole.db');
    const to = target();
    const before_ = await openSqliteStore({ ...sealing, path: from });
    const expected = await told(before_);
    await before_.close();
    const tables = new Map<string, number>();
    const report = await moveToPostgres({
      from,
      to,
      progress: ({ table, rows }) => tables.set(table, (tables.get(table) ?? 0) + rows),
    });
    const store = await openPostgresStore(to);
    assertSame(await told(store), expected);
    assert.deepEqual(
      report.tenants.map(({ tenant, tree }) => [tenant, tree.size]),
      [
        [ACME, (await store.tree(ACME)).size],
        [GLOBEX, (await store.tree(GLOBEX)).size],
      ],
    );
    assert.deepEqual(Object.fromEntries(tables), nonZero(report.rows));
    for (const table of ['reservations', 'spendings', 'payloads', 'baselines', 'deadlines']) {
      assert((report.rows[table] ?? 0) > 0, `${table} has rows`);
    }

    // It goes on: steps, keys, budgets and the tree are those that were left.
    await committed(
      store,
      goOn(proposalOf(100), 4, [outcomeEntry('applied')], {
        settle: proposalOf(100),
        at: NOW + 300,
      }),
    );
    assert.deepEqual(await store.budgetUsed(ACME, [LINES[0] ?? lineOf()], NOW + 300), [3]);
    const over = { ...lineOf(), amount: 8 };
    const more = beginChange(proposalOf(400), 'allowed', {
      at: NOW + 300,
      reserve: { proposalId: proposalOf(400), lines: [over] },
    });
    assert.equal((await conflicting(store, more)).kind, 'budget');
    const stopped = beginChange(proposalOf(401), 'allowed', {
      guard: { notFrozen: { agent: 'x', target: 'y', run: null } },
    });
    assert.equal((await conflicting(store, stopped)).kind, 'frozen');
    const again = beginChange(proposalOf(402), 'proposed', {
      guard: {
        keys: claimOf(proposalOf(402), {
          keys: [],
          supplied: { agent: 'ledger-bot', key: 'own 1' },
        }),
      },
    });
    assert.equal((await conflicting(store, again)).kind, 'key');
    await assertFold(store, ACME, testLedger);
    await assertFold(store, GLOBEX, testLedger);
    await store.close();
  });

  test('of an old record that still holds the effects of its steps takes them apart', async () => {
    const from = await filled('old.db');
    const store = await openSqliteStore({ ...sealing, path: from });
    const whole = await store.proposal(ACME, proposalOf(200));
    await store.close();
    const database = new DatabaseSync(from);
    const { assessment } = whole ?? assert.fail();
    const plan = { ...assessment?.plan, effects: [] };
    database
      .prepare('UPDATE proposals SET record = ? WHERE id = ?')
      .run(JSON.stringify({ ...whole, assessment: { ...assessment, plan } }), proposalOf(200));
    database.prepare("DELETE FROM effects WHERE part = 'plan-parts'").run();
    database.close();
    const to = target();
    await moveToPostgres({ from, to });
    const moved = await openPostgresStore(to);
    assert.deepEqual(plain(await moved.proposal(ACME, proposalOf(200))), plain(whole));
    await moved.close();
  });

  test('is refused while the store is open, or the target has anything', async () => {
    const from = await filled('held.db');
    const to = target();
    const held = await openSqliteStore({ ...sealing, path: from });
    await assert.rejects(moveToPostgres({ from, to }), { code: 'store-locked' });
    await held.close();
    const taken = await openPostgresStore(to);
    await committed(taken, beginChange(proposalOf(1), 'proposed'));
    await taken.close();
    await assert.rejects(moveToPostgres({ from, to }), {
      code: 'store-unusable',
      message: /not empty/,
    });
  });

  test('that breaks off, or whose source was changed, leaves nothing, and can be run again', async () => {
    const from = await filled('broken.db');
    const to = target();
    const change = (text: string): void => {
      const database = new DatabaseSync(from);
      database.exec(text);
      database.close();
    };
    const isEmpty = async (): Promise<void> => {
      const store = await openPostgresStore(to);
      assert.deepEqual(await store.tenants(), []);
      assert.deepEqual(await store.inStates(STATES, 10), []);
      await store.close();
    };
    change('CREATE TABLE kept AS SELECT * FROM entries WHERE entry_index = 3');
    for (const [attack, mend] of [
      [
        "UPDATE entries SET leaf = x'7b7d' WHERE tenant = 'acme' AND entry_index = 3",
        'UPDATE entries SET leaf = (SELECT leaf FROM kept WHERE kept.tenant = entries.tenant) WHERE entry_index = 3',
      ],
      [
        "UPDATE logs SET size = size + 1 WHERE tenant = 'acme'",
        "UPDATE logs SET size = size - 1 WHERE tenant = 'acme'",
      ],
    ] as const) {
      change(attack);
      await assert.rejects(moveToPostgres({ from, to }), {
        code: 'store-unusable',
        message: /^nothing was moved: /,
      });
      await isEmpty();
      change(mend);
    }
    const broken = moveToPostgres({
      from,
      to,
      progress: ({ table }) => {
        if (table === 'freezes') throw new Error('the process was killed');
      },
    });
    await assert.rejects(broken);
    await isEmpty();
    change('DROP TABLE kept');
    await moveToPostgres({ from, to });
    const store = await openPostgresStore(to);
    assert((await assertFold(store, ACME, testLedger)) > 30);
    await store.close();
  });
});

/** As JSON has it, bytes as hex. */
function flat(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  if (Array.isArray(value)) return value.map(flat);
  if (!isRecord(value)) return value;
  const kept = Object.entries(value).filter(([, each]) => each !== undefined);
  return Object.fromEntries(kept.map(([name, each]) => [name, flat(each)]));
}

/** Part by part: the difference of the whole would be too much to lay out. */
function assertSame(found: unknown, expected: unknown, path = ''): void {
  if (isDeepStrictEqual(found, expected)) return;
  const [left, right] = [Object.entries(recordOf(found)), recordOf(expected)];
  for (const [name, each] of left) assertSame(each, right[name], `${path}.${name}`);
  assert.fail(`${path}: ${JSON.stringify(found)} in place of ${JSON.stringify(expected)}`);
}

function nonZero(rows: Readonly<Record<string, number>>): Readonly<Record<string, number>> {
  return Object.fromEntries(Object.entries(rows).filter(([, count]) => count > 0));
}
