// One ledger, several gateways: none decides by another policy than the ledger's last.
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { createSequencer } from '../ledger/sequencer.ts';
import { LOG_ACT } from '../model/entry.ts';
import { credentialId, tenantId, type TenantId } from '../model/ids.ts';
import type { Store } from '../model/ports.ts';
import type { PersonPrincipal } from '../model/principal.ts';
import { parseConfiguration } from '../policy/parse.ts';
import { openSqliteStore } from '../store/sqlite.ts';
import { loadConfiguration } from './configuration.ts';
import { openConfiguration, type ConfigurationInForce } from './in-force.ts';
import { judgedInFile } from './judged.ts';
import { applyOnHost } from './policies.ts';
import { commitLog, policies, recordPolicy, type LogPorts } from './policy-log.ts';
import { systemRandom } from './world.ts';

const PEOPLE = 'people: { pat: { roles: policy }, olga: { roles: operator } }\n';
/** Tighter from left to right; the last two are as tight as each other. */
const WIDE = `version: 1\ntenant: acme\n${PEOPLE}`;
const TIGHT = `${WIDE}never: [{ name: a, match: { resource: audit }, reason: no }]\n`;
const TIGHTEST = `${TIGHT}limits: [{ name: l, recordsMax: 5 }]\n`;
const REWORDED = TIGHTEST.replace('reason: no', 'reason: never');
const STAGING = `${WIDE}environment: staging\n`;
const clock = { now: () => 1_000, sleep: () => Promise.resolve() };

let folder = '';
let tenant: TenantId;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'writegate-in-force-'));
  const named = tenantId('acme');
  assert.ok(named !== undefined);
  tenant = named;
});
after(() => rm(folder, { recursive: true, force: true }));

/** The ledger that the gateways share. */
async function ledger(): Promise<LogPorts> {
  const sequencer = createSequencer({ gateway: { id: 'test' } });
  const store = await openSqliteStore({ path: ':memory:', sequencer, random: systemRandom });
  const ports = { store, clock, tenant };
  await commitLog(ports, 0, { type: 'genesis', origin: 'writegate.test/acme' });
  return ports;
}

let made = 0;

/** A gateway with a file and a data folder of its own; `start` is a start of it. */
async function gateway(ports: LogPorts, text: string, hasMemory = true) {
  made += 1;
  const path = join(folder, `${made}.yaml`);
  const lines: string[] = [];
  const put = (next: string): Promise<void> => writeFile(path, next);
  const open = async (): Promise<ConfigurationInForce> => {
    const file = await loadConfiguration(path);
    // A data folder that does not outlive the gateway remembers nothing.
    made += 1;
    const judged = judgedInFile(hasMemory ? `${path}.judged` : `${path}.${made}.gone`);
    const onChange = (line: string): void => void lines.push(line);
    return openConfiguration({ ...ports, path, judged, onChange }, file);
  };
  const start = async (): Promise<ConfigurationInForce> => {
    const opened = await open();
    await opened.begin();
    return opened;
  };
  await put(text);
  return { path, lines, put, open, start };
}

/** The texts that were in force, in order, by how they are called above. */
async function inForce(ports: LogPorts): Promise<readonly string[]> {
  const names = Object.entries({ WIDE, TIGHT, TIGHTEST, REWORDED, STAGING });
  return (await policies(ports, { limit: 100 })).toReversed().map(({ text, atStart }) => {
    const name = names.find(([, each]) => each === text)?.[0] ?? text;
    return atStart ? `${name} at start` : name;
  });
}

/** By which text a gateway decides what it decides now; by none where it may not. */
async function decidesBy({ store }: LogPorts, each: ConfigurationInForce): Promise<string> {
  const step = await store.actStep(tenant, LOG_ACT);
  const { digest } = await each.policyAt(step);
  assert.equal(digest, each.current().policy.digest);
  return each.current().text;
}

function person(name: string): PersonPrincipal {
  const credential = credentialId(`cred_${'0'.repeat(26)}`);
  assert.ok(credential !== undefined);
  const common = { tenant, environment: 'production', roles: [], groups: [], credential };
  return { kind: 'person', name, ...common };
}

