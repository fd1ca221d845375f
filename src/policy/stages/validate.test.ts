import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { JsonObject } from '../../lib/json.ts';
import { Problem } from '../../model/problem.ts';
import { compileSchema } from '../load/arguments-schema.ts';
import { parseConfiguration } from '../parse.ts';
import { checksFor, validationFindings } from './validate.ts';
import {
  cascade,
  direct,
  factsOf,
  policyFrom,
  row,
  type FactOptions,
} from '../../../test/support/policy.ts';

const HEAD = `version: 1
targets: { crm: { kind: fake }, shop: { kind: fake } }
agents: { billing-bot: { permissions: [{ target: crm, tier: autonomous }] } }
validations:
`;

function failures(lines: string, options: FactOptions = {}): readonly string[] {
  const findings = validationFindings(policyFrom(HEAD + lines), factsOf(options));
  return findings.map(({ verdict, code, rule, reason }) => {
    assert.deepEqual([verdict, code], ['deny', 'validation-failed']);
    return `${rule}: ${reason}`;
  });
}

function problemOf(lines: string): string {
  try {
    parseConfiguration(HEAD + lines, 'writegate.yaml');
  } catch (thrown) {
    assert.ok(thrown instanceof Problem && thrown.code === 'configuration-invalid');
    return thrown.message;
  }
  throw new assert.AssertionError({ message: `expected it not to load: ${lines}` });
}

const priced = (price: string | null) => ({ effects: [row({ after: { id: '1', price } })] });
const PRICE = `- { name: price, reason: a price is never negative, holds: 'effect.rows.all(r, r.after.price >= 0)' }\n`;

describe('a validation by condition', () => {
  test('fails where it is false, and where it cannot be evaluated', () => {
    assert.deepEqual(failures(PRICE, { plan: priced('0.00') }), []);
    assert.deepEqual(failures(PRICE, { plan: priced('-0.01') }), [
      'validations.price: a price is never negative',
    ]);
    const why = 'it could not be evaluated, so it denies: its condition met';
    for (const price of [null, 'free']) {
      const [failure] = failures(PRICE, { plan: priced(price) });
      assert.ok(failure?.startsWith(`validations.price: a price is never negative: ${why}`));
    }
    const omitted = { ...priced('1'), effectsOmitted: 1 };
    assert.match(failures(PRICE, { plan: omitted })[0] ?? '', /2 rows would change/);
  });

  test('concerns a write by anything that it changes, and sees the class that lines are matched with', () => {
    const line = (match: string, holds: string) =>
      `- { name: v, match: ${match}, reason: r, holds: '${holds}' }\n`;
    const plan = {
      counts: [direct('public.customers', { updated: 1 }), cascade('public.log', { created: 1 })],
    };
    assert.equal(
      failures(line('{resource: public.log}', 'effect.records > 9'), { plan }).length,
      1,
    );
    assert.equal(failures(line('{resource: public.x}', 'effect.records > 9'), { plan }).length, 0);
    const back = {
      compensates: 'create' as const,
      plan: { counts: [direct('a', { deleted: 1 })] },
    };
    assert.equal(failures(line('{class: create}', 'operation.class == "create"'), back).length, 0);
    assert.equal(failures(line('{class: delete}', 'effect.records > 9'), back).length, 0);
  });
});

