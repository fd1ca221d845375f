import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { policy as randomPolicy } from '../../test/support/policy-arbitraries.ts';
import { direct, factsOf, planOf, policyFrom } from '../../test/support/policy.ts';
import { decide } from '../gate/decide.ts';
import { planDigest, type EffectClass } from '../model/plan.ts';
import type { Policy } from '../model/policy.ts';
import { explain } from './explain.ts';
import type { ExplainedRow, ExplainedTarget } from './explain/explained.ts';

const FILE = `
version: 1
targets: { crm: { kind: fake }, shop: { kind: fake } }
people: { ann: { roles: approver } }
agents:
  bot:
    owner: ann
    permissions:
      - { target: crm, resource: public.*, class: [create, update], tier: confirm }
      - { target: crm, resource: public.customers, class: update, operation: update, tier: autonomous }
      - { target: crm, resource: public.drafts, class: delete, tier: confirm }
      - { target: crm, resource: public.rates, tier: read-only }
      - { target: shop, environment: staging, tier: autonomous }
never: [{ name: pay, match: { resource: public.pay }, reason: by people }]
limits: [{ name: few, match: { target: crm }, recordsMax: 10 }]
validations: [{ name: sane, match: { target: crm }, holds: effect.records < 9, reason: few }]
budgets: [{ name: pace, match: { operation: insert }, measure: writes, window: minute, max: 3 }]
thresholds: [{ name: sum, match: { resource: public.invoices }, recordsOver: 1 }]
rules:
  - { id: all, effect: permit, match: { target: crm }, reason: a test }
  - { id: ask, effect: require, match: { class: create }, when: effect.records > 3, reason: many }
  - { id: stop, effect: forbid, match: { resource: public.closed }, reason: closed }
`;

function explained(
  about: {
    readonly file?: string;
    readonly environment?: string;
    readonly resources?: readonly string[];
    readonly operations?: readonly string[];
  } = {},
) {
  const target = (name: string): ExplainedTarget => ({
    name,
    kind: 'fake',
    resources: about.resources ?? null,
    operations: about.operations ?? null,
  });
  const found = explain({
    policy: policyFrom(about.file ?? FILE),
    agent: 'bot',
    environment: about.environment ?? 'production',
    targets: [target('crm'), target('shop')],
  });
  assert.ok(found !== undefined);
  return found;
}

/** The one row that holds for a kind of write. */
function rowOf(
  rows: readonly ExplainedRow[],
  target: string,
  resource: string,
  effectClass: EffectClass,
  operation = '*',
): ExplainedRow {
  const found = rows.filter(
    (row) =>
      row.target === target &&
      row.resources.includes(resource) &&
      row.operations.includes(operation) &&
      row.classes.includes(effectClass),
  );
  const [row, second] = found;
  assert.ok(row !== undefined && second === undefined, `${resource} ${effectClass} ${operation}`);
  return row;
}

