import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { compileCondition, whyErrored } from './conditions.ts';
import { VIEW_BOUNDS } from './views.ts';
import { cascade, direct, factsOf, row, type FactOptions } from '../../../test/support/policy.ts';

function holds(text: string, options: FactOptions = {}): boolean {
  const condition = compileCondition(text);
  assert.ok(condition.kind === 'compiled', JSON.stringify(condition));
  return condition.holds(factsOf(options));
}

function why(text: string, options: FactOptions = {}): string {
  try {
    return `held: ${holds(text, options)}`;
  } catch (thrown) {
    return whyErrored(thrown);
  }
}

describe('a condition', () => {
  test('sees who, what, where and when', () => {
    for (const text of [
      'principal.name == "billing-bot" && principal.kind == "agent" && principal.owner == "alice"',
      'operation.name == "sql" && operation.target == "crm"',
      'operation.class == "update" && operation.resource == "public.customers"',
      'environment == "production" && run == ""',
      'risk.score == 10 && risk.level == "low"',
      'now == timestamp("2026-11-20T13:30:00Z")',
      'now.getHours() == 13 && now.getDayOfWeek("Europe/London") == 5',
    ]) {
      assert.equal(holds(text), true, text);
    }
  });

  test('sees every measure of the effect', () => {
    const plan = {
      counts: [
        direct('public.customers', { updated: 2 }),
        cascade('public.orders', { deleted: 5 }),
      ],
      recipients: 3,
      bytes: 64,
      value: [
        { currency: 'GBP', amountMinor: '100' },
        { currency: 'GBP', amountMinor: '23' },
        { currency: 'EUR', amountMinor: '90071992547409930' },
      ],
    };
    for (const text of [
      'effect.records == 7 && effect.recordsDirect == 2 && effect.recordsIndirect == 5',
      'effect.recordsDeleted == 5 && effect.resources == 2',
      'effect.recipients == 3 && effect.bytes == 64 && effect.amplification > 2',
      'effect.reversibility == "proved"',
      'effect.valueMinor["GBP"] == 123',
      'effect.valueMinor["EUR"] == 90071992547409930',
      '!has(effect.valueMinor.USD)',
    ]) {
      assert.equal(holds(text, { plan }), true, text);
    }
  });

  test('sees the rows, before and after, as the text of the target', () => {
    const effects = [
      row(),
      row({ key: ['2'], before: null, after: { id: '2', constructor: 'x', note: null } }),
    ];
    const plan = { effects };
    assert.equal(holds('effect.rows.size() == 2', { plan }), true);
    assert.equal(holds('effect.rows[0].before.tier == "basic"', { plan }), true);
    assert.equal(holds('effect.rows.all(r, int(r.after.id) < 3)', { plan }), true);
    assert.equal(holds('effect.rows.exists(r, !has(r.before.id))', { plan }), true);
    assert.equal(
      holds('effect.rows[1].after.constructor == "x" && effect.rows[1].after.note == null', {
        plan,
      }),
      true,
    );
  });

  test('sees the arguments, whole numbers as int and others as double', () => {
    const args = { n: 5, rate: 0.5, ids: [1, 2], who: { name: 'x' }, gone: null, constructor: 1 };
    for (const text of [
      'args.n == 5 && args.n > 4.5 && args.rate < 1',
      '2 in args.ids && args.who.name == "x" && args.gone == null',
      'args.constructor == 1 && !has(args.toString)',
      'args.ids.map(id, id + 1).all(id, id > 1)',
    ]) {
      assert.equal(holds(text, { args }), true, text);
    }
  });

  test('cannot be evaluated on a missing key, a wrong type or an overflow', () => {
    assert.equal(why('args.missing == 1'), 'its condition met `no_such_key` at character 6');
    assert.match(why('args.n > 5', { args: { n: 'a' } }), /no_such_overload/);
    assert.match(why('effect.valueMinor["GBP"] > 1'), /no_such_key/);
    assert.notEqual(why('effect.records + 9223372036854775807 > 0').startsWith('held'), true);
  });

  test('that looks at rows which are not all there cannot be evaluated, whatever stands beside it', () => {
    const omitted = { effects: [row()], effectsOmitted: 46_999 };
    const reason = '47,000 rows would change, a condition sees at most 2,000 and all or none';
    assert.equal(why('effect.rows.all(r, r.kind == "update")', { plan: omitted }), reason);
    assert.equal(why('effect.rows.exists(r, true) || true', { plan: omitted }), reason);
    assert.equal(holds('effect.records == 1', { plan: omitted }), true);
    const many = { effects: Array.from({ length: VIEW_BOUNDS.rowsMax + 1 }, () => row()) };
    assert.match(why('effect.rows.size() > 0', { plan: many }), /^2,001 rows/);
  });

  const masked = {
    maskedColumns: ['public.customers.tier'],
    effects: [
      row({ after: { id: '1', note: null, tier: null } }),
      row({ after: { id: '1', note: null, tier: null } }),
    ],
  };

  test('that reads a column only known at the commit cannot be evaluated, however it reads', () => {
    for (const text of [
      'effect.rows.exists(r, r.after.tier == "gold")',
      'effect.rows.all(r, r.after["tier"] != "gold")',
      'effect.rows[0].after["ti" + "er"] == null',
      'effect.rows.exists(r, has(r.after.tier) && r.after.tier == "gold")',
      'effect.rows.exists(r, !has(r.after.tier))',
      'effect.rows.filter(r, has(r.after.tier)).size() == 0',
      '"tier" in effect.rows[0].after',
      'size(effect.rows[0].after) == 3',
      'effect.rows[0].after.size() == 3',
      'effect.rows[0].after == {"id": "1"}',
      'effect.rows[0].after != effect.rows[0].before',
      'effect.rows[0].after == effect.rows[1].after',
      'effect.rows[0].after in [effect.rows[1].after]',
      '[effect.rows[0].after] == [effect.rows[1].after]',
      '{"a": effect.rows[0].after} == {"a": effect.rows[1].after}',
      'effect.rows[0].after.all(column, column != "tier")',
      'effect.rows[0].after.exists(column, column == "id")',
      'effect.rows[0].after.map(column, column).size() == 3',
      'dyn(effect.rows[0].after).tier == null',
      'cel.bind(after, effect.rows[0].after, after.tier == null)',
      '(effect.records > 0 ? effect.rows[0].after : effect.rows[0].before).tier == null',
      'effect.rows[0].after.tier == "gold" || true',
      'true || effect.rows[0].after.tier == "gold" ? effect.rows[0].after.tier == null : true',
      'effect.rows.exists(r, r.after.tier == "gold" || r.after.id == "1")',
    ]) {
      assert.equal(
        why(text, { plan: masked }),
        '`public.customers.tier` is only known at the commit',
        text,
      );
    }
  });

  test('sees the columns beside one that is only known at the commit', () => {
    for (const text of [
      'effect.rows.all(r, r.after.id == "1" && r.after["note"] == null && has(r.after.id))',
      'effect.rows.exists(r, !has(r.after.other))',
      'effect.rows[0].before.tier == "basic" && effect.rows[0].before.size() == 2',
    ]) {
      assert.equal(holds(text, { plan: masked }), true, text);
    }
    const two = { ...masked, maskedColumns: ['public.customers.id', 'public.customers.tier'] };
    assert.equal(
      why('effect.rows[0].after.tier == null', { plan: two }),
      '`public.customers.id` and `public.customers.tier` are only known at the commit',
    );
    const gone = { ...masked, effects: [row({ kind: 'delete', after: null })] };
    assert.equal(holds('effect.rows.exists(r, !has(r.after.tier))', { plan: gone }), true);
    const elsewhere = { ...masked, effects: [row({ resource: 'public.customers_old' })] };
    assert.equal(holds('effect.rows[0].after.tier == "gold"', { plan: elsewhere }), true);
  });

  test('cannot read a masked column in a row of a part of what the column is named by', () => {
    const plan = {
      maskedColumns: ['public.customers.tier'],
      effects: [row({ resource: 'public.customers_1', after: { id: '1', tier: null } })],
      partOf: { 'public.customers_1': ['public.customers_all', 'public.customers'] },
    };
    const reason = '`public.customers_1.tier` is only known at the commit';
    assert.equal(why('effect.rows[0].after.tier == null', { plan }), reason);
    assert.equal(holds('effect.rows[0].after.id == "1"', { plan }), true);
  });

  test('that looks at value which was not all measured cannot be evaluated', () => {
    const plan = { valueComplete: false, value: [{ currency: 'GBP', amountMinor: '1' }] };
    const reason = 'not all of the value could be measured';
    assert.equal(why('effect.valueMinor["GBP"] < 10', { plan }), reason);
    assert.equal(why('!has(effect.valueMinor.GBP)', { plan }), reason);
  });

  test('that looks through too many arguments cannot be evaluated', () => {
    const args = { ids: Array.from({ length: VIEW_BOUNDS.argumentValuesMax }, (_id, at) => at) };
    assert.match(why('args.ids.size() > 0', { args }), /more than the 2,000 values/);
    assert.equal(holds('effect.records == 1', { args }), true);
  });

  test('says nothing of one write in the evaluation of the next', () => {
    const condition = compileCondition('args.n == 1 && effect.rows.size() == 1');
    assert.ok(condition.kind === 'compiled');
    const whole = factsOf({ args: { n: 1 }, plan: { effects: [row()] } });
    const omitted = factsOf({ args: { n: 1 }, plan: { effects: [row()], effectsOmitted: 1 } });
    assert.equal(condition.holds(whole), true);
    assert.throws(() => condition.holds(omitted));
    assert.throws(() => condition.holds(omitted));
    assert.equal(condition.holds(whole), true);
  });
});

