import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { resolveSecret } from '../connectors/connector.ts';
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
import { applyOnHost, openPolicies } from './policies.ts';
import { commitLog, policies, recordPolicy, type LogPorts } from './policy-log.ts';
import { systemRandom } from './world.ts';

const ACTIVE = 'version: 1\ntenant: acme\n';
const OBSERVE = `${ACTIVE}mode: observe\n`;
const PEOPLE =
  'people: { pat: { roles: policy }, olga: { roles: operator }, ann: { roles: approver } }\n';
/** Tighter from left to right. */
const WIDE = `${ACTIVE}${PEOPLE}`;
const TIGHT = `${WIDE}never: [{ name: a, match: { resource: audit }, reason: no }]\n`;
const TIGHTEST = `${TIGHT}limits: [{ name: l, recordsMax: 5 }]\n`;
const clock = { now: () => 1_000, sleep: () => Promise.resolve() };

let folder = '';
let tenant: TenantId;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'writegate-configuration-'));
  const named = tenantId('acme');
  assert.ok(named !== undefined);
  tenant = named;
});
after(() => rm(folder, { recursive: true, force: true }));

async function openStore(): Promise<Store> {
  const sequencer = createSequencer({ gateway: { id: 'test' } });
  return openSqliteStore({ path: ':memory:', sequencer, random: systemRandom });
}

/** The policies in the ledger, in order: how many lines of each tighten, who let it in, and in how many ways it is weaker. */
async function recorded(ports: LogPorts): Promise<readonly string[]> {
  const found = await policies(ports, { limit: 100 });
  return found.toReversed().map(({ text, by, weakens, atStart }) => {
    const { policy, environment } = parseConfiguration(text, 'writegate.yaml');
    const lines = policy.never.length + policy.limits.length;
    const who = by === undefined ? 'itself' : by.kind === 'host' ? 'host' : by.name;
    const where = environment === 'production' ? '' : ` ${environment}`;
    return `${lines} ${policy.mode}${where} by ${who}, ${weakens ?? '-'}${atStart ? ' at start' : ''}`;
  });
}

/** A gateway's file, store and what it was told; `start` is a start of the gateway. */
async function gateway(name: string, text: string) {
  const store = await openStore();
  const ports = { store, clock, tenant };
  await commitLog(ports, 0, { type: 'genesis', origin: 'writegate.test/acme' });
  const path = join(folder, `${name}.yaml`);
  const lines: string[] = [];
  const onChange = (line: string): void => void lines.push(line);
  const put = (next: string): Promise<void> => writeFile(path, next);
  const start = async (): Promise<ConfigurationInForce> => {
    const file = await loadConfiguration(path);
    const judged = judgedInFile(`${path}.judged`);
    const kept = await openConfiguration({ ...ports, path, judged, onChange }, file);
    await kept.begin();
    return kept;
  };
  await put(text);
  return { ...ports, path, lines, put, start, kept: await start() };
}

function person(name: string): PersonPrincipal {
  const credential = credentialId(`cred_${'0'.repeat(26)}`);
  assert.ok(credential !== undefined);
  const common = { tenant, environment: 'production', roles: [], groups: [], credential };
  return { kind: 'person', name, ...common };
}

/** How many lines of the policy in force tighten. */
function inForce(kept: ConfigurationInForce): number {
  const { never, limits } = kept.current().policy;
  return never.length + limits.length;
}

