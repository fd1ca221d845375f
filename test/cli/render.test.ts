import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { columnsOf, inert, inertJson, palette, wrap } from '../../src/lib/terminal.ts';
import { pipeColumns } from '../../src/cli/io.ts';
import { lookOf, type Look } from '../../src/cli/look.ts';
import { traceLines } from '../../src/cli/trace.ts';
import { planLines } from '../../src/cli/render-plan.ts';
import { readLines } from '../../src/cli/render-read.ts';
import { rowPageLines, type RowsShown } from '../../src/cli/render-rows.ts';
import { freezeLines, listLines, resultLines } from '../../src/cli/render-result.ts';
import { gatewayLines, storeLines } from '../../src/cli/render-store.ts';
import { reportLines } from '../../src/cli/ledger.ts';
import { BASELINES, STATUS } from '../support/fake-gate.ts';
import { baselineLines } from '../../src/cli/baseline.ts';
import { budgetLines } from '../../src/cli/budgets.ts';
import type { BudgetView, FreezeView } from '../../src/model/api.ts';
import type { ProposalView } from '../../src/model/api.ts';
import { newEvidenceId, newFreezeId, type EvidenceId } from '../../src/model/ids.ts';
import type { ReadResult } from '../../src/model/read.ts';
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

test('wrapping drops nothing but blanks at a break, and passes no edge', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: 'grapheme' }),
      fc.integer({ min: 2, max: 40 }),
      (text, columns) => {
        const safe = inert(text);
        const lines = wrap(safe, columns);
        assert.equal(lines.join('').replaceAll(' ', ''), safe.replaceAll(' ', ''));
        for (const line of lines) assert.ok(columnsOf(line) <= columns, line);
      },
    ),
  );
});

test('a line that fills the width has no blank over its edge, and a sentence no empty row', () => {
  assert.deepEqual(wrap('four four four', 4), ['four', 'four', 'four']);
  const words = fc.array(fc.stringMatching(/^[a-z]{1,9}[.)]?$/), { minLength: 1, maxLength: 30 });
  fc.assert(
    fc.property(words, fc.integer({ min: 10, max: 44 }), (all, columns) => {
      const lines = wrap(all.join(' '), columns);
      assert.equal(lines.join(' '), all.join(' '), 'a break stands for one blank');
      for (const line of lines) assert.ok(line !== '' && columnsOf(line) <= columns, line);
    }),
  );
});

test('what closes is alone on no line', () => {
  assert.deepEqual(wrap(`see (${'f'.repeat(16)})`, 17), ['see', `(${'f'.repeat(15)}`, 'f)']);
});

test('a trace keeps what is copied whole at 44 columns', () => {
  const place = { run_id: 'run_1', at: NOW, proposal: ID, tool: 'crm.sql' };
  const lines = [
    ...traceLines(
      {
        ...place,
        step: 1,
        event: 'tool_call',
        args_hash: DIGEST,
        decision: 'wait',
        code: 'threshold-exceeded',
        rule: 'thresholds.records',
        ok: false,
      },
      { ...LOOK, columns: 44 },
    ),
    ...traceLines({ ...place, step: 2, event: 'compensated', by: ID }, { ...LOOK, columns: 44 }),
  ];
  assert.ok(lines.includes(`    ${DIGEST}`), lines.join('\n'));
  assert.equal(lines.filter((line) => line === `    ${ID}`).length, 2, lines.join('\n'));
});

test('a pipe is as wide as $COLUMNS says, and 80 where that is no number', () => {
  assert.equal(pipeColumns({ COLUMNS: '60' }), 60);
  assert.equal(pipeColumns({ COLUMNS: '7' }), 40);
  for (const odd of ['', '0', '-3', 'wide', '1e9']) assert.equal(pipeColumns({ COLUMNS: odd }), 80);
  assert.equal(pipeColumns({}), 80);
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
  assert.match(text, /Rows 1 to 25 of 67$/m);
  assert.match(
    flat(text),
    new RegExp(`35 more rows here: writegate show ${ID} --page 2, or --all`),
  );
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
    'also        public.orders: 212 deleted by cascade of constraint orders_fk',
    'also        public.audit: 3 created by trigger function log_it',
  ].map((line) => text.indexOf(line));
  assert.ok(customers !== undefined && orders !== undefined && audit !== undefined);
  assert.ok(customers >= 0 && customers < orders && orders < audit, text);
});

