// `policy check | diff | apply | history` without a target: files, a gateway, restarts, and the host.
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { run } from '../../src/cli/main.ts';
import { openGateway, type Gateway } from '../../src/main.ts';
import { columnsOf } from '../../src/lib/terminal.ts';
import { captureIo, jsonOf } from './fixture.ts';

const FILE = `version: 1
people:
  olga: { roles: operator }
  pat: { roles: policy }
agents: { bot: { permissions: [{ target: '*', tier: confirm }] } }
limits: [{ name: customers, recordsMax: 100 }]
`;
const WEAKER = FILE.replace('recordsMax: 100', 'recordsMax: 1000');
const TIGHTER = FILE.replace('recordsMax: 100', 'recordsMax: 10');

let home = '';
let gateway: Gateway | undefined;

before(async () => {
  home = await mkdtemp(join(tmpdir(), 'writegate-policy-'));
  await put(FILE);
});
after(async () => {
  await gateway?.close();
  await rm(home, { recursive: true, force: true });
});

function put(text: string, name = 'writegate.yaml'): Promise<void> {
  return writeFile(join(home, name), text);
}

async function writegate(line: string, columns = 80, env: Readonly<Record<string, string>> = {}) {
  const io = captureIo({ cwd: home, env });
  const code = await run(line.split(' '), { ...io, stdout: { ...io.stdout, columns } });
  return { code, out: io.out(), err: io.err() };
}

async function start(): Promise<Gateway> {
  await gateway?.close();
  gateway = await openGateway({
    configPath: join(home, 'writegate.yaml'),
    dataFolder: join(home, '.writegate'),
    port: 0,
    environment: () => undefined,
    log: () => {},
  });
  return gateway;
}

function recordsMax(): number | null | undefined {
  return gateway?.configuration.current().policy.limits[0]?.recordsMax;
}

describe('a policy at the command line', () => {
  test('check says what loads, what is likely not meant, and where a file does not load', async () => {
    const glance = await writegate('policy check');
    assert.equal(glance.code, 0, glance.err);
    assert.match(glance.out, /^loads .*confirm: read, create, update of everything on \*/s);
    assert.match(glance.out, /nobody has the role `approver`: what waits for people expires/);
    assert.match(glance.out, /no rule permits anything/);
    const document = jsonOf((await writegate('policy check --json')).out);
    assert.deepEqual(Object.keys(document).toSorted(), [
      'agents',
      'digest',
      'environment',
      'file',
      'lines',
      'mode',
      'people',
      'targets',
      'warnings',
    ]);
    await put('version: 1\nlimit: []\n', 'slip.yaml');
    const slip = await writegate('policy check slip.yaml');
    assert.equal(slip.code, 1);
    assert.match(slip.err, /slip\.yaml:2:1: expected a\s+known key/);
  });

  test('diff of two files has what is weaker apart, and says it by its exit code', async () => {
    await put(WEAKER, 'weaker.yaml');
    const weaker = await writegate('policy diff writegate.yaml weaker.yaml');
    assert.equal(weaker.code, 2);
    assert.match(weaker.out, /^Weaker.*\n  limits\.customers recordsMax 100 → 1,000\n/);
    const tighter = await writegate('policy diff weaker.yaml writegate.yaml');
    assert.equal(tighter.code, 0);
    assert.match(tighter.out, /^Tighter\n  limits\.customers recordsMax 1,000 → 100\n/);
    const same = await writegate('policy diff weaker.yaml weaker.yaml');
    assert.deepEqual([same.code, same.out], [0, 'nothing differs\n']);
  });

  test('no line is wider than a narrow terminal, but what is copied whole', async () => {
    for (const line of ['policy check', 'policy diff writegate.yaml weaker.yaml']) {
      const { out } = await writegate(line, 44);
      const wide = out.split('\n').filter((each) => columnsOf(each.trimEnd()) > 44);
      assert.deepEqual(
        wide.filter((each) => !each.includes('sha256:') && !each.includes(home)),
        [],
      );
    }
  });

  test('apply on the host needs a gateway that has run, and that none runs', async () => {
    const none = await writegate('policy apply --offline');
    assert.equal(none.code, 1);
    assert.match(none.err, /^store-unusable: no gateway ever ran/);
    await start();
    const runs = await writegate('policy apply --offline');
    assert.equal(runs.code, 1);
    assert.match(runs.err, /^store-locked/);
  });

  test('a weaker file waits over restarts; an operator is refused, the role lets it in', async () => {
    await put(WEAKER);
    await gateway?.configuration.reload();
    assert.equal(recordsMax(), 100);
    await start();
    assert.equal(recordsMax(), 100);
    const operator = await writegate('policy apply');
    assert.equal(operator.code, 1);
    assert.match(operator.err, /^role-missing: .*`olga` needs the\s+role `policy`/s);
    const diff = await writegate('policy diff');
    assert.equal(diff.code, 2, diff.err);

    const { out } = await writegate('person add pat');
    const token = /wgp_\S+/.exec(out)?.[0] ?? '';
    const applied = await writegate('policy apply', 80, { WRITEGATE_TOKEN: token });
    assert.equal(applied.code, 0, applied.err);
    assert.equal(recordsMax(), 1000);
    await start();
    assert.equal(recordsMax(), 1000);
    await put(TIGHTER);
    await gateway?.configuration.reload();
    assert.equal(recordsMax(), 10, 'a tighter one needs nobody');
  });

  test('the host lets it in while the gateway is stopped, and history has who did what', async () => {
    await put(WEAKER);
    await gateway?.close();
    const host = await writegate('policy apply --offline');
    assert.equal(host.code, 0, host.err);
    assert.match(host.out, /^in force from the next start\n.*recordsMax 10 → 1,000/s);
    await start();
    assert.equal(recordsMax(), 1000);
    const history = await writegate('policy history', 44);
    const told = [...history.out.matchAll(/let in by +(\w+)/g)].map(([, who]) => who);
    assert.deepEqual(told, ['host', 'itself', 'pat', 'itself']);
    assert.equal((await writegate('policy history --limit 1 --json')).code, 0);
    await gateway?.publish();
    const verified = await writegate('ledger verify');
    assert.equal(verified.code, 0, verified.out);
  });
});

test('what the past says of a candidate, and a draft out of it, come from a running gateway', async () => {
  await put(FILE);
  await start();
  const replayed = await writegate('policy replay --since 1h --json');
  assert.equal(replayed.code, 0, replayed.out + replayed.err);
  assert.equal(jsonOf(replayed.out)['proposals'], 0);
  const candidate = await writegate('policy replay writegate.yaml --since 1h');
  assert.equal(candidate.code, 0, candidate.out + candidate.err);
  const drafted = await writegate('policy suggest --since 1h');
  assert.equal(drafted.code, 0, drafted.out + drafted.err);
  assert.match(drafted.out, /^version: 1$/m);
});
