import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { PolicyFacts } from '../evaluate.ts';
import { ruleFindings } from '../evaluate.ts';
import { compileCondition, whyErrored } from './conditions.ts';
import { contextOf, VIEW_BOUNDS } from './views.ts';
import { WORK_BOUNDS } from './work.ts';
import { factsOf, policyFrom, row } from '../../../test/support/policy.ts';

const TOO_MUCH = 'it takes more work than it may';
const TEXT_LENGTH = 262_144;

function asked(
  text: string,
  facts: PolicyFacts,
): { readonly said: string; readonly steps: number } {
  const condition = compileCondition(text);
  assert.ok(condition.kind === 'compiled', `${text}: ${JSON.stringify(condition)}`);
  const before = contextOf(facts).spent.steps;
  let said: string;
  try {
    said = String(condition.holds(facts));
  } catch (thrown) {
    said = whyErrored(thrown);
  }
  return { said, steps: contextOf(facts).spent.steps - before };
}

const rows = Array.from({ length: VIEW_BOUNDS.rowsMax }, (_row, at) =>
  row({ key: [String(at)], after: { id: String(at), note: `note ${'x'.repeat(1_000)}` } }),
);
const ids = Array.from({ length: VIEW_BOUNDS.argumentValuesMax - 10 }, (_id, at) => at);
const half = 'a'.repeat(TEXT_LENGTH / 4);

/** The text doubled by each of `times`. */
function doubled(start: string, times: number, end: (last: string) => string): string {
  const names = Array.from({ length: times }, (_name, at) => `v${at}`);
  const last = names.at(-1) ?? '';
  return names.reduceRight((inner, name, at) => {
    const from = at === 0 ? start : `v${at - 1}`;
    return `cel.bind(${name}, ${from} + ${from}, ${inner})`;
  }, end(last));
}

describe('a condition that would take long', () => {
  const attacks: readonly (readonly [string, string, PolicyFacts])[] = [
    [
      'a needle that the text all but has, everywhere',
      'args.text.contains(args.word)',
      factsOf({ args: { text: 'a'.repeat(TEXT_LENGTH), word: `${half}b${half}` } }),
    ],
    [
      'the same from the end',
      'args.text.lastIndexOf(args.word) >= 0',
      factsOf({ args: { text: 'a'.repeat(TEXT_LENGTH), word: `${half}${half}b` } }),
    ],
    [
      'digits without a unit as a duration',
      'duration(args.text) > duration("1s")',
      factsOf({ args: { text: '1'.repeat(2_000) } }),
    ],
    [
      'a pattern that has to try every step at every character',
      'args.text.matches("[ab].{20}zzzzz|x.{19}qqqqqqq")',
      factsOf({ args: { text: 'abxzq'.repeat(TEXT_LENGTH / 5) } }),
    ],
    [
      'a pattern on every row, several times',
      `effect.rows.exists(r, ${Array.from({ length: 8 }, () => 'r.after.note.matches("(?i)g.*ld")').join(' || ')})`,
      factsOf({ plan: { effects: rows } }),
    ],
    [
      'a list looked through for each of its items',
      'args.ids.exists(x, (x + 9999) in args.ids || (x + 9998) in args.ids)',
      factsOf({ args: { ids } }),
    ],
    [
      'a list that doubles',
      doubled('args.ids', 20, (last) => `${last}.size() > 0`),
      factsOf({ args: { ids } }),
    ],
    [
      'a text that doubles',
      doubled('args.text', 20, (last) => `${last}.size() > 0`),
      factsOf({ args: { text: 'é'.repeat(TEXT_LENGTH) } }),
    ],
    [
      'a text in pieces, again and again',
      `effect.rows.all(r, args.text.split("").size() > 0)`,
      factsOf({ args: { text: 'a'.repeat(TEXT_LENGTH) }, plan: { effects: rows } }),
    ],
    [
      'JSON read for every row',
      'effect.rows.all(r, bytes(args.text).json().size() >= 0)',
      factsOf({
        args: { text: `{"a":[${'[],'.repeat(TEXT_LENGTH / 4)}1]}` },
        plan: { effects: rows },
      }),
    ],
    [
      "a time zone's calendar for every row",
      'effect.rows.all(r, now.getHours("Europe/London") < 24)',
      factsOf({ plan: { effects: rows } }),
    ],
    [
      'errors on every row, which loops pass over',
      Array.from({ length: 3 }, () => 'effect.rows.all(r, int(r.after.note) > 0)').join(' || '),
      factsOf({ plan: { effects: rows } }),
    ],
    [
      'texts put together from every row',
      'effect.rows.all(r, effect.rows[0].after.note.split("x").join(args.text).size() > 0)',
      factsOf({ args: { text: 'a'.repeat(10_000) }, plan: { effects: rows } }),
    ],
  ];
  for (const [name, text, facts] of attacks) {
    test(`cannot be evaluated: ${name}`, () => {
      // What stands beside it does not make up for it.
      const { said, steps } = asked(`(${text}) || true`, facts);
      assert.equal(said, TOO_MUCH);
      assert.ok(steps > WORK_BOUNDS.conditionStepsMax);
    });
  }

  test('loops over no more items than it may', () => {
    const facts = factsOf({ args: { text: 'a'.repeat(TEXT_LENGTH) } });
    const { said } = asked('args.text.split("").exists(x, x == "b")', facts);
    assert.equal(said, 'it loops over more items than it may');
  });

  test('has no loop inside of another to begin with, not through a name either', () => {
    for (const text of [
      'effect.rows.all(r, effect.rows.all(o, o.kind == r.kind))',
      'args.ids.map(x, args.ids.filter(y, y == x)).size() > 0',
      'args.ids.all(x, cel.bind(all, args.ids, all.exists(y, y == x)))',
    ]) {
      assert.equal(compileCondition(text).kind, 'invalid', text);
    }
  });
});