describe('an explanation', () => {
  test('has tool, resource, class and environment of a permission in it', () => {
    const { rows } = explained();
    const at = (resource: string, effectClass: EffectClass, operation?: string) => {
      const { allows, because } = rowOf(rows, 'crm', resource, effectClass, operation);
      return `${allows} ${because}`;
    };
    assert.equal(
      at('public.customers', 'update', 'update'),
      'autonomous agents.bot.permissions[1]',
      'the operation that the line names',
    );
    assert.equal(at('public.customers', 'update'), 'confirm agents.bot.permissions[0]');
    assert.equal(at('public.customers', 'create', 'update'), 'confirm agents.bot.permissions[0]');
    assert.equal(at('public.*', 'update'), 'confirm agents.bot.permissions[0]');
    assert.equal(at('public.drafts', 'delete'), 'confirm agents.bot.permissions[2]');
    assert.equal(at('public.customers', 'delete'), 'never never.delete');
    assert.equal(at('*', 'update'), 'denied agents.bot', 'what no line names');
    assert.equal(at('*', 'read'), 'denied agents.bot', 'nor is it shown');
    assert.equal(at('public.rates', 'read'), 'read-only agents.bot.permissions[0]');
    assert.equal(at('public.pay', 'update'), 'never never.pay');
    assert.equal(at('public.closed', 'update'), 'denied rules.stop');
  });

  test('follows the environment: another one is another explanation', () => {
    const here = rowOf(explained().rows, 'shop', '*', 'update');
    assert.deepEqual([here.allows, here.tier], ['denied', null]);
    const there = rowOf(explained({ environment: 'staging' }).rows, 'shop', '*', 'update');
    assert.deepEqual([there.allows, there.because], ['denied', 'rules']);
    assert.equal(there.tier, 'autonomous', 'the line gives it, and no rule permits it');
  });

  test('names each line that can speak about what is let through, and what it says', () => {
    const { rows, lines } = explained();
    const { speaking } = rowOf(rows, 'crm', 'public.*', 'create');
    assert.deepEqual(speaking, [
      'never.pay',
      'limits.few',
      'validations.sane',
      'rules.all',
      'rules.ask',
      'rules.stop',
      'thresholds.sum',
    ]);
    const insert = rowOf(
      explained({ operations: ['insert'] }).rows,
      'crm',
      'public.*',
      'update',
      'insert',
    );
    assert.ok(insert.speaking.includes('budgets.pace'), 'by the operation too');
    assert.ok(!insert.speaking.includes('rules.ask'), 'and not by another class');
    const says = Object.fromEntries(lines.map((line) => [line.rule, line.says]));
    assert.equal(says['limits.few'], 'at most 10 records');
    assert.equal(says['validations.sane'], 'denies what does not satisfy a condition: few');
    assert.equal(says['rules.ask'], 'asks people by route default when effect.records > 3: many');
    assert.equal(says['thresholds.sum'], 'over 1 record people decide by route default');
    assert.match(says['never.destroy'] ?? '', /nothing enables it/);
  });

  test('counts for each allowance the lines that settle it, and resources where the targets say what they have', () => {
    const resources = ['public.customers', 'public.drafts', 'public.invoices', 'public.pay', 'x.y'];
    const { counts, isOverResources } = explained({ resources, operations: ['sql', 'update'] });
    assert.equal(isOverResources, true);
    assert.deepEqual(counts, [
      { tier: 'autonomous', lines: 1, resources: 1 },
      { tier: 'confirm', lines: 2, resources: 3 },
      { tier: 'read-only', lines: 1, resources: 4 },
      { tier: 'denied', lines: 0, resources: 6 },
      { tier: 'never', lines: 3, resources: 10 },
    ]);
    const fromFile = explained().counts.map((each) => each.resources);
    assert.deepEqual(fromFile, [null, null, null, null, null]);
  });

  test('says of destroy and delete that they are never done, whatever the lines', () => {
    const wide = `
version: 1
targets: { crm: { kind: fake }, shop: { kind: fake } }
agents: { bot: { permissions: [{ tier: autonomous }] } }
rules: [{ id: all, effect: permit, reason: everything }]
`;
    const { rows } = explained({ file: wide, resources: ['public.a'], operations: ['sql'] });
    const said = rows
      .filter(({ target }) => target === 'crm')
      .map((row) => `${row.classes.join()} ${row.allows} ${row.because}`);
    assert.deepEqual(said, [
      'read read-only agents.bot.permissions[0]',
      'create,update autonomous agents.bot.permissions[0]',
      'delete never never.delete',
      'destroy never never.destroy',
    ]);
  });

  test('says of a target without a permission that nothing is permitted, and counts it so', () => {
    const file = `
version: 1
targets: { crm: { kind: fake }, shop: { kind: fake } }
agents: { bot: { permissions: [{ target: crm, class: create, tier: confirm }] } }
rules: [{ id: all, effect: permit, reason: everything }]
`;
    const { rows, counts } = explained({ file, resources: ['public.a'], operations: ['sql'] });
    const open = (target: string) =>
      rows
        .filter((row) => row.target === target && row.allows !== 'never')
        .map((row) => `${row.allows}: ${row.classes.join(', ')}`);
    assert.deepEqual(open('shop'), ['denied: read, create, update']);
    assert.deepEqual(open('crm'), ['read-only: read', 'confirm: create', 'read-only: update']);
    assert.deepEqual(counts, [
      { tier: 'autonomous', lines: 0, resources: 0 },
      { tier: 'confirm', lines: 1, resources: 1 },
      { tier: 'read-only', lines: 1, resources: 1 },
      { tier: 'denied', lines: 0, resources: 1 },
      { tier: 'never', lines: 2, resources: 2 },
    ]);
  });

  test('is none of an agent that the file does not name', () => {
    const common = { environment: 'production', targets: [] };
    assert.equal(explain({ policy: policyFrom(FILE), agent: 'stranger', ...common }), undefined);
  });
});

/** How the gate decides on one record of a class in a resource, with nothing used and nobody asked. */
function decided(policy: Policy, write: { resource: string; class: EffectClass }): string {
  const changed = { create: 'created', update: 'updated', delete: 'deleted' } as const;
  const { class: kind } = write;
  const done = kind === 'read' || kind === 'destroy' ? {} : { [changed[kind]]: 1 };
  const plan = planOf({ resource: write.resource, counts: [direct(write.resource, done)] });
  const facts = factsOf({ agent: 'bot', class: kind, plan: { ...plan, class: kind } });
  const digest = planDigest('crm', 'sql', plan);
  const { blastRadius, risk } = facts;
  const decision = decide({
    policy,
    subject: { agent: 'bot', target: 'crm', run: null },
    freezes: [],
    unknown: null,
    duplicateOf: null,
    measured: {
      assessment: { plan, planDigest: digest, blastRadius, risk, assessedAt: 0 },
      facts: [facts],
      sameEffectAs: null,
      budgets: [],
      usual: [{ baseline: undefined, key: null, uncounted: 1 }],
    },
    approvals: [],
    barred: [],
    expiresAt: null,
    now: 0,
  });
  assert.ok(decision !== undefined);
  return decision.kind;
}

test('no explanation promises less than the gate decides, or lets what it denies (law)', () => {
  const resource = fc.constantFrom('public.a', 'public.b', 'audit.log');
  const kind = fc.constantFrom('create' as const, 'update' as const, 'delete' as const);
  const seen = new Map<string, number>();
  fc.assert(
    fc.property(randomPolicy, resource, kind, (policy, name, effectClass) => {
      const found = explain({
        policy,
        agent: 'bot',
        environment: 'production',
        targets: [{ name: 'crm', kind: 'fake', resources: [name], operations: ['sql'] }],
      });
      assert.ok(found !== undefined);
      const { allows } = rowOf(found.rows, 'crm', name, effectClass, 'sql');
      const decision = decided(policy, { resource: name, class: effectClass });
      const isRefused = allows === 'never' || allows === 'denied' || allows === 'read-only';
      if (isRefused) assert.equal(decision, 'deny', allows);
      if (decision === 'allow') assert.equal(allows, 'autonomous');
      seen.set(`${allows} ${decision}`, (seen.get(`${allows} ${decision}`) ?? 0) + 1);
    }),
    { numRuns: 1_500 },
  );
  for (const kindOf of ['autonomous allow', 'confirm wait', 'never deny', 'denied deny']) {
    assert.ok((seen.get(kindOf) ?? 0) > 0, `${kindOf} came up`);
  }
});
