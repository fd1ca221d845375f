import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createSequencer } from '../ledger/sequencer.ts';
import type { CredentialSummary } from '../model/api.ts';
import { credentialId, tenantId } from '../model/ids.ts';
import type { Store } from '../model/ports.ts';
import type { PersonPrincipal } from '../model/principal.ts';
import { parseConfiguration } from '../policy/parse.ts';
import { openSqliteStore } from '../store/sqlite.ts';
import { openCredentials } from './credentials.ts';
import { systemRandom } from './world.ts';

const FILE = `
version: 1
tenant: acme
environment: staging
people:
  ada: { roles: [operator, approver], groups: [finance] }
agents:
  bot: { owner: ada }
`;

function need<Value>(value: Value | undefined): Value {
  assert.ok(value !== undefined);
  return value;
}

const TENANT = need(tenantId('acme'));
const ADA: PersonPrincipal = {
  kind: 'person',
  tenant: TENANT,
  environment: 'staging',
  name: 'ada',
  roles: ['operator'],
  groups: [],
  credential: need(credentialId(`cred_${'0'.repeat(26)}`)),
};

async function open(options: { readonly file?: () => string; readonly store?: Store } = {}) {
  const sequencer = createSequencer({ gateway: { id: 'test' } });
  const store =
    options.store ?? (await openSqliteStore({ path: ':memory:', sequencer, random: systemRandom }));
  const credentials = openCredentials({
    store,
    clock: { now: () => 1_000, sleep: () => Promise.resolve() },
    random: systemRandom,
    tenant: TENANT,
    configuration: () => parseConfiguration(options.file?.() ?? FILE, 'writegate.yaml'),
  });
  return { store, credentials };
}

function byKind(left: CredentialSummary, right: CredentialSummary): number {
  return left.holder.kind < right.holder.kind ? -1 : 1;
}

describe('credentials', () => {
  test('an operator makes the first one of who may let a weaker policy in, and no other', async () => {
    const file = (): string => FILE.replace('agents:', '  pat: { roles: [policy] }\nagents:');
    const { credentials } = await open({ file });
    const pat = { kind: 'person', name: 'pat' } as const;
    const first = await credentials.issue(ADA, pat);
    await assert.rejects(credentials.issue(ADA, pat), { code: 'role-missing' });
    await credentials.revoke(ADA, need(credentialId(first.id)));
    await assert.rejects(credentials.issue(ADA, pat), { code: 'role-missing' });
    const other: PersonPrincipal = { ...ADA, name: 'pam', roles: ['operator', 'policy'] };
    assert.match((await credentials.issue(other, pat)).secret, /^wgp_/);
    assert.match((await credentials.issue(ADA, { kind: 'agent', name: 'bot' })).secret, /^wga_/);
  });

  test('a token gives the principal that the configuration in force names', async () => {
    const { credentials } = await open();
    const agent = await credentials.issue(ADA, { kind: 'agent', name: 'bot' });
    assert.match(agent.secret, /^wga_cred_[0-9a-z]{26}_[A-Za-z0-9_-]{43}$/);
    assert.deepEqual(await credentials.authenticate(agent.secret), {
      kind: 'agent',
      tenant: 'acme',
      environment: 'staging',
      name: 'bot',
      owner: 'ada',
      credential: agent.id,
    });
    const person = await credentials.issue(ADA, { kind: 'person', name: 'ada' });
    assert.match(person.secret, /^wgp_/);
    assert.deepEqual(await credentials.authenticate(person.secret), {
      kind: 'person',
      tenant: 'acme',
      environment: 'staging',
      name: 'ada',
      roles: ['operator', 'approver'],
      groups: ['finance'],
      credential: person.id,
    });
  });

  test('any other token is nobody: another secret, kind, form, or none such', async () => {
    const { credentials } = await open();
    const { secret } = await credentials.issue(ADA, { kind: 'agent', name: 'bot' });
    const { secret: second } = await credentials.issue(ADA, { kind: 'agent', name: 'bot' });
    const flipped = secret.slice(0, -1) + (secret.endsWith('A') ? 'B' : 'A');
    const wrong = [
      '',
      flipped,
      secret.replace('wga_', 'wgp_'),
      `${secret}x`,
      secret.slice(0, -1),
      secret.slice(0, 36) + second.slice(36),
      `wga_cred_${'0'.repeat(26)}_${'A'.repeat(43)}`,
    ];
    for (const token of wrong) {
      assert.equal(await credentials.authenticate(token), undefined, token);
    }
    assert.ok(await credentials.authenticate(secret));
  });

  test('a revoked credential is nobody from then on; revoking it again changes nothing', async () => {
    const { credentials, store } = await open();
    const { secret, id } = await credentials.issue(ADA, { kind: 'agent', name: 'bot' });
    await credentials.revoke(ADA, need(credentialId(id)));
    assert.equal(await credentials.authenticate(secret), undefined);
    const { size } = await store.tree(TENANT);
    await credentials.revoke(ADA, need(credentialId(id)));
    assert.equal((await store.tree(TENANT)).size, size);
    await assert.rejects(credentials.revoke(ADA, ADA.credential), { code: 'route-unknown' });
  });

  test('the list has every credential of the tenant, revoked ones too, and no secret', async () => {
    const { credentials } = await open();
    const agent = await credentials.issue(ADA, { kind: 'agent', name: 'bot' });
    const person = await credentials.issue(ADA, { kind: 'person', name: 'ada' });
    await credentials.revoke(ADA, need(credentialId(agent.id)));
    const { items } = await credentials.list();
    assert.deepEqual(items.toSorted(byKind), [
      { id: agent.id, holder: { kind: 'agent', name: 'bot' }, createdAt: 1_000, revokedAt: 1_000 },
      { id: person.id, holder: { kind: 'person', name: 'ada' }, createdAt: 1_000, revokedAt: null },
    ]);
  });

  test('a name that the file loses is nobody, and gets no new credential', async () => {
    let file = FILE;
    const { credentials } = await open({ file: () => file });
    const agent = await credentials.issue(ADA, { kind: 'agent', name: 'bot' });
    const person = await credentials.issue(ADA, { kind: 'person', name: 'ada' });
    file = 'version: 1\ntenant: acme\n';
    assert.equal(await credentials.authenticate(agent.secret), undefined);
    assert.equal(await credentials.authenticate(person.secret), undefined);
    await assert.rejects(credentials.issue(ADA, { kind: 'agent', name: 'bot' }), {
      code: 'credential-holder-unknown',
    });
  });

  test('a role that the file takes away is gone at the next call', async () => {
    let file = FILE;
    const { credentials } = await open({ file: () => file });
    const { secret } = await credentials.issue(ADA, { kind: 'person', name: 'ada' });
    file = FILE.replace('[operator, approver]', '[auditor]');
    const found = await credentials.authenticate(secret);
    assert.deepEqual(found?.kind === 'person' && found.roles, ['auditor']);
  });

  test('the secret is nowhere in the store: only its digest is', async () => {
    const { credentials, store } = await open();
    const { secret } = await credentials.issue(ADA, { kind: 'agent', name: 'bot' });
    const written = JSON.stringify([
      await store.credentials(TENANT),
      (await store.entries(TENANT, 0, 10)).map(({ leaf, payloads }) => [
        Buffer.from(leaf).toString(),
        payloads,
      ]),
    ]);
    assert.ok(!written.includes(secret.slice(-43)));
    assert.match(written, /"type\\?":\\?"credential/);
  });
});
