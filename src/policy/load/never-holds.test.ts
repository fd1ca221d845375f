import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { Problem } from '../../model/problem.ts';
import { compileCondition } from '../conditions/conditions.ts';
import type { Surroundings } from './never-holds.ts';
import { parseConfiguration } from '../parse.ts';
import { facts } from '../../../test/support/policy-arbitraries.ts';

const HEAD = `version: 1
targets: { crm: { kind: fake }, shop: { kind: fake } }
people: { ann: { roles: approver } }
agents: { bot: { permissions: [{ target: crm, tier: autonomous }] }, clerk: {} }
`;

/** The message of a file that does not load, without the file's name; empty of one that does. */
function problemOf(rest: string): string {
  try {
    parseConfiguration(HEAD + rest, 'f');
    return '';
  } catch (thrown) {
    assert.ok(thrown instanceof Problem && thrown.code === 'configuration-invalid');
    return thrown.message;
  }
}

function ruled(when: string, match = '{}', effect = 'forbid'): string {
  return problemOf(
    `rules:\n  - id: r\n    effect: ${effect}\n    match: ${match}\n    reason: r\n    when: |-\n      ${when}\n`,
  );
}

describe('a condition that can never hold does not load', () => {
  test('with the place, and why', () => {
    for (const [when, column, why] of [
      ['effect.records < 0', 7, /bounds on `effect\.records` that leave it no value/],
      ['risk.score > 100', 7, /bounds on `risk\.score`/],
      ['100 < risk.score', 7, /bounds on `risk\.score`/],
      ['effect.amplification < 0.0', 7, /bounds on `effect\.amplification`/],
      ['effect.records > 5 && effect.records < 3', 7, /bounds on `effect\.records`/],
      ['effect.records > 5 && effect.records < 6', 7, /bounds on `effect\.records`/],
      ['args.n == 1 && !(effect.records >= 0)', 24, /bounds on `effect\.records`/],
      ['risk.level == "low" && risk.level == "high"', 7, /bounds on `risk\.level`/],
      ['args.a == "x" && args.a == "y"', 7, /bounds on `args\.a`/],
      ['args.a in ["x", "z"] && args.a == "y"', 7, /bounds on `args\.a`/],
      ['false', 7, /always false/],
      ['1 + 1 == 3', 7, /always false/],
      ['args.n == 1 && "a" == "b"', 7, /always false/],
      ['environment == "staging"', 7, /here it is `production`/],
      ['effect.rows.exists(r, r.kind == "create" && r.kind == "delete")', 29, /`row\.kind`/],
      ['!effect.rows.all(r, true)', 7, /always false/],
      ['effect.records < 0 ? args.n == 1 : false', 7, /always false|`effect\.records`/],
    ] as const) {
      const said = ruled(when);
      assert.match(said, new RegExp(`^f:11:${column}: expected a condition that can hold`), when);
      assert.match(said, why, when);
    }
  });

  test('where a value is not one that the variable can have, with the nearest that is', () => {
    for (const [when, column, why] of [
      ['operation.class == "delte"', 26, /found `delte`; write `delete`/],
      ['args.n == 1 || operation.class == "delte"', 41, /found `delte`; write `delete`/],
      ['operation.class in ["create", "upsert"]', 37, /found `upsert`/],
      ['"criticl" == risk.level', 7, /write `critical`/],
      ['principal.kind == "robot"', 25, /`principal\.kind` can have, found `robot`/],
      ['effect.reversibility == "one_way"', 31, /write `one-way`/],
      ['effect.rows.exists(r, r.kind == "updated")', 39, /`row\.kind` can have.*write `update`/],
      [
        'operation.target == "cmr"',
        27,
        /`operation\.target` can have, found `cmr`; it is `crm`, `shop`/,
      ],
      ['principal.name == "bott"', 25, /write `bot`/],
    ] as const) {
      const said = ruled(when);
      assert.match(said, new RegExp(`^f:11:${column}: expected a value that`), when);
      assert.match(said, why, when);
    }
  });

  test('where its own match is in its way', () => {
    for (const [match, when, why] of [
      ['{ class: update }', 'operation.class == "create"', /here it is `update`/],
      [
        '{ class: [update, create] }',
        'operation.class != "update" && operation.class != "create"',
        /./,
      ],
      ['{ agent: b* }', 'principal.name == "clerk"', /here it is `bot`/],
      ['{ agent: bot }', 'principal.kind == "person"', /here it is `agent`/],
      ['{ target: shop }', 'operation.target == "crm"', /here it is `shop`/],
    ] as const) {
      for (const effect of ['permit', 'require', 'forbid']) {
        assert.match(
          ruled(when, match, effect),
          /^f:11:\d+: expected a condition that can hold/,
          when,
        );
        assert.match(ruled(when, match, effect), why);
      }
      assert.equal(ruled(when), '');
    }
  });

  test('in a validation too, and in a block scalar at its own line', () => {
    const said = problemOf(
      `validations:\n  - name: v\n    reason: r\n    holds: >\n      args.n == 1 &&\n\n      effect.records\n        < 0\n`,
    );
    assert.match(
      said,
      /^f:11:7: expected a condition that can hold, found bounds on `effect\.records`/,
    );
  });
});

