import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseConfiguration } from './parse.ts';
import { changesOf, weakenings } from './weakening.ts';

const BASE = `
version: 1
targets:
  crm: {kind: postgres, url: '\${env:CRM_URL}', schemas: [public]}
people:
  ada: {roles: [operator, approver], groups: [finance]}
  bea: {roles: approver, groups: [finance]}
  carl: {roles: [], groups: [finance]}
agents:
  bot:
    owner: ada
    permissions:
      - {target: crm, resource: [public.customers, public.invoices], class: [create, update], tier: confirm}
      - {target: crm, resource: public.customers, class: update, tier: autonomous}
never:
  - {name: audit, match: {resource: 'audit.*'}, reason: no}
limits:
  - {name: customers, match: {resource: public.customers}, recordsMax: 100}
  - {name: money, valueMax: {GBP: '100.00'}}
thresholds:
  - {name: many, recordsOver: 20, riskOver: 49, route: finance}
budgets:
  - {name: pace, per: agent, measure: writes, window: hour, max: 30}
rules:
  - {id: all, effect: permit, match: {target: crm}, reason: x}
  - {id: gold, effect: forbid, match: {resource: public.customers}, when: 'effect.records > 3', reason: x}
  - {id: night, effect: require, when: 'effect.records > 2', reason: x, route: finance}
duplicates: {window: 24h}
routes:
  finance: {steps: [{groups: finance, quorum: 2}], expiresAfter: 30m}
`;

/** What a change of the base does: \`effect path sentence\`, one for each. */
function difference(change: (text: string) => string): readonly string[] {
  const text = change(BASE);
  assert.notEqual(text, BASE, 'the change changes something');
  const [before, after] = [BASE, text].map((each) => parseConfiguration(each, 'writegate.yaml'));
  assert.ok(before !== undefined && after !== undefined);
  return changesOf(before, after).map(
    ({ effect, path, sentence }) => `${effect} ${path} ${sentence}`,
  );
}

function swap(from: string, to: string): (text: string) => string {
  return (text) => {
    assert.ok(text.includes(from), from);
    return text.replace(from, to);
  };
}