describe('a condition does not load', () => {
  const invalid = (text: string) => {
    const condition = compileCondition(text);
    assert.ok(condition.kind === 'invalid', text);
    return `${condition.offset}: ${condition.message}`;
  };

  test('where it does not parse, names what is not there, or mixes types', () => {
    assert.equal(
      invalid('1 +'),
      '3: expected a condition in CEL, found its end where a value or a name belongs; write the value, or remove what asks for it',
    );
    assert.equal(
      invalid('principal.nam == "x"'),
      '10: expected a condition in CEL, found no such key: nam; write `name`',
    );
    assert.match(invalid('unknown == 1'), /^0: .*unknown variable/);
    assert.match(invalid('effect.rows.all(r, r.knd == "x")'), /^21: .*no such key: knd/);
    assert.match(invalid('effect.records > "3"'), /no such overload: int > string/);
    assert.match(invalid('effect.constructor == 1'), /no such key: constructor/);
  });

  test('and says what to do about each slip', () => {
    for (const [text, remedy] of [
      ['(effect.records > 1', 'expected `)`, found its end; add `)`'],
      ['effect.records > > 1', 'found `>` where a value or a name belongs; write the value'],
      ['effect.amplifcation > 2.0', 'no such key: amplifcation; write `amplification`'],
      ['effect.records = 1', 'found `=` where it has no meaning; write `==`'],
      ['effect.records > 1 and true', 'found `and` where it has no meaning; write `&&`'],
      ['effect.records > 1 & true', 'found `&` where it has no meaning; write `&&`'],
      ['principle.name == "x"', 'unknown variable: principle; write `principal`'],
      ['"abc', 'found a text that does not end; close its quotes'],
      ['foo(1)', "found no function 'foo(int)'; correct its name"],
      ['effect.records > "x"', 'have values of one type on both sides'],
      ['has(effect)', '; correct it'],
    ] as const) {
      assert.ok(invalid(text).includes(remedy), invalid(text));
    }
    assert.match(
      invalid('operation.class == delete'),
      /unknown variable: delete; .*or put it in quotes if it is a text$/,
    );
  });

  test('where it is neither true nor false', () => {
    assert.match(invalid('effect.records'), /^0: expected a condition .* type `int`/);
    assert.match(invalid('args.flag'), /type `dyn`; compare it/);
  });

  test('where it is longer or deeper than the bounds', () => {
    assert.match(invalid(Array.from({ length: 400 }, () => 'true').join(' && ')), /exceeded/);
    assert.match(invalid(`${'('.repeat(200)}true${')'.repeat(200)}`), /exceeded/);
  });

  test('where a loop stands inside a loop', () => {
    assert.match(
      invalid('args.a.all(x, args.b.exists(y, x == y))'),
      /^14: .*no loop inside a loop/,
    );
    assert.match(invalid('args.a.all(x, args.b.map(y, y) == [x])'), /no loop inside a loop/);
    assert.match(invalid('args.a.exists(x, has(x.b) ? args.b.all(y, y == x) : true)'), /no loop/);
    assert.equal(compileCondition('args.a.filter(x, x > 1).all(x, x < 9)').kind, 'compiled');
    assert.equal(compileCondition('args.a.all(x, x > 1) && args.b.all(x, x > 1)').kind, 'compiled');
  });
});

