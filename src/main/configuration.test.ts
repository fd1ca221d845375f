import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { resolveSecret } from '../connectors/connector.ts';
import { openEntry } from '../ledger/entry.ts';
import { createSequencer } from '../ledger/sequencer.ts';
import { tenantId, type TenantId } from '../model/ids.ts';
import type { Store } from '../model/ports.ts';
import { parseConfiguration } from '../policy/parse.ts';
import { openSqliteStore } from '../store/sqlite.ts';
import {
  commitLog,
  keepConfiguration,
  loadConfiguration,
  LOG_ACT,
  recordPolicy,
  type ConfigurationInForce,
} from './configuration.ts';
import { systemRandom } from './world.ts';

const ACTIVE = 'version: 1\ntenant: acme\n';
const OBSERVE = `${ACTIVE}mode: observe\n`;
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

/** The modes of the policies in the ledger, in order; the genesis entry is left out. */
async function recorded(store: Store): Promise<readonly string[]> {
  return (await store.entries(tenant, 0, 100))
    .map(({ leaf, payloads }) => openEntry(leaf, payloads))
    .flatMap((entry) => (entry.type === 'policy' ? [entry.mode] : []));
}

describe('a policy that comes into force', () => {
  test('stands in the ledger once for each change, however often the gateway starts', async () => {
    const store = await openStore();
    await commitLog({ store, clock, tenant }, [{ type: 'genesis', origin: 'writegate.test/acme' }]);
    const starts = [ACTIVE, ACTIVE, `# only a remark\n${ACTIVE}`, OBSERVE, OBSERVE, ACTIVE, ACTIVE];
    for (const text of starts) {
      await recordPolicy({ store, clock, tenant }, parseConfiguration(text, 'writegate.yaml'));
    }
    assert.deepEqual(await recorded(store), ['active', 'observe', 'active']);
    assert.equal(await store.actStep(tenant, LOG_ACT), 4);
  });

  test('a start after a reload adds nothing; a file that does not load changes nothing', async () => {
    const store = await openStore();
    const path = join(folder, 'writegate.yaml');
    const lines: string[] = [];
    await writeFile(path, ACTIVE);
    const first = await loadConfiguration(path);
    await recordPolicy({ store, clock, tenant }, first);
    const onChange = (line: string): void => void lines.push(line);
    const kept = keepConfiguration({ store, clock, tenant, path, onChange }, first);

    await reloaded(kept, path, OBSERVE);
    assert.equal(kept.current().policy.mode, 'observe');
    await recordPolicy({ store, clock, tenant }, await loadConfiguration(path));
    assert.deepEqual(await recorded(store), ['active', 'observe']);

    await reloaded(kept, path, 'version: 2\n');
    assert.equal(kept.current().policy.mode, 'observe');
    assert.match(kept.problem() ?? '', /writegate\.yaml:1:10: /);
    assert.deepEqual(await recorded(store), ['active', 'observe']);
    assert.equal(lines.length, 2);
  });

  test('a file that can no longer be read changes nothing, and that is said once', async () => {
    const [store, lines] = [await openStore(), Array<string>()];
    const path = join(folder, 'gone.yaml');
    await writeFile(path, ACTIVE);
    const first = await loadConfiguration(path);
    const onChange = (line: string): void => void lines.push(line);
    const kept = keepConfiguration({ store, clock, tenant, path, onChange }, first);
    await rm(path);
    await mkdir(path);
    await kept.reload();
    await kept.reload();
    assert.match(kept.problem() ?? '', /gone\.yaml`, found a folder/);
    assert.equal(kept.current(), first);
    assert.equal(lines.length, 1);
  });
});

async function reloaded(kept: ConfigurationInForce, path: string, text: string): Promise<void> {
  await writeFile(path, text);
  await kept.reload();
}

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
