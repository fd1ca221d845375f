import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import schema from '../../schema/policy-tests.schema.json' with { type: 'json' };
import { Problem } from '../model/problem.ts';
import { parseCases } from '../policy/cases/cases.ts';
import { parseConfiguration } from '../policy/parse.ts';
import { decideCases, type CasesReport } from './cases.ts';

const POLICY = `
version: 1
mode: observe
targets: { crm: { kind: fake } }
people:
  alice: { roles: [operator] }
  bea: { roles: approver, groups: finance }
  cem: { roles: approver }
agents:
  bot:
    owner: alice
    permissions:
      - { target: crm, class: [create, update], tier: autonomous }
      - { target: crm, resource: public.drafts, class: delete, tier: confirm }
never: [{ name: audit, match: { resource: audit.* }, reason: by triggers alone }]
limits: [{ name: money, valueMax: { GBP: '500.00' } }]
thresholds: [{ name: many, recordsOver: 10, route: finance }]
budgets:
  - { name: pace, per: agent, measure: writes, window: minute, max: 30 }
  - { name: spend, measure: 'value:GBP', window: day, max: '800.00' }
rules:
  - { id: all, effect: permit, match: { target: crm }, reason: a test }
  - { id: gold, effect: forbid, when: 'effect.rows.exists(r, has(r.after.tier) && r.after.tier == "gold")', reason: sold by people }
  - { id: night, effect: require, when: now.getHours() < 6, reason: at night, route: night }
routes:
  finance: { steps: [{ groups: finance }] }
  night: { steps: [{ quorum: 2 }] }
`;

const CONFIGURATION = parseConfiguration(POLICY, 'writegate.yaml');

function tried(cases: string): CasesReport {
  const text = `version: 1\ncases:\n${cases}`;
  return decideCases(CONFIGURATION, parseCases(text, 'tests.yaml', CONFIGURATION));
}

const WRITE = 'agent: bot, target: crm, resource: public.customers, class: update';

/** One member of each kind that a case may have, as the policy decides it. */
const ALL = `
  - { name: plain, ${WRITE}, expect: allow, rule: 'agents.bot.permissions[0]', code: allowed }
  - { name: many, ${WRITE}, records: 11, expect: wait, rule: thresholds.many, code: threshold-exceeded, route: finance }
  - { name: many at night, ${WRITE}, records: 11, at: '2026-01-05T03:00Z', expect: wait, route: [night, finance] }
  - { name: agreed, ${WRITE}, records: 11, approvals: [{ person: bea }], expect: allow, code: approved }
  - { name: refused by a person, ${WRITE}, records: 11, approvals: [{ person: bea, verdict: deny }], expect: deny, code: denied-by-person }
  - { name: money, ${WRITE}, value: { GBP: '500.01' }, expect: deny, rule: limits.money }
  - { name: money that was not measured, ${WRITE}, valueComplete: false, expect: deny, code: value-unmeasured }
  - { name: gold, ${WRITE}, rows: [{ before: { tier: base }, after: { tier: gold } }], expect: deny, rule: rules.gold }
  - { name: pace, ${WRITE}, used: { pace: 30 }, expect: deny, rule: budgets.pace }
  - { name: spend, ${WRITE}, value: { GBP: '100.00' }, used: { spend: '700.01' }, expect: deny, rule: budgets.spend }
  - { name: twice, ${WRITE}, duplicate: true, expect: deny, code: duplicate-write }
  - { name: stopped, ${WRITE}, stopped: true, expect: deny, code: frozen }
  - { name: through a trigger, ${WRITE}, also: [{ resource: audit.log, class: create, records: 1, by: trigger }], expect: deny, rule: never.audit }
  - { name: incomplete, ${WRITE}, warnings: [a row was hidden], expect: wait, code: effect-incomplete }
  - { name: one way, ${WRITE}, reversibility: one-way, expect: wait }
  - { name: a delete, agent: bot, target: crm, resource: public.drafts, class: delete, expect: wait }
  - { name: a part of it, agent: bot, target: crm, resource: public.drafts_1, partOf: [public.drafts], class: delete, expect: wait }
  - { name: a delete without proof, agent: bot, target: crm, resource: public.drafts, class: delete, reversibility: conditional, expect: deny, rule: never.delete }
  - { name: destroy, agent: bot, target: crm, resource: public.drafts, class: destroy, expect: deny, rule: never.destroy }
  - { name: taken back, person: bea, target: crm, resource: public.customers, class: update, compensates: update, expect: allow }
  - { name: somebody else, agent: stranger, target: crm, resource: public.customers, class: update, expect: deny, code: unknown-agent }
  - { name: elsewhere, agent: bot, target: shop, resource: public.customers, class: update, expect: deny, code: unknown-target }
`;