test('what follows from the write stands apart from it, each row with what made it change', () => {
  const gone = (resource: string, key: string) =>
    ({ resource, kind: 'delete', key: [key], before: { id: key }, after: null }) as const;
  const effects = [
    { ...gone('public.orders', '7'), by: { attribution: 'cascade', via: 'orders_fk' } } as const,
    ...updates(1),
    gone('public.customers', '9'),
    { ...gone('public.log', '8'), by: { attribution: 'rule', via: 'log_rule' } } as const,
    { ...gone('public.odd', '5'), by: { attribution: 'indirect', via: null } } as const,
  ];
  const text = planText(waitingView({ plan: plan({ effects }) }));
  const places = [
    'delete public.customers "9"',
    'update public.customers "1"',
    'as a consequence',
    'delete public.orders "7", by cascade of constraint orders_fk',
    'delete public.log "8", by rule log_rule',
    'delete public.odd "5", indirectly, by what is not known',
  ].map((line) => text.indexOf(line));
  assert.ok(!places.includes(-1), text);
  assert.deepEqual(
    places,
    places.toSorted((left, right) => left - right),
  );
});

test('columns say at a glance what the write does to them', () => {
  const change = { resource: 'public.tickets', column: 'status', rows: 40 };
  const example = { before: 'open', after: 'closed', rows: 40 };
  const columns = [
    { ...change, examples: [example] },
    {
      ...change,
      column: 'note',
      examples: [
        { before: null, after: 'x', rows: 30 },
        { before: 'null', after: 'x', rows: 2 },
      ],
    },
    { ...change, column: 'seen_at', examples: [] },
  ];
  const text = flat(planText(waitingView({ plan: plan({ columns }) })));
  assert.ok(text.includes('column public.tickets.status: "open" → "closed" in 40 rows'), text);
  assert.ok(
    text.includes(
      'public.tickets.note in 40 rows: null → "x" in 30; "null" → "x" in 2; others in 8',
    ),
    text,
  );
  assert.ok(text.includes('public.tickets.seen_at in 40 rows'), text);
});

test('rows beyond the plan are reachable by the command that it names', () => {
  const evidence = { id: evidenceIdOf(), rows: 47_000, bytes: 9_000_000 };
  const changes = { effects: updates(60), effectsOmitted: 46_940, evidence };
  const text = flat(planText(waitingView({ plan: plan(changes) })));
  assert.ok(text.includes(`60 of 47,000 rows can be shown here; writegate rows ${ID} for`), text);
});

test('a page of rows says which they are, how many are left, and how to get them', () => {
  const page = {
    items: updates(2),
    from: 100,
    total: 47_000,
    left: 46_898,
    missing: null,
    maskedColumns: ['public.customers.since'],
  } as const;
  const asked = { id: ID, limit: 2, resource: 'public.customers', kind: 'update' } as const;
  const text = rowPageLines({ ...page, as: 'applied' }, asked, LOOK).join('\n');
  assert.match(text, /^Rows 101 to 102 of 47,000, as applied\n/);
  assert.match(text, /email: "old1@example.org" → "new1@example.org"/);
  const unknown = { ...page, as: 'planned', maskedColumns: ['public.customers.email'] } as const;
  const planned = rowPageLines(unknown, asked, LOOK).join('\n');
  assert.match(planned, /email: "old1@example.org" → \(known at commit\)/);
  assert.match(text, /46,898 rows after these/);
  const next = `writegate rows ${ID} --from 102 --limit 2 --resource public.customers --kind update`;
  assert.ok(text.includes(next), text);
  const missing = { rows: 46_940, reason: 'their images were removed' };
  const end = { ...page, from: 0, total: 2, left: 0, missing, as: 'planned' } as const;
  const last = rowPageLines(end, asked, LOOK).join('\n');
  assert.match(last, /46,940 rows cannot be shown: their images were removed/);
  assert.doesNotMatch(last, /after these/);
});

test('a page beyond the rows says how many there are and names the last one', () => {
  const page = {
    items: [],
    from: 5_000,
    total: 140,
    left: 0,
    missing: null,
    as: 'applied',
    maskedColumns: [],
  } as const;
  const asked = { id: ID, from: 5_000, limit: 100, kind: 'update' } as const;
  const text = rowPageLines(page, asked, LOOK).join('\n');
  assert.match(text, /^Rows: none from 5,000 on, 140 in all\n/);
  assert.ok(text.includes(`writegate rows ${ID} --from 100 --limit 100 --kind update`), text);
  const none = rowPageLines({ ...page, from: 0, total: 0 }, asked, LOOK).join('\n');
  assert.doesNotMatch(none, /writegate rows/);
});