test('a condition that may hold, or always does, loads', () => {
  for (const when of [
    'effect.records >= 0',
    'effect.records > 5 || effect.records < 3',
    'effect.records > 5 && effect.records < 7',
    'effect.amplification > 5.0 && effect.amplification < 5.1',
    'effect.records < 0 || args.n == 1',
    'true',
    'operation.class != "delete"',
    'environment != "staging"',
    'principal.name == "ann" || principal.name == "bot"',
    'effect.rows.all(r, r.kind == "create" && r.kind == "delete")',
    'effect.rows.exists(r, r.kind == "create") && effect.rows.exists(r, r.kind == "delete")',
    'cel.bind(x, args.a, x == "a") && cel.bind(x, args.b, x == "b")',
    'args.list.exists(risk, risk.score > 100)',
    'args.a > 5 && args.a < 3 || true',
    'operation.name == "x" && run == "y"',
  ]) {
    assert.equal(ruled(when), '', when);
  }
});

describe('a match that can never hold does not load', () => {
  test('for another environment, or for names that nothing has', () => {
    const line = (match: string) =>
      problemOf(`never:\n  - name: n\n    match: ${match}\n    reason: r\n`);
    assert.match(
      line('{ environment: staging }'),
      /^f:7:27: expected this gateway's environment, `production`, found `staging`/,
    );
    assert.match(line('{ environment: [staging, dev*] }'), /^f:7:27: expected this gateway's/);
    assert.equal(line('{ environment: [staging, prod*] }'), '');
    assert.match(
      line('{ agent: x* }'),
      /^f:7:21: expected an agent of `agents`.*none of them matches/,
    );
    assert.match(line('{ target: [crm, "s*y"] }'), /^f:7:28: expected a target of `targets`/);
    assert.equal(line('{ agent: "*t", target: "*" }'), '');
  });
});

// ---- what is said never to hold does not

const NAMES = ['bot', 'clerk', 'stranger', 'ann'];
const SURROUNDINGS: Surroundings = {
  values: new Map([
    ['operation.target', ['crm', 'shop']],
    ['principal.name', NAMES],
  ]),
  matched: new Map([['environment', ['production', 'staging']]]),
};

const figure = fc.constantFrom('effect.records', 'effect.recipients', 'risk.score', 'effect.bytes');
const atom = fc.oneof(
  fc
    .tuple(
      figure,
      fc.constantFrom('<', '<=', '>', '>=', '==', '!='),
      fc.integer({ min: -1, max: 6 }),
    )
    .map(([left, op, right]) => `${left} ${op} ${right}`),
  fc
    .tuple(fc.constantFrom('==', '!='), fc.constantFrom('create', 'update', 'delete', 'read'))
    .map(([op, value]) => `operation.class ${op} "${value}"`),
  fc
    .tuple(fc.constantFrom('==', '!='), fc.constantFrom(...NAMES))
    .map(([op, value]) => `principal.name ${op} "${value}"`),
  fc
    .subarray(['crm', 'shop'], { minLength: 1 })
    .map((names) => `operation.target in [${names.map((name) => `"${name}"`).join(', ')}]`),
  fc.constantFrom(
    'environment == "staging"',
    'principal.kind == "person"',
    'args.n == 1',
    'true',
    'false',
  ),
  fc.constantFrom(
    'effect.rows.exists(r, r.kind == "delete")',
    'effect.rows.all(r, r.kind != "update")',
  ),
);
const { condition } = fc.letrec<{ condition: string }>((tie) => ({
  condition: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    atom,
    fc.tuple(tie('condition'), tie('condition')).map(([left, right]) => `(${left} && ${right})`),
    fc.tuple(tie('condition'), tie('condition')).map(([left, right]) => `(${left} || ${right})`),
    tie('condition').map((inner) => `!(${inner})`),
    fc
      .tuple(tie('condition'), tie('condition'), tie('condition'))
      .map(([when, then, otherwise]) => `(${when} ? ${then} : ${otherwise})`),
  ),
}));

test('what is said never to hold is false, or cannot be evaluated, on any facts', () => {
  let never = 0;
  fc.assert(
    fc.property(condition, fc.array(facts, { minLength: 5, maxLength: 20 }), (text, all) => {
      const compiled = compileCondition(text);
      assert.ok(compiled.kind === 'compiled', text);
      if (compileCondition(text, SURROUNDINGS).kind === 'compiled') return;
      never += 1;
      for (const given of all) {
        let holds = false;
        try {
          holds = compiled.holds(given);
        } catch {
          // No answer is none that holds.
        }
        assert.equal(holds, false, text);
      }
    }),
    { numRuns: 1_500 },
  );
  assert.ok(never >= 50, `${never}`);
});