const CASES: readonly (readonly [from: string, to: string, ...changes: string[]])[] = [
  ['recordsMax: 100', 'recordsMax: 1000', 'weaker limits.customers recordsMax 100 → 1,000'],
  ['recordsMax: 100', 'recordsMax: 50', 'tighter limits.customers recordsMax 100 → 50'],
  [
    "valueMax: {GBP: '100.00'}",
    "valueMax: {GBP: '250.00'}",
    'weaker limits.money valueMax GBP 100.00 → GBP 250.00',
  ],
  [
    'recordsMax: 100}',
    'recordsMax: 100, bytesMax: 9}',
    'tighter limits.customers bytesMax none → 9',
  ],
  [
    '{resource: public.customers}, recordsMax',
    "{resource: 'public.*'}, recordsMax",
    'tighter limits.customers match resource public.customers → resource public.*',
  ],
  [
    '{resource: public.customers}, recordsMax',
    '{resource: public.customer}, recordsMax',
    'weaker limits.customers match resource public.customers → resource public.customer',
  ],
  [
    'name: customers,',
    'name: clients,',
    'weaker limits.customers removed',
    'tighter limits.clients added for resource public.customers',
  ],
  ['version: 1', 'version: 1\nmode: observe', 'tighter mode active → observe'],
  [
    '  - {name: audit',
    '  - {name: audits',
    'weaker never.audit removed',
    'tighter never.audits added for resource audit.*',
  ],
  ['recordsOver: 20', 'recordsOver: 21', 'weaker thresholds.many recordsOver 20 → 21'],
  ['riskOver: 49', 'riskOver: 80', 'weaker thresholds.many riskOver 49 → 80'],
  [', riskOver: 49', '', 'weaker thresholds.many riskOver 49 → none'],
  ['max: 30', 'max: 31', 'weaker budgets.pace max 30 → 31'],
  ['max: 30', 'max: 29', 'tighter budgets.pace max 30 → 29'],
  [
    'window: hour',
    'window: day',
    'weaker budgets.pace writes per hour for each agent → writes per day for each agent: what was used so far counts no more',
  ],
  [
    'per: agent, ',
    '',
    'weaker budgets.pace writes per hour for each agent → writes per hour for each tenant: what was used so far counts no more',
  ],
  ['window: 24h', 'window: 1h', 'weaker duplicates.window 24h → 1h'],
  ['window: 24h', 'window: 3d', 'tighter duplicates.window 24h → 3d'],
  [
    'window: 24h',
    'window: 24h, repeatable: [{target: crm, operation: ping}]',
    'weaker duplicates.repeatable target crm, operation ping added',
  ],
  ['quorum: 2', 'quorum: 1', 'weaker routes.finance quorum 2 → 1'],
  ['expiresAfter: 30m', 'expiresAfter: 90s', 'tighter routes.finance expiresAfter 30m → 90s'],
  ['expiresAfter: 30m', 'expiresAfter: 2h', 'weaker routes.finance expiresAfter 30m → 2h'],
  [
    '{groups: finance, quorum: 2}',
    '{groups: [finance, risk], quorum: 2}',
    'weaker routes.finance steps 2 of finance → 2 of finance or risk',
  ],
  ['\nroutes:', '\ndefaultRoute: finance\nroutes:', 'tighter defaultRoute route default → finance'],
  ['reason: x, route: finance}', 'reason: x}', 'weaker rules.night route finance → default'],
  ['carl: {roles: []', 'carl: {roles: approver', 'weaker people.carl gains the role approver'],
  ['carl: {roles: []', 'carl: {roles: policy', 'weaker people.carl gains the role policy'],
  ['carl: {roles: []', 'carl: {roles: auditor', 'same people.carl gains the role auditor'],
  [
    'carl: {roles: [], groups: [finance]}',
    'carl: {roles: [], groups: [finance, risk]}',
    'same people.carl joins the group risk',
  ],
  [
    'bea: {roles: approver, groups: [finance]}',
    'bea: {roles: approver, groups: [finance, risk]}',
    'weaker people.bea joins the group risk',
  ],
  [
    'owner: ada',
    'owner: bea',
    'weaker agents.bot owner ada → bea: `ada` may approve what it proposes',
  ],
  [
    '    owner: ada\n',
    '',
    'weaker agents.bot owner ada → none: `ada` may approve what it proposes',
  ],
  [
    'owner: ada',
    'owner: carl',
    'weaker agents.bot owner ada → carl: `ada` may approve what it proposes',
  ],
  [
    'class: [create, update], tier: confirm',
    'class: [create, update], tier: autonomous',
    'weaker agents.bot gains create and update of public.customers and public.invoices (target crm) at autonomous',
  ],
  [
    'class: update, tier: autonomous',
    'class: update, tier: confirm',
    'tighter agents.bot loses update of public.customers (target crm) at autonomous',
  ],
  [
    'resource: public.customers, class: update, tier: autonomous',
    "resource: 'public.*', class: update, tier: autonomous",
    'weaker agents.bot gains update of public.* (target crm) at autonomous',
  ],
  [
    '- {target: crm, resource: [public.customers, public.invoices], class: [create, update], tier: confirm}',
    '- {target: crm, resource: public.customers, class: [create, update], tier: confirm}\n      - {target: crm, resource: public.invoices, class: update, tier: confirm}\n      - {target: crm, resource: public.invoices, class: create, tier: confirm}',
  ],
  [
    "  - {id: gold, effect: forbid, match: {resource: public.customers}, when: 'effect.records > 3', reason: x}\n",
    '',
    'weaker rules.gold (forbid) removed',
  ],
  [
    "effect: forbid, match: {resource: public.customers}, when: 'effect.records > 3'",
    "effect: forbid, match: {resource: public.customers}, when: 'effect.records > 4'",
    'weaker rules.gold has another condition, which cannot be shown to be tighter',
  ],
  [
    "match: {resource: public.customers}, when: 'effect.records > 3'",
    'match: {resource: public.customers}',
    'tighter rules.gold holds without its condition now',
  ],
  [
    "effect: require, when: 'effect.records > 2'",
    'effect: require',
    'weaker rules.night lost its condition: where that failed, it denied',
  ],
  ['effect: forbid', 'effect: require', 'weaker rules.gold (forbid) → require'],
  [
    "effect: require, when: 'effect.records > 2', reason: x, route: finance",
    "effect: forbid, when: 'effect.records > 2', reason: x",
    'tighter rules.night (require) → forbid',
  ],
  [
    'match: {target: crm}, reason: x',
    "match: {target: crm}, when: 'args.n == 1', reason: x",
    'tighter rules.all holds on a condition now',
  ],
  [
    'rules:',
    'rules:\n  - {id: more, effect: permit, match: {agent: bot}, reason: x}',
    'weaker rules.more (permit) added for agent bot',
  ],
  [
    'rules:',
    'rules:\n  - {id: more, effect: forbid, match: {agent: bot}, reason: x}',
    'tighter rules.more (forbid) added for agent bot',
  ],
  [
    'id: all, effect: permit, match: {target: crm}, reason: x',
    'id: all, effect: permit, match: {target: crm}, reason: y',
    'same rules.all reason reworded',
  ],
  [
    'schemas: [public]',
    'schemas: [public, app]',
    'weaker targets.crm schemas changed, which cannot be shown to be tighter',
  ],
  ["url: '${env:CRM_URL}'", "url: '${env:OTHER_URL}'"],
  ['version: 1', 'version: 1\nlisten: 127.0.0.1:9'],
  [
    'version: 1',
    'version: 1\nstop: {release: {groups: finance}}',
    'tighter stop.release 1 of anyone → 1 of finance',
  ],
  ['version: 1', 'version: 1\nenvironment: staging', 'same environment production → staging'],
  ['  crm: {kind', '  erp: {kind: postgres}\n  crm: {kind', 'same targets.erp added'],
  [
    'budgets:',
    'dependents:\n  - {name: shop, resource: public.customers, criticality: high}\nbudgets:',
    'tighter dependents.shop added, which raises risk',
  ],
];