describe('a policy that comes into force', () => {
  test('stands in the ledger once for each change, however often the gateway starts', async () => {
    const at = await gateway('starts', WIDE);
    const observe = `${TIGHT}mode: observe\n`;
    const starts = [WIDE, `# only a remark\n${WIDE}`, TIGHT, TIGHT, observe, TIGHTEST, TIGHTEST];
    for (const text of starts) {
      await at.put(text);
      await at.start();
    }
    assert.deepEqual(await recorded(at), [
      '0 active by itself, -',
      '1 active by itself, -',
      '1 observe by itself, -',
    ]);
    assert.equal(await at.store.actStep(tenant, LOG_ACT), 4);
  });

  test('a tighter file at once, a start after it adds nothing; one that does not load changes nothing', async () => {
    const at = await gateway('tighter', ACTIVE);
    await at.put(OBSERVE);
    await at.kept.reload();
    assert.equal(at.kept.current().policy.mode, 'observe');
    const again = await at.start();
    assert.equal(again.current().policy.mode, 'observe');
    assert.deepEqual(await recorded(at), ['0 active by itself, -', '0 observe by itself, -']);

    await at.put('version: 2\n');
    await at.kept.reload();
    assert.equal(at.kept.current().policy.mode, 'observe');
    assert.match(at.kept.problem() ?? '', /tighter\.yaml:1:10: /);
    assert.equal((await recorded(at)).length, 2);
    assert.equal(at.lines.length, 2);
  });

  test('a file that can no longer be read changes nothing, and that is said once', async () => {
    const at = await gateway('gone', ACTIVE);
    const first = at.kept.current();
    await rm(at.path);
    await mkdir(at.path);
    await at.kept.reload();
    await at.kept.reload();
    assert.match(at.kept.problem() ?? '', /gone\.yaml`, found a folder/);
    assert.equal(at.kept.current(), first);
    assert.equal(at.lines.length, 1);
  });
});

describe('a weaker file', () => {
  test('does not come into force by itself, and that is said once, with the way in', async () => {
    const at = await gateway('weaker', TIGHTEST);
    await at.put(WIDE);
    await at.kept.reload();
    await at.kept.reload();
    assert.equal(inForce(at.kept), 2);
    const problem = at.kept.problem() ?? '';
    assert.match(
      problem,
      /weaker than the policy in force in 2 ways \(never\.a removed; limits\.l removed\)/,
    );
    assert.match(problem, /`writegate policy apply` lets it in/);
    assert.equal(at.lines.length, 1);
    assert.deepEqual(await recorded(at), ['2 active by itself, -']);
  });

  test('does not come into force by a restart either, and not by several', async () => {
    const at = await gateway('restart', TIGHTEST);
    await at.put(WIDE);
    for (let starts = 0; starts < 3; starts += 1) {
      const kept = await at.start();
      assert.equal(inForce(kept), 2);
      assert.match(kept.problem() ?? '', /weaker .* in 2 ways/);
      await kept.reload();
      assert.equal(inForce(kept), 2);
    }
    assert.deepEqual(await recorded(at), ['2 active by itself, -']);
  });

  test('of two that flip back and forth only the tighter one is ever in force', async () => {
    const at = await gateway('flip', WIDE);
    for (let turns = 0; turns < 3; turns += 1) {
      await at.put(TIGHT);
      await at.kept.reload();
      assert.equal(inForce(at.kept), 1);
      assert.equal(at.kept.problem(), null);
      await at.put(WIDE);
      await at.kept.reload();
      assert.equal(inForce(at.kept), 1);
      assert.equal(inForce(await at.start()), 1);
    }
    assert.deepEqual(await recorded(at), ['0 active by itself, -', '1 active by itself, -']);
  });

  test('in small steps is held at each of them', async () => {
    const at = await gateway('steps', TIGHTEST);
    for (const recordsMax of [6, 7, 8]) {
      await at.put(TIGHTEST.replace('recordsMax: 5', `recordsMax: ${recordsMax}`));
      await at.kept.reload();
      assert.equal(at.kept.current().policy.limits[0]?.recordsMax, 5);
    }
  });

  test('is let in by the role `policy` alone; a tighter one by an operator too', async () => {
    const at = await gateway('roles', TIGHTEST);
    await at.put(TIGHT);
    for (const name of ['olga', 'ann', 'nobody']) {
      await assert.rejects(at.kept.apply(person(name), TIGHT), (error: unknown) => {
        assert.ok(error instanceof Error && 'code' in error);
        assert.equal(error.code, 'role-missing');
        return true;
      });
      assert.equal(inForce(at.kept), 2);
    }
    const applied = await at.kept.apply(person('pat'), TIGHT);
    assert.equal(applied.weakens, 1);
    assert.deepEqual(applied.changes, [
      { path: 'limits.l', sentence: 'removed', effect: 'weaker' },
    ]);
    assert.deepEqual([inForce(at.kept), at.kept.problem()], [1, null]);
    assert.equal(inForce(await at.start()), 1);

    await at.put(TIGHTEST);
    await assert.rejects(at.kept.apply(person('ann'), TIGHTEST), { code: 'role-missing' });
    assert.equal((await at.kept.apply(person('olga'), TIGHTEST)).weakens, 0);
    assert.deepEqual(await recorded(at), [
      '2 active by itself, -',
      '1 active by pat, 1',
      '2 active by olga, 0',
    ]);
  });

  test('that gives its own author the role is held to the roles in force', async () => {
    const at = await gateway('self', TIGHT);
    const grab = TIGHT.replace('olga: { roles: operator }', 'olga: { roles: [operator, policy] }');
    await at.put(grab);
    await assert.rejects(at.kept.apply(person('olga'), grab), { code: 'role-missing' });
    await at.kept.reload();
    assert.deepEqual(at.kept.current().policy.people.get('olga')?.roles, ['operator']);
  });

  test('is let in from the policy in force then, not for ever', async () => {
    const at = await gateway('once', TIGHT);
    await at.put(WIDE);
    await at.kept.apply(person('pat'), WIDE);
    await at.put(TIGHT);
    await at.kept.reload();
    assert.equal(inForce(at.kept), 1);
    await at.put(WIDE);
    await at.kept.reload();
    assert.equal(inForce(at.kept), 1, 'let in before, and asked for again');
    assert.equal(inForce(await at.start()), 1);
  });

  test('is let in as the very text that was sent: another one in the file is refused', async () => {
    const at = await gateway('text', TIGHT);
    await at.put(`${WIDE}defaultRoute: default\n`);
    await assert.rejects(at.kept.apply(person('pat'), WIDE), { code: 'policy-differs' });
    assert.equal(inForce(at.kept), 1);
    await at.put('version: 2\n');
    await assert.rejects(at.kept.apply(person('pat'), 'version: 2\n'), { code: 'policy-invalid' });
    await at.put(WIDE);
    // Edited once more while it is let in: what is in force is what was sent, or nothing of it.
    await Promise.allSettled([
      at.kept.apply(person('pat'), WIDE),
      at.put(`${WIDE}environment: staging\n`),
    ]);
    await at.kept.reload();
    assert.equal(at.kept.current().environment, 'production');
  });

  test('that takes a restart is in force from the next start', async () => {
    const at = await gateway('later', TIGHT);
    const staging = `${WIDE}environment: staging\n`;
    await at.put(staging);
    assert.equal((await at.kept.apply(person('pat'), staging)).inForce, 'at-start');
    assert.equal(inForce(at.kept), 1, 'not yet');
    assert.match(at.kept.problem() ?? '', /takes a restart/);
    const kept = await at.start();
    assert.deepEqual([inForce(kept), kept.current().environment], [0, 'staging']);
    assert.deepEqual(await recorded(at), [
      '1 active by itself, -',
      '0 active staging by pat, 1 at start',
    ]);
  });

  test('two at once leave what the ledger says in force', async () => {
    const at = await gateway('race', TIGHTEST);
    await at.put(WIDE);
    const calls = ['pat', 'olga', 'pat', 'ann'].map((name) => at.kept.apply(person(name), WIDE));
    const ended = await Promise.allSettled([...calls, at.kept.reload()]);
    assert.deepEqual(
      ended.map(({ status }) => status),
      ['fulfilled', 'fulfilled', 'fulfilled', 'rejected', 'fulfilled'],
      'once it is in force, an operator lets in what changes nothing',
    );
    assert.deepEqual(await recorded(at), ['2 active by itself, -', '0 active by pat, 2']);
  });
});

describe('on the host, with the gateway stopped', () => {
  test('whoever can write to the data folder lets a weaker file in, and the ledger says so', async () => {
    const at = await gateway('host', TIGHTEST);
    await at.put(WIDE);
    const applied = await applyOnHost(at, await loadConfiguration(at.path), at.path);
    assert.equal(applied.kind, 'applied');
    assert.equal(applied.changes?.filter(({ effect }) => effect === 'weaker').length, 2);
    assert.equal(inForce(await at.start()), 0);
    const { items } = await openPolicies(at, at.kept).history({ limit: 1 });
    assert.deepEqual(
      items.map(({ by, weakens, atStart }) => [by, weakens, atStart]),
      [['host', 2, true]],
    );
    const same = await applyOnHost(at, await loadConfiguration(at.path), at.path);
    assert.equal(same.kind, 'same');
    assert.equal((await recorded(at)).length, 2);
  });

  test('a policy that this version no longer loads keeps the gateway down until then', async () => {
    const at = await gateway('unreadable', TIGHT);
    const { policy } = at.kept.current();
    const text = 'version: 1\nformerly: yes\n';
    const digest = `sha256:${'1'.repeat(64)}` as const;
    const made = await recordPolicy(at, { policy: { ...policy, digest }, text }, 2);
    assert.equal(made, true);
    await assert.rejects(at.start(), (error: unknown) => {
      assert.ok(error instanceof Error && 'code' in error);
      assert.equal(error.code, 'policy-unreadable');
      assert.match(error.message, /policy apply --offline.*formerly/s);
      return true;
    });
    const applied = await applyOnHost(at, await loadConfiguration(at.path), at.path);
    assert.deepEqual([applied.kind, applied.changes], ['applied', null]);
    assert.equal(inForce(await at.start()), 1);
  });
});

test("while a weaker file waits, the address and the credentials of targets are the file's", async () => {
  const target = (url: string, schemas: string) =>
    `targets: { crm: { kind: postgres, url: '\${env:${url}}', schemas: [${schemas}], reader: '\${env:R}' } }\n`;
  const at = await gateway('secrets', `${TIGHT}${target('OLD', 'a')}`);
  await at.put(`${WIDE}listen: 127.0.0.1:7999\n${target('NEW', 'b')}`);
  const { listen, targets } = (await at.start()).current();
  assert.equal(listen.port, 7999);
  assert.deepEqual(targets[0]?.settings, {
    url: '${env:NEW}',
    schemas: ['a'],
    reader: '${env:R}',
  });
});

test('a credential file is looked for from the folder of the file that names it', async () => {
  const path = join(folder, 'relative.yaml');
  const setting = 'url: "${file:data/crm.url}", shadow: { url: "a${file:/run/b}c" }, rows: [1]';
  await writeFile(path, `${ACTIVE}targets: { crm: { kind: postgres, ${setting} } }\n`);
  const { targets } = await loadConfiguration(path);
  assert.deepEqual(targets[0]?.settings, {
    url: `\${file:${join(folder, 'data/crm.url')}}`,
    shadow: { url: 'a${file:/run/b}c' },
    rows: [1],
  });
  const url = targets[0]?.settings['url'] ?? '';
  await assert.rejects(
    resolveSecret(url, '/targets/crm/url', () => undefined),
    /data\/crm\.url` cannot be read; .*`writegate add … --rotate`/,
  );
});