describe('matches', () => {
  test('finds a pattern anywhere in a string, as CEL has it', () => {
    const args = { name: 'public.customers' };
    assert.equal(holds('args.name.matches("cust")', { args }), true);
    assert.equal(holds('args.name.matches("^cust")', { args }), false);
    assert.equal(holds('operation.resource.matches(r"^public\\.c\\w+$")'), true);
    assert.equal(
      holds('args.ids.all(id, id.matches("^[0-9]+$"))', { args: { ids: ['1', '22'] } }),
      true,
    );
  });

  test('takes linear time on the 27 characters that hold a backtracking engine for seconds', () => {
    const condition = compileCondition(
      'args.text.matches("^(a+)+$") || args.text.matches("(x+x+)+y")',
    );
    assert.ok(condition.kind === 'compiled');
    const started = process.hrtime.bigint();
    for (const text of [`${'a'.repeat(26)}b`, 'x'.repeat(27), `${'a'.repeat(100_000)}b`]) {
      assert.equal(condition.holds(factsOf({ args: { text } })), false);
    }
    assert.ok(process.hrtime.bigint() - started < 1_000_000_000n);
  });

  test('is never the backtracking one, in whatever place it stands', () => {
    // RE2 has no back-references: where one loads, the package's own `matches` was reached.
    for (const text of [
      '"aa".matches(r"(a)\\1")',
      'args.a.matches(r"(a)\\1")',
      'args.a.exists(x, x.matches(r"(a)\\1"))',
      'string(args.a).matches(r"(a)\\1")',
      'cel.bind(s, "aa", s.matches(r"(a)\\1"))',
      '{"a": "aa"}.a.matches(r"(a)\\1")',
    ]) {
      const condition = compileCondition(text);
      assert.ok(condition.kind === 'invalid', text);
      assert.match(condition.message, /expected a pattern in RE2 syntax/);
    }
  });

  test('takes a quoted pattern alone, and a string to match', () => {
    for (const text of ['args.a.matches(args.b)', 'args.a.matches("a" + "b")', '"a".matches(1)']) {
      assert.equal(compileCondition(text).kind, 'invalid', text);
    }
    assert.match(JSON.stringify(compileCondition('effect.records.matches("1")')), /`int` has no/);
    assert.equal(compileCondition('matches("a", "b")').kind, 'invalid');
    assert.equal(
      why('args.a.matches("1")', { args: { a: 1 } }),
      'its condition could not be evaluated',
    );
  });
});

test('whatever the text, a condition loads or says where it does not', () => {
  const words = fc.constantFrom(
    'effect',
    '.',
    'records',
    'rows',
    '.all(',
    'r',
    ',',
    ')',
    '(',
    '&&',
    '!',
    '==',
    '1',
    '"',
    "'",
    '\n',
    '[',
    '0',
    ']',
    'args',
    '.matches(',
    'has(',
    '?',
    ':',
    '-',
    'in',
    'null',
    '\\',
    'b"',
  );
  fc.assert(
    fc.property(fc.array(words, { maxLength: 12 }), (parts) => {
      const text = parts.join('');
      const condition = compileCondition(text);
      if (condition.kind === 'invalid') {
        assert.ok(condition.offset >= 0 && condition.offset <= text.length);
        assert.match(condition.message, /^expected /);
      }
    }),
    { numRuns: 3_000 },
  );
});