describe('a change of a policy', () => {
  for (const [from, to, ...changes] of CASES) {
    test(`\`${from}\` to \`${to}\``, () => {
      const found = difference(swap(from, to));
      assert.equal(found.length, changes.length, found.join('\n'));
      for (const [position, change] of changes.entries()) {
        assert.ok(found[position]?.startsWith(change), `${found[position]}\n${change}`);
      }
    });
  }

  test('says nothing of layout, remarks and the order of keys', () => {
    assert.deepEqual(
      difference((text) => `# a remark\n${text}`),
      [],
    );
  });
});

/** What a change of a small policy does; `weaker` where it may let something through. */
function effectOf(before: string, after: string): string {
  const [old, present] = [before, after].map((lines) =>
    parseConfiguration(`${SMALL}${lines}`, 'writegate.yaml'),
  );
  assert.ok(old !== undefined && present !== undefined);
  return weakenings(old, present).length > 0 ? 'weaker' : 'not weaker';
}

const SMALL = `
version: 1
targets: {crm: {kind: postgres}, shop: {kind: postgres}}
people:
  ann: {roles: approver, groups: [finance]}
  ben: {roles: approver, groups: [finance, legal]}
  cem: {roles: approver, groups: [legal]}
agents: {bot: {permissions: [{target: crm, tier: autonomous}]}}
routes:
  two: {steps: [{quorum: 2}]}
  finance: {steps: [{groups: finance}]}
  chain: {steps: [{groups: finance}, {}]}
`;