describe('a case', () => {
  test('of each kind is decided as the gate decides, whatever the mode', () => {
    const { cases, failed } = tried(ALL);
    assert.deepEqual(
      cases.filter(({ isAsExpected }) => !isAsExpected),
      [],
    );
    assert.equal(failed, 0);
  });

  test('that is not as expected says what was expected and found, and where it stands', () => {
    const { cases, failed, passed } = tried(
      `  - { name: wrong, ${WRITE}, records: 11, expect: wait, rule: limits.money, route: night }\n`,
    );
    assert.deepEqual([failed, passed], [1, 0]);
    const [wrong] = cases;
    assert.equal(wrong?.at, 'tests.yaml:3:5');
    assert.deepEqual(wrong?.expected, { decision: 'wait', rule: 'limits.money', route: 'night' });
    const { reason, ...found } = wrong?.found ?? { reason: '' };
    assert.match(reason, /11 records, over 10 people decide/);
    assert.deepEqual(found, {
      decision: 'wait',
      rule: 'thresholds.many',
      code: 'threshold-exceeded',
      route: 'finance',
    });
  });

  test('reaches lines: those that are silent are listed, with whether a case is about them', () => {
    assert.deepEqual(tried(ALL).coverage, { lines: 10, spoke: 10, silent: [] });
    const { coverage } = tried(`  - { name: plain, ${WRITE}, expect: allow }\n`);
    assert.equal(coverage.spoke, 2);
    const about = Object.fromEntries(coverage.silent.map((line) => [line.rule, line.isAbout]));
    assert.equal(about['limits.money'], true);
    assert.equal(about['never.audit'], false);
    assert.equal(about['agents.bot.permissions[1]'], false);
  });
});

/** A file of one case with a member of its own, and what is wrong with it. */
const WRONG: readonly (readonly [cases: string, message: RegExp])[] = [
  [
    `  - { name: a, ${WRITE}, expect: alow }\n`,
    /^tests\.yaml:3:\d+: expected one of `allow`, `wait`, `deny` for `cases\[0\]\.expect`, found `alow`; write `allow`/,
  ],
  [`  - { name: a, ${WRITE}, expct: allow }\n`, /^tests\.yaml:3:\d+: .*(?:lacks|`expect`)/],
  [`  - { name: a, ${WRITE}, expect: allow, recods: 2 }\n`, /found `recods`; write `records`/],
  [
    `  - { name: a, ${WRITE}, expect: deny, used: { pac: 3 } }\n`,
    /expected a budget of writegate\.yaml, found `pac`; write `pace`/,
  ],
  [
    `  - { name: a, ${WRITE}, expect: deny, used: { spend: 3 } }\n`,
    /expected an amount in quotes for budget `spend`, found `3`/,
  ],
  [
    `  - { name: a, ${WRITE}, expect: deny, used: { pace: '3' } }\n`,
    /expected a whole number for budget `pace`/,
  ],
  [
    `  - { name: a, ${WRITE}, expect: allow, value: { GBP: '1.005' } }\n`,
    /at most 2 decimals for GBP, found `1\.005`/,
  ],
  [
    `  - { name: a, ${WRITE}, expect: allow, approvals: [{ person: beat }] }\n`,
    /expected a person of writegate\.yaml, found `beat`; write `bea`/,
  ],
  [
    `  - { name: a, ${WRITE}, expect: wait, route: fnance }\n`,
    /expected a route of writegate\.yaml, found `fnance`; write `finance`/,
  ],
  [
    `  - { name: a, ${WRITE}, expect: allow, route: finance }\n`,
    /expected a route where it waits, found one with `allow`/,
  ],
  [
    `  - { name: a, ${WRITE}, expect: allow, at: '2026-13-45T00:00Z' }\n`,
    /expected a time that there is/,
  ],
  [
    `  - { name: a, ${WRITE}, expect: allow }\n  - { name: a, ${WRITE}, expect: deny }\n`,
    /^tests\.yaml:4:\d+: expected a name of its own, found `a` again/,
  ],
  [
    '  - { name: a, target: crm, resource: r, class: update, expect: allow }\n',
    /expected one of `agent` and `person`/,
  ],
  [
    '  - { name: a, person: bea, target: crm, resource: r, class: update, expect: allow }\n',
    /expected `compensates` beside `person`/,
  ],
];

describe('a file of cases does not load where', () => {
  for (const [cases, message] of WRONG) {
    test(message.source.replaceAll('\\', ''), () => {
      assert.throws(
        () => tried(cases),
        (error) => {
          assert.ok(error instanceof Problem);
          assert.equal(error.code, 'configuration-invalid');
          assert.match(error.message, message);
          return true;
        },
      );
    });
  }
});

test('the published schema of cases describes every key, and is closed', () => {
  type Node = { readonly [key: string]: unknown };
  const isNode = (value: unknown): value is Node => typeof value === 'object' && value !== null;
  const look = (value: unknown, path: string): void => {
    if (!isNode(value)) return;
    const { properties } = value;
    if (isNode(properties) && !path.endsWith('/properties')) {
      assert.equal(value['additionalProperties'], false, path);
      for (const [key, member] of Object.entries(properties)) {
        assert.equal(typeof (isNode(member) && member['description']), 'string', `${path} ${key}`);
      }
    }
    for (const [key, child] of Object.entries(value)) look(child, `${path}/${key}`);
  };
  look(schema, '#');
});