describe('a validation by schema', () => {
  const SCHEMA = `
- name: ticket
  reason: every refund names its ticket
  schema:
    type: object
    required: [ticket, amount]
    additionalProperties: false
    properties:
      ticket: { type: string, pattern: '^T-[0-9]{1,6}$' }
      amount: { type: integer, minimum: 1 }
      lines: { type: array, items: { type: object, properties: { sku: { type: string } } } }
`;

  test('tells every fault with its pointer, and no value', () => {
    assert.deepEqual(failures(SCHEMA, { args: { ticket: 'T-1', amount: 5 } }), []);
    const args = { ticket: 'secret', amount: 0.5, lines: [{ sku: 1 }, { sku: 2 }], more: 1 };
    const found = failures(SCHEMA, { args });
    assert.deepEqual(
      found.map((each) => each.replace('validations.ticket: every refund names its ticket: ', '')),
      [
        '`/arguments` has `more`, which it may not',
        '`/arguments/ticket` must match pattern "^T-[0-9]{1,6}$"',
        '`/arguments/amount` must be integer',
        '`/arguments/amount` must be >= 1',
        '`/arguments/lines/0/sku` must be string',
        '`/arguments/lines/1/sku` must be string',
      ],
    );
    assert.doesNotMatch(found.join(), /secret/);
  });

  test('tells twenty faults and how many more', () => {
    const lines = Array.from({ length: 50 }, (_line, sku) => ({ sku }));
    const found = failures(SCHEMA, { args: { ticket: 'T-1', amount: 5, lines } });
    assert.equal(found.length, 21);
    assert.match(found.at(-1) ?? '', /and 30 more$/);
  });

  test('says nothing of the arguments of a compensation, which are the gate’s', () => {
    assert.deepEqual(failures(SCHEMA, { compensates: 'update' }), []);
  });

  test('has patterns that take linear time, whatever is sent', () => {
    const slow = `- { name: s, reason: r, schema: { type: object, properties: { a: { type: string, pattern: '^(a+)+$' } } } }\n`;
    const started = process.cpuUsage();
    assert.equal(failures(slow, { args: { a: `${'a'.repeat(100_000)}b` } }).length, 1);
    assert.ok(process.cpuUsage(started).user < 2_000_000);
    assert.match(
      problemOf(slow.replace('(a+)+', '(a)\\1')),
      /validations\[0\]|expected a JSON Schema/,
    );
  });

  test('does not load where it is none, with the place', () => {
    const line = (schema: string) => `- name: s\n  reason: r\n  schema: ${schema}\n`;
    for (const [schema, place, why] of [
      ['{ type: strin }', '7:11', /schema is invalid|must be equal to one of the allowed values/],
      ['{ type: object, propertees: {} }', '7:11', /unknown keyword: "propertees"/],
      ['{ type: array, uniqueItems: true }', '7:39', /expected no `uniqueItems`/],
      ['{ $ref: "https://example.com/a.json" }', '7:19', /expected a reference within the schema/],
      ['{ $ref: "#/$defs/none" }', '7:11', /can't resolve reference/],
      ['{ type: string, format: email }', '7:11', /unknown format "email"/],
      ['{ type: string, pattern: "(" }', '7:11', /expected a JSON Schema/],
    ] as const) {
      const message = problemOf(line(schema));
      assert.ok(message.startsWith(`writegate.yaml:${place}: `), `${schema}: ${message}`);
      assert.match(message, why);
    }
    assert.equal(failures(line('{ $ref: "#/$defs/a", $defs: { a: { type: object } } }')).length, 0);
  });
});

describe('a validation by query', () => {
  const CHECK = `- { name: orphans, match: { target: crm }, reason: no order without a customer, check: SELECT true }\n`;
  const ran = (holds: boolean, message: string | null) => ({
    plan: { checks: [{ name: 'orphans', holds, message }] },
  });

  test('fails by what the target answered, and where it was not asked', () => {
    assert.deepEqual(failures(CHECK, ran(true, null)), []);
    const name = 'validations.orphans: no order without a customer';
    assert.deepEqual(failures(CHECK, ran(false, null)), [name]);
    assert.deepEqual(failures(CHECK, ran(false, 'order 7 has none')), [
      `${name}: order 7 has none`,
    ]);
    assert.deepEqual(failures(CHECK), [`${name}: the check was not run on \`crm\`, so it denies`]);
  });

  test('is asked wherever it may turn out to concern the write', () => {
    const policy = policyFrom(
      `${HEAD}${CHECK}
- { name: b, match: { resource: public.x, class: delete }, reason: r, check: SELECT 1 = 1 }
- { name: c, match: { target: shop }, reason: r, check: SELECT true }
- { name: d, match: { agent: other }, reason: r, check: SELECT true }
- { name: e, reason: r, holds: 'true' }
`.replace('agents: {', 'agents: { other: {},'),
    );
    const asked = (agent?: string) => {
      const common = { environment: 'production', target: 'crm', operation: 'sql' };
      const subject = agent === undefined ? common : { ...common, agent };
      return checksFor(policy, subject).map(({ name }) => name);
    };
    assert.deepEqual(asked('billing-bot'), ['orphans', 'b']);
    assert.deepEqual(asked('other'), ['orphans', 'b', 'd']);
    assert.deepEqual(asked(), ['orphans', 'b']);
  });
});

test('all that fails is told together', () => {
  const found = failures(
    `${PRICE}- { name: b, reason: b, check: SELECT true }\n- { name: c, reason: c, schema: { required: [x, y], type: object } }\n- { name: d, reason: d, holds: 'true' }\n`,
    { plan: priced('-1') },
  );
  assert.deepEqual(
    found.map((each) => each.split(':')[0]),
    ['validations.price', 'validations.b', 'validations.c', 'validations.c'],
  );
});

test('a line asks for exactly one thing', () => {
  assert.match(
    problemOf('- { name: v, reason: r }\n'),
    /^writegate\.yaml:5:3: expected exactly one of `holds`, `schema` and `check` in `validations\[0\]`, found none/,
  );
  assert.match(problemOf(`- { name: v, reason: r, holds: 'true', check: SELECT 1 }\n`), /found 2;/);
  assert.match(
    problemOf(
      `- name: v\n  reason: r\n  holds: |\n    effect.records > 1 &&\n      effect.recrods < 3\n`,
    ),
    /^writegate\.yaml:9:14: expected a condition in CEL, found no such key: recrods/,
  );
  assert.match(problemOf(`${PRICE}${PRICE}`), /expected another name in `validations`/);
});

describe('a schema that would take time without a bound does not load', () => {
  const schemas: readonly (readonly [name: string, schema: JsonObject])[] = [
    ['into itself', { $ref: '#' }],
    [
      'into itself by way of another',
      {
        type: 'object',
        properties: { a: { $ref: '#/$defs/t' } },
        $defs: {
          t: {
            anyOf: [
              { type: 'object', properties: { a: { $ref: '#/$defs/t' } } },
              { type: 'string' },
            ],
          },
        },
      },
    ],
    [
      'that doubles at each of forty names',
      {
        $ref: '#/$defs/d0',
        $defs: Object.fromEntries(
          Array.from({ length: 40 }, (_each, at) => {
            const next = { $ref: `#/$defs/d${at + 1}` };
            return [`d${at}`, at === 39 ? { type: 'object' } : { allOf: [next, next] }];
          }),
        ),
      },
    ],
    ['by an anchor', { $ref: '#here', $defs: { a: { $anchor: 'here', type: 'object' } } }],
    ['by a dynamic reference', { $dynamicRef: '#/$defs/a', $defs: { a: { type: 'object' } } }],
  ];
  for (const [name, schema] of schemas) {
    test(name, () => {
      assert.equal(compileSchema(schema).kind, 'invalid');
    });
  }

  test('and one that uses a name in many places does', () => {
    const item = {
      type: 'object',
      properties: { id: { $ref: '#/$defs/id' }, of: { $ref: '#/$defs/id' } },
    };
    const schema = {
      type: 'object',
      properties: { rows: { type: 'array', items: item } },
      $defs: { id: { type: 'integer', minimum: 1 } },
    };
    assert.equal(compileSchema(schema).kind, 'compiled');
  });
});
