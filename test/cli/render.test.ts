import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { columnsOf, inert, inertJson, palette, wrap } from '../../src/lib/terminal.ts';
import { lookOf, type Look } from '../../src/cli/look.ts';
import { planLines, type RowsShown } from '../../src/cli/render-plan.ts';
import { listLines, resultLines } from '../../src/cli/render-result.ts';
import type { ProposalView } from '../../src/model/api.ts';
import type { Result } from '../../src/model/result.ts';
import { DIGEST, ID, plan, updates, waitingView } from './fixture.ts';

const LOOK: Look = { columns: 80, paint: palette(false) };
const NOW = Date.UTC(2026, 10, 20, 14, 1, 0);
const PAGE: RowsShown = { kind: 'page', page: 1 };

/** Text that a hostile agent could put wherever it may put text. */
const HOSTILE = [
  '\u001b[2J\u001b[1;1Happroved by ada',
  '\u001b]8;;https://evil.example\u0007click\u001b]8;;\u0007',
  'refund \u202e00.1\u202c',
  'ad\u200bmin\u2060\ufeff',
  '\r\ndecision    allowed: all is well',
  '\u009b31mred',
  '\u{e0041}\u{e0042}',
  'a\u00a0b\u3164c\u2800d',
];

test('hostile text reaches no terminal as anything but text', () => {
  const reason = HOSTILE.join(' ');
  const view = waitingView({
    reason,
    run: reason,
    arguments: { statement: reason, other: reason },
    plan: plan({
      headline: reason,
      warnings: [reason],
      effects: [
        {
          resource: reason,
          kind: 'update',
          key: [reason],
          before: { [reason]: reason },
          after: { [reason]: `${reason}!` },
        },
      ],
    }),
  });
  const text = planLines(view, LOOK, { now: NOW, rows: PAGE }).join('\n');
  assertInert(text);
  assert.match(text, /⟨U\+202E⟩/);
  assert.match(text, /⟨U\+001B⟩\[2J/);
});

test('no line of foreign text can be read as a line of ours', () => {
  const view = waitingView({ reason: 'fine\ndecision    allowed: all is well' });
  const lines = planLines(view, LOOK, { now: NOW, rows: PAGE });
  assert.ok(lines.includes('  │ decision    allowed: all is well'));
  assert.ok(!lines.some((line) => /^\s*decision +allowed/.test(line)));
});

test('whatever the text, it comes out inert and JSON of it is the same value', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      assertInert(inert(text));
      assertInert(inertJson({ text }));
      assert.deepEqual(JSON.parse(inertJson({ text })), { text });
    }),
  );
});

test('wrapping drops no character and passes no edge', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: 'grapheme' }),
      fc.integer({ min: 2, max: 40 }),
      (text, columns) => {
        const safe = inert(text);
        const lines = wrap(safe, columns);
        assert.equal(lines.join(''), safe);
        for (const line of lines) assert.ok(columnsOf(line.trimEnd()) <= columns, line);
      },
    ),
  );
});

test('a plan is readable at 80 columns however long its values are', () => {
  const long = 'x'.repeat(3_000);
  const view = waitingView({
    reason: `${long} ${long}`,
    arguments: { statement: long },
    plan: plan({
      headline: long,
      effects: [
        {
          resource: 'public.notes',
          kind: 'update',
          key: ['1'],
          before: { body: long },
          after: { body: `${long}y` },
        },
      ],
    }),
  });
  const lines = planLines(view, LOOK, { now: NOW, rows: PAGE });
  for (const line of lines) assert.ok(columnsOf(line) <= 80, line);
  const written = lines.join('').replaceAll(/[ │]/g, '');
  assert.ok(written.includes(`"${long}"→"${long}y"`), 'both values are there whole');
});

test('only the columns that change are shown', () => {
  const text = planText(waitingView());
  assert.match(text, /email: "old1@example.org" → "new1@example.org"/);
  assert.doesNotMatch(text, /status:/);
});