test('headings of lists, stops and ledgers keep to a narrow terminal', () => {
  const narrow = { ...LOOK, columns: 44 };
  const name = 'a-rather-long-name-of-an-agent-that-goes-on-and-on-and-on';
  const freeze: FreezeView = {
    id: newFreezeId(1, new Uint8Array(10)),
    scope: { kind: 'agent', name },
    reason: 'it repeats itself',
    by: 'ada',
    at: NOW,
    releasedAt: null,
    voices: [{ by: 'gateway-1', source: 'file', at: NOW }],
    release: { quorum: 2, spoken: 1, missing: 1 },
  };
  const report = {
    ok: true,
    origin: `writegate.test/${'x'.repeat(60)}`,
    size: 1,
    entries: 1,
    root: 'f'.repeat(64),
    findings: [],
    figures: { states: {} },
    folder: '/var/lib/ledger',
    keyFromFolder: true,
    against: 0,
  } as unknown as Parameters<typeof reportLines>[0];
  const lines = [
    ...listLines([waitingView()], narrow, NOW),
    ...freezeLines([freeze], narrow),
    ...reportLines(report, narrow),
  ];
  // A root is copied whole, on a line of its own.
  for (const line of lines.filter((each) => each !== `    ${report.root}`)) {
    assert.ok(columnsOf(line) <= 44, line);
  }
  const text = lines.join('').replaceAll(' ', '');
  for (const whole of [name, freeze.id, ID, report.origin ?? '']) assert.ok(text.includes(whole));
  assert.match(
    listLines([waitingView()], LOOK, NOW)[0] ?? '',
    /^prop_\w{26} {2}waiting {2}\d+ \w+ ago$/,
  );
});

test('a read is a table where it fits, and row by row where it does not', () => {
  const columns = [
    { name: 'id', isMasked: false },
    { name: 'email', isMasked: true },
    { name: 'note', isMasked: false },
  ];
  const rows = [
    ['1', null, 'null'],
    ['22', null, null],
    ['3', null, ''],
  ];
  const result: ReadResult = {
    state: 'read',
    code: 'read',
    reason: '3 rows, all there are',
    next: 'none',
    columns,
    rows,
    resources: ['public.customers'],
    bytes: 1_234,
    retryAfterMs: null,
  };
  const table = readLines(result, '', LOOK);
  assert.deepEqual(table.slice(0, 5), [
    'id  email     note',
    '──  ────────  ──────',
    '1   (masked)  "null"',
    '22  (masked)  null',
    '3   (masked)  ""',
  ]);
  assert.match(table.join('\n'), /3 rows, all there are; 1,234 bytes/);
  const long = 'y'.repeat(300);
  const wide = readLines({ ...result, rows: [['1', null, long]] }, '', LOOK);
  assert.ok(wide.every((line) => columnsOf(line) <= 80));
  assert.ok(wide.join('').replaceAll(' ', '').includes(long), 'nothing is cut');
  const refused = readLines(
    {
      state: 'refused',
      code: 'not-permitted',
      reason: 'no permission on `public.salaries`',
      next: 'ask-human',
      span: { from: 14, to: 22 },
      retryAfterMs: null,
    },
    'SELECT * FROM salaries',
    LOOK,
  ).join('\n');
  assert.match(refused, /not-permitted: no permission on `public.salaries`/);
  assert.match(refused, /│ salaries/);
});

test('what a read brings reaches no terminal as anything but text', () => {
  for (const text of HOSTILE) {
    const result: ReadResult = {
      state: 'read',
      code: 'read',
      reason: text,
      next: 'none',
      columns: [{ name: text, isMasked: false }],
      rows: [[text], [`${text}${'z'.repeat(200)}`]],
      resources: [text],
      bytes: 1,
      retryAfterMs: null,
    };
    assertInert(readLines(result, '', LOOK).join('\n'));
    const [row] = updates(1);
    assert.ok(row);
    const effects = [{ ...row, resource: text, after: { [text]: text } }];
    const page = { items: effects, from: 0, total: 2, left: 1, as: 'planned' } as const;
    const missing = { rows: 1, reason: text };
    const asked = { id: ID, resource: text };
    assertInert(rowPageLines({ ...page, missing, maskedColumns: [] }, asked, LOOK).join('\n'));
  }
});

