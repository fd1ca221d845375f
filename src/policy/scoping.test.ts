// AG-302: permission at tool, resource and action level, by environment, and what no file can enable.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { direct, factsOf, policyFrom } from '../../test/support/policy.ts';
import type { EffectClass } from '../model/plan.ts';
import { Problem } from '../model/problem.ts';
import { neverFindings, permissionFindings } from './evaluate.ts';

const SCOPED = policyFrom(`
version: 1
targets: { crm: { kind: fake }, shop: { kind: fake } }
agents:
  bot:
    permissions:
      - { target: crm, resource: public.customers, class: update, operation: update, environment: production, tier: autonomous }
  idle: {}
rules: [{ id: all, effect: permit, reason: everything }]
`);

interface Tried {
  readonly agent?: string;
  readonly target?: string;
  readonly operation?: string;
  readonly resource?: string;
  readonly class?: EffectClass;
  readonly environment?: string;
}

/** The verdict of permissions on one row, with one thing other than what the line gives. */
function verdict({ resource = 'public.customers', class: kind = 'update', ...rest }: Tried) {
  const changed = { create: 'created', update: 'updated', delete: 'deleted' } as const;
  const done = kind === 'read' || kind === 'destroy' ? {} : { [changed[kind]]: 1 };
  const facts = factsOf({
    agent: 'bot',
    operation: 'update',
    ...rest,
    class: kind,
    plan: { resource, counts: [direct(resource, done)] },
  });
  const [finding] = permissionFindings(SCOPED, facts);
  return `${finding?.verdict} ${finding?.code}`;
}

describe('a permission is for', () => {
  test('exactly the tool, resource, action and environment that its line names', () => {
    assert.equal(verdict({}), 'allow allowed');
    const others: readonly Tried[] = [
      { operation: 'sql' },
      { resource: 'public.invoices' },
      { class: 'create' },
      { class: 'delete' },
      { class: 'destroy' },
      { environment: 'staging' },
      { target: 'shop' },
      { agent: 'idle' },
    ];
    for (const other of others) {
      assert.equal(verdict(other), 'deny not-permitted', JSON.stringify(other));
    }
    assert.equal(verdict({ agent: 'stranger' }), 'deny unknown-agent');
  });
});

const HEAD = 'version: 1\ntargets: { crm: { kind: fake } }\n';
const AGENT = (line: string): string => `${HEAD}agents: { bot: { permissions: [${line}] } }\n`;

const TRIES: readonly (readonly [way: string, file: string, why: RegExp])[] = [
  [
    'a permission at tier autonomous',
    AGENT('{ target: crm, resource: public.a, class: destroy, tier: autonomous }'),
    /expected no class `destroy` at tier `autonomous`.*no configuration enables it/,
  ],
  [
    'a permission at tier confirm',
    AGENT('{ target: crm, resource: public.a, class: destroy, tier: confirm }'),
    /expected no class `destroy` at tier `confirm`/,
  ],
  [
    'a permission with it among others',
    AGENT('{ target: crm, class: [create, update, destroy], tier: autonomous }'),
    /expected no class `destroy`/,
  ],
  [
    'an escape in the word',
    AGENT('{ target: crm, class: "destr\\u006fy", tier: confirm }'),
    /expected no class `destroy`/,
  ],
  [
    'an alias to a list elsewhere',
    `${HEAD}limits: [{ name: a, recordsMax: 1, match: { class: &all [update, destroy] } }]\n` +
      'agents: { bot: { permissions: [{ target: crm, class: *all, tier: confirm }] } }\n',
    /expected no class `destroy`/,
  ],
  [
    'a rule that permits it',
    `${HEAD}rules: [{ id: a, effect: permit, match: { class: destroy }, reason: r }]\n`,
    /expected classes that can be permitted, found `destroy`; remove it: no configuration enables it/,
  ],
  [
    'a rule that permits it among others',
    `${HEAD}rules: [{ id: a, effect: permit, match: { class: [update, destroy] }, reason: r }]\n`,
    /expected classes that can be permitted, found `destroy`/,
  ],
  [
    'a pattern for a class',
    AGENT('{ target: crm, class: "*", tier: autonomous }'),
    /expected one of `read`, `create`, `update`, `delete`, `destroy`.*found `\*`/,
  ],
  [
    'a never line that takes the place of the built-in one',
    `${HEAD}never: [{ name: destroy, match: { resource: public.none }, reason: r }]\n`,
    /expected a name other than `destroy` and `delete`/,
  ],
  [
    'an empty list of never lines, and a tier of its own',
    `${HEAD}never: []\nagents: { bot: { permissions: [{ target: crm, tier: destroy }] } }\n`,
    /expected one of `read-only`, `confirm`, `autonomous`/,
  ],
  [
    'a switch that there is not',
    `${HEAD}allowDestroy: true\n`,
    /expected a known key in the file, found `allowDestroy`/,
  ],
  [
    'a switch in a permission',
    AGENT('{ target: crm, tier: autonomous, destroy: true }'),
    /expected a known key .*found `destroy`/,
  ],
];

describe('destroying cannot be enabled by', () => {
  for (const [way, file, why] of TRIES) {
    test(`${way}: the file does not load, and says why and where`, () => {
      assert.throws(
        () => policyFrom(file),
        (error) => {
          assert.ok(error instanceof Problem);
          assert.equal(error.code, 'configuration-invalid');
          assert.match(error.message, why);
          assert.match(error.message, /^writegate\.yaml:\d+:\d+: /);
          return true;
        },
      );
    });
  }

  test('the widest file that loads: it is denied there, for agents and for people', () => {
    const lines =
      '{ tier: autonomous }, { target: crm, resource: public.customers, class: delete, tier: confirm }';
    const rest =
      'rules: [{ id: all, effect: permit, reason: everything }]\npeople: { ann: { roles: [operator, approver] } }\n';
    const widest = policyFrom(AGENT(lines) + rest);
    for (const who of [{ agent: 'bot' }, { person: 'ann' }]) {
      const [finding] = neverFindings(widest, factsOf({ ...who, class: 'destroy' }));
      assert.deepEqual([finding?.verdict, finding?.rule], ['deny', 'never.destroy']);
    }
  });
});