test('an ordinary condition is far from its bound, on as many rows as it may see', () => {
  const facts = factsOf({ args: { ids, word: 'gold' }, plan: { effects: rows } });
  for (const text of [
    'effect.rows.all(r, r.after.note != "" && r.after.id >= 0 && size(r.after.note) < 5000)',
    'effect.rows.exists(r, r.after.note.contains(args.word) || r.after.note.endsWith("z"))',
    'effect.rows.filter(r, r.after.id in ["1", "2"]).size() == 2',
    'args.ids.map(x, x + 1).all(x, x > 0)',
    'now.getHours("Europe/London") < 6 || now.getDayOfWeek() == 0 || true',
  ]) {
    const { said, steps } = asked(text, facts);
    assert.match(said, /^(?:true|false)$/, text);
    assert.ok(steps < WORK_BOUNDS.conditionStepsMax / 3, `${text}: ${steps}`);
  }
});

test('every kind of node is paid for', () => {
  for (const [text, steps] of [
    ['true', 1],
    ['principal.name == "billing-bot"', 4 + 2 + 2],
    ['[1, 2][0] == 1 || {"a": 1}.a == 1', 8],
    ['!(effect.records > 1 ? true : false)', 7],
    ['args.n == 1', 4],
    ['has(args.n)', 1],
    ['args.ids.all(x, x > 0)', 2 + 3 + 3 * 3],
    ['size(args.ids) == 3', 5 + 1],
    ['args.text.matches("a+")', 2 + 4 * 4],
    ['1 in args.ids', 4 + 1],
  ] as const) {
    const facts = factsOf({ args: { n: 1, ids: [1, 2, 3], text: 'aaaa' } });
    assert.equal(asked(text, facts).steps, steps, text);
  }
});

test('all the conditions of a stage have one bound together, and what is over it denies', () => {
  const facts = factsOf({ args: { ids } });
  const walk = 'args.ids.all(x, x in args.ids && true)';
  const { steps } = asked(walk, facts);
  const rules = Array.from(
    { length: Math.ceil(WORK_BOUNDS.stageStepsMax / steps) },
    (_rule, at) =>
      `- { id: r${at}, effect: permit, when: '${walk} && effect.records > ${at}', reason: r }`,
  );
  const policy = policyFrom(`
version: 1
targets: { crm: { kind: fake } }
agents: { billing-bot: { permissions: [{ target: crm, tier: autonomous }] } }
rules:
${rules.join('\n')}
`);
  for (let again = 0; again < 2; again += 1) {
    const errored = ruleFindings(policy, facts).filter(({ code }) => code === 'rule-errored');
    assert.equal(errored.length, 1);
    assert.match(
      errored[0]?.reason ?? '',
      /could not be evaluated, so it denies: it takes more work/,
    );
  }
});