test('a plan is readable on a phone and on a wide terminal', () => {
  const by = { attribution: 'trigger', via: 'keep_history' } as const;
  const effects = updates(30).map((row, at) => (at % 3 === 0 ? Object.assign(row, { by }) : row));
  const example = { before: 'a'.repeat(60), after: 'b'.repeat(60), rows: 30 };
  const columns = [
    { resource: 'public.customers', column: 'email', rows: 30, examples: [example] },
  ];
  const warnings = ['rows hidden by row security have no images; a person must look at them'];
  const view = waitingView({ plan: plan({ effects, columns, warnings, effectsOmitted: 9 }) });
  for (const width of [44, 100]) {
    const lines = planLines(view, { ...LOOK, columns: width }, { now: NOW, rows: PAGE });
    // Digests and commands are copied whole.
    const laidOut = lines.filter((line) => !/^ {4}sha256:|^ {2}writegate /.test(line));
    for (const line of laidOut) assert.ok(columnsOf(line) <= width, `${width}: ${line}`);
    assert.match(flat(lines.join('\n')), /rows hidden by row security have no images/);
  }
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

function evidenceIdOf(): EvidenceId {
  return newEvidenceId(1, new Uint8Array(10));
}

function assertInert(text: string): void {
  for (const line of text.split('\n')) {
    assert.doesNotMatch(line, /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\u3164\u2800\u00a0]/u);
  }
}

test('a budget shows money in major units, what is left, and when it frees up', () => {
  const item: BudgetView = {
    budget: 'refunds',
    scope: 'agent=crm-bot',
    measure: 'value:GBP',
    window: 'day',
    max: 5_000_000,
    spent: 120_050,
    inFlight: 0,
    left: 4_879_950,
    freesAt: NOW + 90_000,
  };
  const text = budgetLines(item, LOOK, NOW).join('\n');
  assert.match(text, /refunds.*agent=crm-bot.*GBP 48,799\.50 left/);
  assert.match(text, /at most +GBP 50,000\.00 value:GBP per day/);
  assert.match(text, /spent +GBP 1,200\.50/);
  assert.match(text, /frees up +from .* on, in 90 s/);
  assert.doesNotMatch(budgetLines({ ...item, freesAt: null }, LOOK, NOW).join(), /frees up/);
});

test('a baseline shows what is usual, above what it is not, the hours and the tables', () => {
  const [item] = BASELINES.items;
  assert.ok(item !== undefined);
  const text = baselineLines(item, LOOK).join('\n');
  assert.match(text, /billing.*sql.*sensitivity medium/);
  assert.match(text, /learned +from 960 writes since/);
  assert.match(text, /per minute +1 to 4, unusual above 16/);
  assert.match(text, /value:GBP +GBP 12\.80 to GBP 15\.35$/m);
  assert.match(text, /hours \(UTC\) +08 to 10, 22/);
  assert.match(text, /writes to +public\.invoices/);
  assert.match(
    baselineLines({ ...item, resources: [] }, LOOK).join('\n'),
    /writes to +nothing yet: none of it was applied$/,
  );
  assert.match(
    baselineLines({ ...item, applied: 3 }, LOOK).join('\n'),
    /3 writes of the 30 that make/,
  );
});

test('a gateway that runs with other settings is named, by status and by doctor', () => {
  const startedAt = NOW;
  const about = { version: '0.1.0', startedAt };
  const own = { ...about, name: STATUS.gateway, differs: [] };
  const other = { ...about, name: 'gateway-2', differs: ['environment', 'targets.crm'] };
  const told = /warning +gateway-2 runs with other settings: environment, targets\.crm;/;
  const status = gatewayLines({ ...STATUS, gateways: [own, other] }, LOOK);
  assert.match(status.join('\n'), told);
  assert.doesNotMatch(gatewayLines({ ...STATUS, gateways: [own] }, LOOK).join('\n'), /warning/);
  const seen = { url: null, isThere: true };
  const gateways = [
    { ...own, ...seen },
    { ...other, ...seen },
  ];
  const store = { kind: 'postgres', where: 'db/x', isBegun: true, problem: null } as const;
  assert.match(storeLines({ ...store, gateways }, LOOK, NOW).join('\n'), told);
});