describe('what looks tighter and is not', () => {
  const money = (lines: string): string =>
    `limits:\n  - {name: gbp, valueMax: {GBP: '1.00'}}\n${lines}`;

  test('a bound in one more currency: until now, value in it waited for people', () => {
    const euro = "  - {name: eur, valueMax: {EUR: '900.00'}}\n";
    assert.equal(effectOf(money(''), money(euro)), 'weaker');
    assert.equal(effectOf('', `limits:\n${euro}`), 'not weaker', 'where no line was on value');
    const elsewhere = "  - {name: eur, match: {target: shop}, valueMax: {EUR: '900.00'}}\n";
    const onCrm = money('').replace('valueMax', 'match: {target: crm}, valueMax');
    assert.equal(effectOf(onCrm, `${onCrm}${elsewhere}`), 'not weaker');
  });

  test('a limit on value before a threshold: it hands the wait to its own route', () => {
    const soft = "thresholds:\n  - {name: t, valueOver: {GBP: '1.00'}, route: two}\n";
    const hard = "limits:\n  - {name: l, valueMax: {GBP: '9.00'}}\n";
    assert.equal(effectOf(soft, `${soft}${hard}`), 'weaker');
    const same = soft.replace(', route: two', '');
    assert.equal(effectOf(same, `${same}${hard}`), 'not weaker');
  });

  test('a permit with a condition removed: where that failed, it denied what another permits', () => {
    const all = 'rules:\n  - {id: all, effect: permit, match: {target: crm}, reason: x}\n';
    const when = (target: string): string =>
      `  - {id: some, effect: permit, match: {target: ${target}}, when: 'args.n == 1', reason: x}\n`;
    assert.equal(effectOf(`${all}${when('crm')}`, all), 'weaker');
    assert.equal(effectOf(`${all}${when('shop')}`, all), 'not weaker');
  });

  test('a limit over 1,000 records where none was: risk is scored against it', () => {
    const limit = (most: number): string => `limits:\n  - {name: l, recordsMax: ${most}}\n`;
    assert.equal(effectOf('', limit(5_000)), 'weaker');
    assert.equal(effectOf('', limit(900)), 'not weaker');
  });

  test('a lower limit, where a condition looks at the risk that it raises', () => {
    const rule =
      "rules:\n  - {id: r, effect: permit, match: {target: crm}, when: 'risk.score > 40', reason: x}\n";
    const limit = (most: number): string => `limits:\n  - {name: l, recordsMax: ${most}}\n`;
    assert.equal(effectOf(`${rule}${limit(900)}`, `${rule}${limit(90)}`), 'weaker');
    assert.equal(effectOf(limit(900), limit(90)), 'not weaker');
  });

  test('another route with one wait more: joined, it may ask fewer people than the others did', () => {
    const soft =
      'thresholds:\n  - {name: a, recordsOver: 1, route: two}\n  - {name: b, recordsOver: 1, route: finance}\n';
    const more = '  - {name: c, recordsOver: 1, route: chain}\n';
    assert.equal(effectOf(soft, `${soft}${more}`), 'weaker');
    assert.equal(effectOf(soft, `${soft}${more.replace('chain', 'two')}`), 'not weaker');
  });

  test('a forbidding rule that concerns more: of a chain its condition sees more steps at once', () => {
    const rule = (match: string): string =>
      `rules:\n  - {id: r, effect: forbid, match: ${match}, when: 'effect.records == 4', reason: x}\n`;
    assert.equal(effectOf(rule('{resource: public.a}'), rule('{}')), 'weaker');
    const always = (match: string) => rule(match).replace(/ when: '[^']*',/, '');
    assert.equal(effectOf(always('{resource: public.a}'), always('{}')), 'not weaker');
  });
});