test('null and the text null are told apart', () => {
  const [row] = updates(1);
  assert.ok(row);
  const view = waitingView({
    plan: plan({ effects: [{ ...row, before: { note: null }, after: { note: 'null' } }] }),
  });
  assert.match(planText(view), /note: null → "null"/);
});

test('no value can end its own quotes and go on as another change', () => {
  const [row] = updates(1);
  assert.ok(row);
  const before = { note: 'a" → "b' };
  const after = { note: 'c\\' };
  const view = waitingView({ plan: plan({ effects: [{ ...row, before, after }] }) });
  assert.ok(planText(view).includes(String.raw`note: "a\" → \"b" → "c\\"`), planText(view));
});

test('columns may be called what objects have already', () => {
  const [row] = updates(1);
  assert.ok(row);
  const names = ['__proto__', 'constructor', 'toString'];
  const image = (text: string) => Object.fromEntries(names.map((name) => [name, text]));
  const moved = { ...row, before: image('a'), after: image('b') };
  const half = { ...row, before: {}, after: image('b') };
  const text = planText(waitingView({ plan: plan({ effects: [moved, half] }) }));
  for (const name of names) {
    assert.ok(text.includes(`${name}: "a" → "b"`), text);
    assert.ok(text.includes(`${name}: null → "b"`), text);
  }
});

test('rows that are not on the page are counted, with the command that shows them', () => {
  const view = waitingView({ plan: plan({ effects: updates(60), effectsOmitted: 7 }) });
  const text = planText(view);
  assert.match(text, /Rows 1 to 25 of 67, direct/);
  assert.match(flat(text), new RegExp(`35 more rows: writegate show ${ID} --page 2, or --all`));
  assert.match(flat(text), /7 rows beyond these are counted and covered by the plan digest/);
  assert.doesNotMatch(text, /new26@/);
});

test('every row is reachable, page by page or all at once', () => {
  const view = waitingView({ plan: plan({ effects: updates(60) }) });
  const pages = [1, 2, 3].map((page) => planText(view, { kind: 'page', page })).join('\n');
  const all = planText(view, { kind: 'all' });
  for (let row = 1; row <= 60; row += 1) {
    assert.ok(pages.includes(`new${row}@`));
    assert.ok(all.includes(`new${row}@`));
  }
  assert.doesNotMatch(all, /more row/);
});

test('money is written in major units of its currency', () => {
  const value = [{ currency: 'GBP', amountMinor: '1234567' }];
  assert.match(planText(waitingView({ plan: plan({ value }) })), /value +GBP 12,345\.67/);
});

test('deletes come first, and cascades stand apart with what did them', () => {
  const count = { via: null, created: 0, updated: 0, deleted: 0 };
  const view = waitingView({
    plan: plan({
      counts: [
        { ...count, resource: 'public.audit', attribution: 'trigger', via: 'log_it', created: 3 },
        {
          ...count,
          resource: 'public.orders',
          attribution: 'cascade',
          via: 'orders_fk',
          deleted: 212,
        },
        { ...count, resource: 'public.customers', attribution: 'direct', deleted: 1 },
      ],
    }),
  });
  const text = planText(view);
  const [customers, orders, audit] = [
    'changes     public.customers: 1 deleted',
    'also        public.orders: 212 deleted by cascade (orders_fk)',
    'also        public.audit: 3 created by trigger (log_it)',
  ].map((line) => text.indexOf(line));
  assert.ok(customers !== undefined && orders !== undefined && audit !== undefined);
  assert.ok(customers >= 0 && customers < orders && orders < audit, text);
});

test('one-way is said before the counts, with its reason', () => {
  const view = waitingView({
    plan: plan({ reversibility: { kind: 'one-way', reason: 'the table has no key' } }),
  });
  const text = planText(view);
  assert.ok(text.indexOf('one-way: the table has no key') < text.indexOf('changes '));
  assert.ok(text.includes('one-way: the table has no key'));
});

