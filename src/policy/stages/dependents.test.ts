import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { CRITICALITIES, type DependentLine } from '../../model/dependents.ts';
import { measure } from '../../model/plan.ts';
import { Problem } from '../../model/problem.ts';
import { direct, planOf, policyFrom } from '../../../test/support/policy.ts';
import { apartFrom, dependentsOf } from './dependents.ts';
import { assessRisk, scaleOf } from './risk.ts';

const HEAD = `version: 1
targets: { crm: { kind: fake }, config: { kind: fake } }
`;

function linesOf(text: string): readonly DependentLine[] {
  return policyFrom(`${HEAD}dependents:\n${text}`).dependents;
}

function problemOf(text: string): Problem {
  try {
    linesOf(text);
  } catch (error) {
    if (error instanceof Problem) return error;
    throw error;
  }
  return assert.fail('it loaded');
}

const CHAIN = `
  - { name: invoice-api, target: crm, resource: public.invoices, criticality: high, how: serves them }
  - { name: web-shop, dependsOn: invoice-api, criticality: critical }
  - { name: phone-app, dependsOn: [web-shop] }
  - { name: reports, target: crm, resource: public.* }
`;

describe('the dependents of a resource', () => {
  test('are found through others, nearest first, each once with what it goes through', () => {
    const found = dependentsOf(linesOf(CHAIN), 'crm', ['public.invoices']);
    assert.deepEqual(
      found.map(({ name, depth, via }) => [name, depth, via]),
      [
        ['invoice-api', 1, null],
        ['reports', 1, null],
        ['web-shop', 2, 'invoice-api'],
        ['phone-app', 3, 'web-shop'],
      ],
    );
    assert.deepEqual(found[0], {
      name: 'invoice-api',
      criticality: 'high',
      how: 'serves them',
      depth: 1,
      via: null,
    });
  });

  test('are those of its target and of it alone', () => {
    const lines = linesOf(CHAIN);
    assert.deepEqual(dependentsOf(lines, 'config', ['public.invoices']), []);
    assert.deepEqual(
      dependentsOf(lines, 'crm', ['public.drafts']).map(({ name }) => name),
      ['reports'],
    );
    assert.deepEqual(dependentsOf(lines, 'crm', ['audit.invoices']), []);
  });

  test('end where they go round in a circle', () => {
    const lines = linesOf(`
  - { name: a, resource: public.a, dependsOn: c }
  - { name: b, dependsOn: a }
  - { name: c, dependsOn: b }
`);
    assert.deepEqual(
      dependentsOf(lines, 'crm', ['public.a']).map(({ name, depth }) => [name, depth]),
      [
        ['a', 1],
        ['b', 2],
        ['c', 3],
      ],
    );
  });

  test('come out the same whatever the order of the lines, and never grow fewer by a line', () => {
    const line = fc.record({
      name: fc.constantFrom('a', 'b', 'c', 'd', 'e'),
      resource: fc.constantFrom(['public.a'], ['public.*'], ['public.b']),
      dependsOn: fc.subarray(['a', 'b', 'c', 'd', 'e']),
      criticality: fc.constantFrom(...CRITICALITIES),
      how: fc.constant(null),
    });
    const lines = fc.uniqueArray(line, { selector: ({ name }) => name, maxLength: 5 });
    fc.assert(
      fc.property(lines, fc.nat(), (all, at) => {
        const found = dependentsOf(all, 'crm', ['public.a']);
        assert.deepEqual(dependentsOf(all.toReversed(), 'crm', ['public.a']), found);
        const fewer = all.filter((_each, index) => index !== at % Math.max(all.length, 1));
        const less = dependentsOf(fewer, 'crm', ['public.a']);
        assert.ok(less.every(({ name }) => found.some((each) => each.name === name)));
        assert.ok(apartFrom(found) <= apartFrom(less));
        assert.ok(apartFrom(found) > 0);
      }),
    );
  });
});

describe('the file with seven readers', () => {
  // One file, versioned, with a clean way back, and read by seven services when they start.
  const services = Array.from(
    { length: 7 },
    (_each, index) =>
      `  - { name: service-${index}, target: config, resource: app/config.yaml, how: reads it at start-up }`,
  );
  const plan = planOf({
    resource: 'app/config.yaml',
    counts: [direct('app/config.yaml', { updated: 1 })],
    resourceSize: 1,
    reversibility: { kind: 'proved', reason: 'the former version is kept' },
  });

  test('comes out critical, and each reader is named', () => {
    const policy = policyFrom(`${HEAD}dependents:\n${services.join('\n')}\n`);
    const risk = assessRisk(plan, measure(plan), scaleOf(policy, plan, 'config'));
    assert.equal(risk.level, 'critical');
    const reason = risk.terms.find(({ name }) => name === 'coupling')?.reason ?? '';
    assert.match(reason, /^7 dependents: service-0 \(medium, reads it at start-up\), /);
    assert.match(reason, /service-6 \(medium, reads it at start-up\)$/);
  });

  test('is low where nobody said that anything reads it', () => {
    const policy = policyFrom(HEAD);
    const risk = assessRisk(plan, measure(plan), scaleOf(policy, plan, 'config'));
    assert.equal(risk.level, 'low');
  });
});

describe('a line of dependents does not load', () => {
  const table: readonly [text: string, at: string, says: RegExp][] = [
    ['  - { name: a }', '4:5', /expected `resource` or `dependsOn`/],
    ['  - { name: a, dependsOn: a, target: crm }', '4:38', /expected `resource` beside `target`/],
    ['  - { name: a, resource: x, target: crn }', '4:37', /found `crn`; write `crm`/],
    [
      '  - { name: invoice-api, resource: x }\n  - { name: b, dependsOn: invoice-pai }',
      '5:27',
      /expected a dependent .*found `invoice-pai`; write `invoice-api`/,
    ],
    ['  - { name: a, resource: x }\n  - { name: a, resource: y }', '5:13', /found `a` again/],
    ['  - { name: a, resource: x, criticality: urgent }', '4:42', /one of `low`, `medium`/],
  ];
  for (const [text, at, says] of table) {
    test(`for ${says.source}`, () => {
      const { message, at: place } = problemOf(text);
      assert.match(message, says);
      assert.equal(place, at);
    });
  }
});