describe('a policy that another gateway brought into force', () => {
  test('binds the next decision, without a look at the file', async () => {
    const log = await ledger();
    const [one, two] = [await gateway(log, WIDE), await gateway(log, WIDE)];
    const [first, second] = [await one.start(), await two.start()];
    assert.equal(await decidesBy(log, second), WIDE);
    await one.put(TIGHT);
    await first.reload();
    assert.equal(second.current().text, WIDE, 'nobody asked it yet');
    assert.equal(await decidesBy(log, second), TIGHT);
    assert.match(second.problem() ?? '', /another policy came into force .*\(entry 2 of the/);
    await two.put(TIGHT);
    await second.reload();
    assert.equal(second.problem(), null, 'the file is in force now');
    assert.deepEqual(await inForce(log), ['WIDE', 'TIGHT']);
  });

  test('binds a call that comes after it, as far as roles and names go', async () => {
    const log = await ledger();
    const [one, two] = [await gateway(log, TIGHT), await gateway(log, TIGHT)];
    const [first, second] = [await one.start(), await two.start()];
    await one.put(TIGHT.replace('olga: { roles: operator }', 'olga: { roles: [] }'));
    await first.reload();
    assert.equal(await second.follow(), await log.store.actStep(tenant, LOG_ACT));
    assert.deepEqual(second.current().policy.people.get('olga')?.roles, []);
  });

  test('is what a weaker file is compared with, not what this gateway knew', async () => {
    const log = await ledger();
    const [one, two] = [await gateway(log, WIDE), await gateway(log, WIDE)];
    const [first, second] = [await one.start(), await two.start()];
    await one.put(TIGHTEST);
    await first.reload();
    // Tighter than what the second one knows, weaker than what is in force.
    await two.put(TIGHT);
    await second.reload();
    assert.equal(await decidesBy(log, second), TIGHTEST);
    assert.match(second.problem() ?? '', /weaker than the policy in force in 1 way/);
    await assert.rejects(second.apply(person('olga'), TIGHT), { code: 'role-missing' });
    assert.equal((await second.apply(person('pat'), TIGHT)).weakens, 1);
    assert.equal(await decidesBy(log, first), TIGHT);
    assert.deepEqual(await inForce(log), ['WIDE', 'TIGHTEST', 'TIGHT']);
  });

  test('may come between a comparison and its entry: then it is compared with that', async () => {
    const log = await ledger();
    const one = await gateway(log, WIDE);
    const first = await one.start();
    await one.put(TIGHT);
    const { store } = log;
    const commit = store.commit.bind(store);
    let isMoved = false;
    store.commit = async (change) => {
      if (!isMoved) {
        isMoved = true;
        const next = parseConfiguration(TIGHTEST, 'other.yaml');
        assert.equal(await recordPolicy(log, next, 2), true);
      }
      return commit(change);
    };
    await first.reload();
    assert.equal(await decidesBy(log, first), TIGHTEST);
    assert.match(first.problem() ?? '', /weaker/);
    assert.deepEqual(await inForce(log), ['WIDE', 'TIGHTEST']);
  });

  test('is decided by, or nothing is: what takes a restart, and what does not load here', async () => {
    for (const [text, code] of [
      [STAGING, 'restart-needed'],
      [`${WIDE}fromTomorrow: yes\n`, 'policy-unreadable'],
    ] as const) {
      const log = await ledger();
      const one = await gateway(log, WIDE);
      const first = await one.start();
      const { policy } = parseConfiguration(STAGING, 'other.yaml');
      assert.equal(await recordPolicy(log, { policy, text }, 2), true);
      await assert.rejects(decidesBy(log, first), { code });
      await first.reload();
      await assert.rejects(decidesBy(log, first), { code }, 'and not at the next try either');
      await assert.rejects(first.apply(person('pat'), WIDE), { code });
      assert.equal(first.current().text, WIDE, 'what it knows of is still told');
      assert.notEqual(first.problem(), null);
      assert.match(one.lines.at(-1) ?? '', /^nothing is decided any more: /);
      // One that it can decide by again ends that.
      const back = parseConfiguration(TIGHT, 'other.yaml');
      assert.equal(await recordPolicy(log, back, 3), true);
      assert.equal(await decidesBy(log, first), TIGHT);
    }
  });

  test('that takes a restart is in force at each gateway from its own start', async () => {
    const log = await ledger();
    const [one, two] = [await gateway(log, WIDE), await gateway(log, WIDE)];
    const [first, second] = [await one.start(), await two.start()];
    await one.put(STAGING);
    assert.equal((await first.apply(person('pat'), STAGING)).inForce, 'at-start');
    assert.equal(await decidesBy(log, first), WIDE);
    assert.equal(await decidesBy(log, second), WIDE);
    assert.match(second.problem() ?? '', /takes a restart of this gateway/);
    assert.equal(await decidesBy(log, await one.start()), STAGING);
    assert.equal(await decidesBy(log, second), WIDE, 'its turn comes');
    // Still with the old file: the ledger has the text.
    assert.equal(await decidesBy(log, await two.start()), STAGING);
    assert.deepEqual(await inForce(log), ['WIDE', 'STAGING at start']);
  });

  test('and one that the host let in beside them, from the next start of each', async () => {
    const log = await ledger();
    const one = await gateway(log, TIGHT);
    const first = await one.start();
    await one.put(WIDE);
    await applyOnHost(log, await loadConfiguration(one.path), one.path);
    assert.equal(await decidesBy(log, first), TIGHT);
    assert.equal(await decidesBy(log, await one.start()), WIDE);
  });
});

describe('restarts, one gateway after the other', () => {
  for (const hasMemory of [true, false]) {
    const folders = hasMemory ? 'data folders' : 'data folders that are new each time';

    test(`with one new file bring it into force once, on ${folders}`, async () => {
      const log = await ledger();
      const all = await Promise.all([1, 2, 3].map(() => gateway(log, TIGHT, hasMemory)));
      for (const each of all) await each.start();
      for (const each of all) {
        await each.put(TIGHTEST);
        await each.start();
        // One that ends meanwhile comes back, with whichever file it has.
        for (const other of all) assert.equal(await decidesBy(log, await other.start()), TIGHTEST);
      }
      assert.deepEqual(await inForce(log), ['TIGHT', 'TIGHTEST']);
    });

    test(`do not undo what people let in on one of them, on ${folders}`, async () => {
      const log = await ledger();
      const [one, two] = [
        await gateway(log, TIGHT, hasMemory),
        await gateway(log, TIGHT, hasMemory),
      ];
      const first = await one.start();
      await two.start();
      await one.put(WIDE);
      await first.apply(person('pat'), WIDE);
      // Its file is tighter, and old.
      const second = await two.start();
      assert.equal(await decidesBy(log, second), WIDE);
      assert.match(second.problem() ?? '', /let this one in with `writegate policy apply`/);
      await second.apply(person('olga'), TIGHT);
      assert.deepEqual(await inForce(log), ['TIGHT', 'WIDE', 'TIGHT']);
    });

    test(`with files that differ for good bring each in once at most, on ${folders}`, async () => {
      const log = await ledger();
      const [one, two] = [
        await gateway(log, TIGHTEST, hasMemory),
        await gateway(log, REWORDED, hasMemory),
      ];
      for (let rounds = 0; rounds < 3; rounds += 1) {
        await one.start();
        await two.start();
      }
      assert.deepEqual(await inForce(log), ['TIGHTEST', 'REWORDED']);
    });
  }

  test('a file that changed while its gateway was down is judged at its start', async () => {
    const log = await ledger();
    const [one, two] = [await gateway(log, TIGHT), await gateway(log, TIGHT)];
    const first = await one.start();
    await two.start();
    await one.put(WIDE);
    await first.apply(person('pat'), WIDE);
    await two.put(WIDE);
    await two.start();
    await two.put(TIGHT);
    await two.start();
    assert.deepEqual(
      await inForce(log),
      ['TIGHT', 'WIDE', 'TIGHT'],
      'tightened by who put it back',
    );
  });

  test('a change that takes a restart is judged by the restart, and once', async () => {
    const log = await ledger();
    const targets = 'targets: { crm: { kind: postgres, url: "${env:U}" } }\n';
    const [one, two] = [
      await gateway(log, `${WIDE}${targets}`),
      await gateway(log, `${WIDE}${targets}`),
    ];
    const first = await one.start();
    const second = await two.start();
    await one.put(WIDE);
    await first.reload();
    assert.match(first.problem() ?? '', /`targets` changed, which takes a restart/);
    await one.start();
    assert.equal((await inForce(log)).length, 2);
    await assert.rejects(decidesBy(log, second), { code: 'restart-needed' });
    assert.equal(await decidesBy(log, await two.start()), WIDE);
    assert.equal((await inForce(log)).length, 2);
  });
});

describe('two gateways that start at the same time', () => {
  test('on a new ledger leave one first policy, and both decide by the last', async () => {
    const log = await ledger();
    const [one, two] = [await gateway(log, TIGHT), await gateway(log, TIGHTEST)];
    const both = await Promise.all([one.open(), two.open()]);
    await Promise.all(both.map((each) => each.begin()));
    const texts = await inForce(log);
    const last = texts.at(-1) === 'TIGHT' ? TIGHT : TIGHTEST;
    for (const each of both) assert.equal(await decidesBy(log, each), last);
    assert.equal(last, TIGHTEST);
  });

  test('start only what they opened: one whose targets are another’s by then does not', async () => {
    const log = await ledger();
    const [one, two] = [await gateway(log, TIGHT), await gateway(log, STAGING)];
    const [first, second] = [await one.open(), await two.open()];
    await first.begin();
    await assert.rejects(second.begin(), { code: 'restart-needed' });
    const again = await two.start();
    assert.equal(await decidesBy(log, again), TIGHT);
  });
});

test('an entry whose commit was not answered is found at the next look', async () => {
  const log = await ledger();
  const one = await gateway(log, WIDE);
  const first = await one.start();
  await one.put(TIGHT);
  const { store } = log;
  const commit: Store['commit'] = store.commit.bind(store);
  store.commit = async (change) => {
    await commit(change);
    throw new Error('the connection is gone');
  };
  await assert.rejects(first.reload(), /connection is gone/);
  store.commit = commit;
  await first.reload();
  assert.equal(await decidesBy(log, first), TIGHT);
  assert.equal(first.problem(), null);
  assert.deepEqual(await inForce(log), ['WIDE', 'TIGHT']);
});

test('a crash between the note and the entry leaves a file that is judged at the next start', async () => {
  const log = await ledger();
  const one = await gateway(log, WIDE);
  const first = await one.start();
  await one.put(TIGHT);
  const { store } = log;
  const commit: Store['commit'] = store.commit.bind(store);
  store.commit = async () => {
    throw new Error('the process was killed');
  };
  await assert.rejects(first.reload());
  store.commit = commit;
  assert.equal(await decidesBy(log, await one.start()), TIGHT);
});