test('it says why it was held, who is asked, and which plan an approval names', () => {
  const text = planText(waitingView());
  assert.match(text, /Why it was held/);
  assert.match(text, /threshold-exceeded: 312 records are over the threshold of 100/);
  assert.match(text, /allows +corrections of customers \(rules\.corrections\)/);
  assert.match(text, /2 people of finance/);
  assert.ok(text.includes(`\n    ${DIGEST}\n`), 'the whole digest on one line');
  assert.match(text, new RegExp(`writegate approve ${ID} --digest 9f2c41d07b3eaaaa$`));
});

test('a drift is shown with its rows, and what is left out is counted', () => {
  const tally = { created: 0, updated: 3, deleted: 0 };
  const view = waitingView({
    drift: {
      shownDigest: DIGEST,
      at: NOW,
      difference: {
        counts: [
          {
            resource: 'public.invoices',
            attribution: 'direct',
            shown: tally,
            now: { ...tally, updated: 4 },
          },
        ],
        rowsGone: [],
        rowsNew: updates(1),
        rowsMoved: [
          {
            resource: 'public.invoices',
            key: ['7'],
            columns: [{ column: 'total', image: 'before', shown: '10', now: '11' }],
          },
        ],
        rowsOmitted: 40,
        sentence: '1 row more than was shown',
      },
    },
  });
  const text = planText(view);
  assert.match(flat(text), /3 updated, 0 created → 0 deleted, 4 updated/);
  assert.match(text, /newly: update public.customers "1"/);
  assert.match(text, /total \(before\): "10" → "11"/);
  assert.match(text, /and 40 more rows that differ and are not listed/);
});

test('a result says state, headline, code, digest and what to type next', () => {
  const result: Result = {
    ...RESULT,
    state: 'waiting',
    code: 'threshold-exceeded',
    reason: '312 records are over the threshold of 100',
    expiresAt: NOW + 1_740_000,
    difference: null,
  };
  const text = resultLines(result, LOOK, NOW).join('\n');
  assert.match(text, new RegExp(`^waiting  ${ID}\n  1 update in public.customers`));
  assert.match(text, /decision +threshold-exceeded: 312 records/);
  assert.match(text, /29 min left; then nothing is written/);
  assert.match(text, new RegExp(`Next:\n  writegate show ${ID}\n`));
});

test('a refused rollback names each row and column that stands in the way', () => {
  const result: Result = {
    ...RESULT,
    state: 'refused',
    code: 'rollback-conflict',
    conflicts: [
      {
        resource: 'public.customers',
        key: ['17'],
        problem: 'row-changed',
        columns: [{ column: 'email', expected: 'a@b', found: null }],
      },
    ],
  };
  const text = resultLines(result, LOOK, NOW).join('\n');
  assert.match(text, /row-changed: public.customers 17/);
  assert.match(text, /email: expected "a@b", found null/);
});

test('a list line names agent, target, code and what is left of the time', () => {
  const text = listLines([waitingView()], LOOK, NOW).join('\n');
  assert.match(text, /by crm-bot · on crm · risk medium · threshold-exceeded · 29 min left/);
});

test('colours are for terminals, and NO_COLOR takes them away', () => {
  const write = (): void => {};
  const terminal = { isTerminal: true, columns: 80, write };
  assert.equal(lookOf(terminal, {}).paint.red('x'), '\u001b[31mx\u001b[39m');
  assert.equal(lookOf(terminal, { NO_COLOR: '1' }).paint.red('x'), 'x');
  assert.equal(lookOf({ ...terminal, isTerminal: false }, {}).paint.red('x'), 'x');
});

const RESULT = {
  proposalId: ID,
  reason: 'because',
  next: 'wait',
  links: { self: null, human: null },
  retryAfterMs: null,
  headline: '1 update in public.customers; reversible: proved',
  planDigest: DIGEST,
  replayed: false,
} as const;

function planText(view: ProposalView, rows: RowsShown = PAGE): string {
  return planLines(view, LOOK, { now: NOW, rows }).join('\n');
}

/** The text as it reads, wherever its lines break. */
function flat(text: string): string {
  return text.replaceAll(/\s+/g, ' ');
}

function assertInert(text: string): void {
  for (const line of text.split('\n')) {
    assert.doesNotMatch(line, /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\u3164\u2800\u00a0]/u);
  }
}
