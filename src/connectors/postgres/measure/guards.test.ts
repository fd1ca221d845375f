import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import type { JsonObject } from '../../../lib/json.ts';
import type { Cause, ResourceCount } from '../../../model/plan.ts';
import { Refused } from '../../connector.ts';
import type { Assignment, TableWrite } from '../text/assign.ts';
import type { Table } from '../catalog/catalog.ts';
import type { Change, RowImage } from './change.ts';
import { openGuards, type Guards } from './guards.ts';
import { namedOf, type Named } from './named.ts';
import { parsePostgresSettings } from '../settings.ts';

let oids = 0;

function table(name: string, columns: readonly string[], more: Partial<Table> = {}): Table {
  oids += 1;
  return {
    oid: oids,
    resource: `public.${name}`,
    sql: `public.${name}`,
    partOf: [],
    relationKind: 'r',
    columns: columns.map((column) => ({
      name: column,
      type: 'text',
      isGenerated: false,
      isIdentity: false,
      fallback: null,
    })),
    key: [],
    hasBeforeTrigger: false,
    accessMethod: 'heap',
    rowSecurity: 'off',
    triggers: [],
    rules: [],
    isPartition: false,
    hasChildren: false,
    inbound: [],
    outbound: [],
    ...more,
  };
}

type Values = readonly (string | null)[];

const image = (of: Table, values: Values): RowImage => ({ table: of, values });
const created = (of: Table, values: Values, by?: Cause): Change => ({
  kind: 'create',
  before: null,
  after: image(of, values),
  ...(by === undefined ? {} : { by }),
});
const updated = (of: Table, from: Values, to: Values, by?: Cause): Change => ({
  kind: 'update',
  before: image(of, from),
  after: image(of, to),
  ...(by === undefined ? {} : { by }),
});
const deleted = (of: Table, values: Values, by?: Cause): Change => ({
  kind: 'delete',
  before: image(of, values),
  after: null,
  ...(by === undefined ? {} : { by }),
});

const CASCADE: Cause = { attribution: 'cascade', via: 'a_fkey' };
const TRIGGER: Cause = { attribution: 'trigger', via: 'a()' };
const RULE: Cause = { attribution: 'rule', via: 'a_rule' };

function guards(settings: JsonObject, named: readonly Named[] = []): Guards {
  const parsed = parsePostgresSettings('t', { url: 'postgres://h/d', ...settings });
  return openGuards(parsed, { kind: 'agent', named });
}

function refusal(work: () => void): { readonly code: string; readonly reason: string } {
  try {
    work();
  } catch (error) {
    if (error instanceof Refused) return error.refusal;
    throw error;
  }
  return { code: 'none', reason: '' };
}

function count(resource: string, rows: number, more: Partial<ResourceCount> = {}): ResourceCount {
  return {
    resource: `public.${resource}`,
    attribution: 'direct',
    via: null,
    created: 0,
    updated: rows,
    deleted: 0,
    ...more,
  };
}

const SCOPED = { scope: [{ column: 'tenant', value: 2 }] };
const orders = table('orders', ['id', 'status', 'tenant']);

test('a row outside of the scope is refused, before and after, and its value is not told', () => {
  for (const change of [
    deleted(orders, ['1', 'open', '31337']),
    created(orders, ['1', 'open', '31337']),
    created(orders, ['1', 'open', null]),
    updated(orders, ['1', 'open', '31337'], ['1', 'open', '2']),
    updated(orders, ['1', 'open', '2'], ['1', 'open', '31337']),
    deleted(orders, ['1', 'open', '31337'], CASCADE),
    created(orders, ['1', 'open', '31337'], TRIGGER),
    // An image that ends early holds no proof.
    deleted(orders, ['1', 'open']),
  ]) {
    const found = refusal(() => guards(SCOPED).add(change));
    assert.equal(found.code, 'scope-violated');
    assert.match(found.reason, /`public\.orders`.*`tenant`/);
    assert.doesNotMatch(found.reason, /31337/);
  }
});

test('a row within the scope, and a table without the column, pass', () => {
  const watch = guards(SCOPED);
  watch.add(updated(orders, ['1', 'open', '2'], ['1', 'done', '2']));
  watch.add(created(table('log', ['id']), ['1'], TRIGGER));
  watch.finish([count('orders', 1), count('log', 1, { attribution: 'trigger' })]);
});

test('a scope of some tables binds those and their partitions alone', () => {
  const scope = [{ column: 'tenant', value: '2', tables: ['orders'] }];
  const part = table('orders_p1', ['tenant'], { partOf: ['public.orders'] });
  assert.equal(refusal(() => guards({ scope }).add(deleted(part, ['3']))).code, 'scope-violated');
  guards({ scope }).add(deleted(table('other', ['tenant']), ['3']));
});

test('rows that nobody could see are refused where a scope may bind them', () => {
  const watch = guards(SCOPED);
  watch.add(deleted(table('plain', ['id']), ['1']));
  watch.finish([], ['public.plain']);
  const found = refusal(() => guards(SCOPED).finish([], ['public.orders']));
  assert.equal(found.code, 'effect-unmeasurable');
  guards({}).finish([], ['public.orders']);
});

test('a write far over its limit and out of scope is told the limit, a small one its scope', () => {
  const settings = { ...SCOPED, limits: { rows: 3 } };
  const foreign = deleted(orders, ['1', 'open', '3']);
  const wide = guards(settings);
  assert.equal(
    refusal(() => {
      for (let row = 0; row < 5; row += 1) wide.add(foreign);
    }).code,
    'limit-exceeded',
  );
  const narrow = guards(settings);
  narrow.add(foreign);
  assert.equal(refusal(() => narrow.finish([count('orders', 1)])).code, 'scope-violated');
  const spreading = guards(settings);
  spreading.add(foreign);
  const spread = refusal(() => spreading.add(deleted(orders, ['1', 'open', '2'], CASCADE)));
  assert.equal(spread.code, 'scope-violated');
  const unlimited = refusal(() => guards(SCOPED).add(foreign));
  assert.equal(unlimited.code, 'scope-violated');
});

test('rows of all tables count together, work done twice by its counts', () => {
  const limits = { limits: { rows: 10 } };
  const watch = guards(limits);
  watch.add(deleted(orders, ['1', 'open', '2']));
  for (let row = 0; row < 9; row += 1) watch.add(deleted(orders, ['1', '', '2'], CASCADE));
  assert.equal(refusal(() => watch.finish([count('orders', 10)])).code, 'none');
  const twice = guards(limits);
  twice.add(deleted(orders, ['1', 'open', '2']));
  const found = refusal(() => twice.finish([count('orders', 1), count('log', 21)]));
  assert.equal(found.code, 'limit-exceeded');
  assert.match(found.reason, /changes 22 rows/);
});

test('a row whose key changed is one row, though it comes as one gone and one new', () => {
  const limits = { limits: { rows: 2 } };
  const halves = (guard: Guards): void => {
    for (const id of ['1', '2']) guard.add(deleted(orders, [id, '', '2']));
    for (const id of ['3', '4']) guard.add(created(orders, [id, '', '2']));
  };
  const paired = guards(limits);
  halves(paired);
  assert.equal(refusal(() => paired.finish([count('orders', 2)])).code, 'none');
  const apart = guards(limits);
  halves(apart);
  const counts = [count('orders', 0, { created: 2, deleted: 2 })];
  assert.equal(refusal(() => apart.finish(counts)).code, 'limit-exceeded');
});

test('an inverse is bound by no limit of rows, for it may write a row twice', () => {
  const settings = parsePostgresSettings('t', { url: 'postgres://h/d', limits: { rows: 1 } });
  const inverse = openGuards(settings, { kind: 'inverse' });
  for (const id of ['1', '2', '3']) inverse.add(deleted(orders, [id, '', '2']));
  inverse.finish([count('orders', 6)]);
});

test('the first row over the limit ends the measure', () => {
  const watch = guards({ limits: { rows: 2 } });
  watch.add(deleted(orders, ['1', 'open', '2']));
  watch.add(deleted(orders, ['2', 'open', '2']));
  const found = refusal(() => watch.add(deleted(orders, ['3', 'open', '2'])));
  assert.deepEqual([found.code, /more than 2 rows/.test(found.reason)], ['limit-exceeded', true]);
});

test('a row that moves to another partition counts in both', () => {
  const [from, to] = [table('p0', ['id']), table('p1', ['id'])];
  const watch = guards({ limits: { rows: 1 } });
  const moved: Change = { kind: 'update', before: image(from, ['1']), after: image(to, ['1']) };
  assert.equal(refusal(() => watch.add(moved)).code, 'limit-exceeded');
});

test('images over their bytes are refused', () => {
  const watch = guards({ limits: { imageBytes: 1_024 } });
  watch.add(created(orders, ['1', 'x'.repeat(900), '2']));
  const found = refusal(() => watch.add(created(orders, ['1', 'é'.repeat(100), '2'])));
  assert.equal(found.code, 'limit-exceeded');
});

const RULES = {
  tables: {
    orders: { insert: ['id', 'status'], update: ['status'] },
    coupons: { update: ['order_id'] },
    items: { delete: true },
    accounts: { update: ['balance'] },
    'public.events': { update: ['kind'], insert: true },
    open_orders: { insert: true, update: ['status'] },
  },
};

test('each operation needs its right, and each changed column its own', () => {
  const cases: readonly (readonly [Change, string, RegExp?])[] = [
    [updated(orders, ['1', 'a', '2'], ['1', 'b', '2']), 'none'],
    [updated(orders, ['1', 'a', '2'], ['1', 'a', '2']), 'none'],
    [updated(orders, ['1', 'a', '2'], ['1', 'a', '3']), 'not-permitted', /`tenant`.*`status`/],
    // Without an image before the write every column may have been changed.
    [{ ...updated(orders, [], ['1', 'a', '2']), before: null }, 'not-permitted'],
    [deleted(orders, ['1', 'a', '2']), 'not-permitted', /deleted/],
    [created(orders, ['1', 'a', '2']), 'not-permitted', /`tenant`/],
    [created(table('items', ['id']), ['1']), 'not-permitted', /inserted/],
    [updated(table('items', ['id']), ['1'], ['2']), 'not-permitted', /updated/],
    [deleted(table('items', ['id']), ['1']), 'none'],
    [deleted(table('secrets', ['id']), ['1']), 'not-permitted', /not one of the tables/],
  ];
  for (const [change, code, reason = /./] of cases) {
    const found = refusal(() => guards(RULES).add(change));
    assert.equal(found.code, code, found.reason);
    if (code !== 'none') assert.match(found.reason, reason);
  }
});

test('a new row may be given the listed columns alone, whatever defaults fill beside them', () => {
  const named = (inserted: readonly string[] | null): Named => ({
    resource: 'public.orders',
    partOf: [],
    isView: false,
    operations: ['insert'],
    inserted,
    updated: [],
  });
  const row = created(orders, ['1', 'open', '2']);
  guards(RULES, [named(['id', 'status'])]).add(row);
  for (const inserted of [['id', 'tenant'], null]) {
    const found = refusal(() => guards(RULES, [named(inserted)]).add(row));
    assert.equal(found.code, 'not-permitted');
  }
});

test('columns that the database fills are its own, unless the statement assigns them', () => {
  const accounts = table('accounts', ['id', 'balance', 'updated_at'], { hasBeforeTrigger: true });
  const change = updated(accounts, ['1', '5', 'then'], ['1', '6', 'now']);
  const named = (columns: readonly string[]): Named => ({
    resource: 'public.accounts',
    partOf: [],
    isView: false,
    operations: ['update'],
    inserted: null,
    updated: columns,
  });
  guards(RULES, [named(['balance'])]).add(change);
  for (const [of, names] of [
    [accounts, [named(['balance', 'updated_at'])]],
    [accounts, []],
    [{ ...accounts, oid: -1, hasBeforeTrigger: false }, [named(['balance'])]],
  ] as const) {
    const moved = updated(of, ['1', '5', 'then'], ['1', '6', 'now']);
    assert.equal(refusal(() => guards(RULES, names).add(moved)).code, 'not-permitted');
  }
});

test('a part is judged by what the statement names, and by a cascade with the table it is of', () => {
  const partOf = ['public.events'];
  const part = table('events_p0', ['id', 'kind'], { partOf, isPartition: true });
  const named = (name: string, more: Partial<Named> = {}): readonly Named[] => [
    {
      resource: `public.${name}`,
      partOf: name === 'events' ? [] : partOf,
      isView: false,
      operations: ['update'],
      inserted: null,
      updated: ['kind'],
      ...more,
    },
  ];
  const change = updated(part, ['1', 'a'], ['1', 'b']);
  guards(RULES).add(change);
  guards(RULES).add(created(part, ['1', 'a']));
  assert.equal(refusal(() => guards(RULES).add(deleted(part, ['1', 'a']))).code, 'not-permitted');
  // The part may be read by its own name; that takes nothing away from the whole.
  const own = { tables: { events: { update: true, delete: true }, events_p0: {} } };
  guards(own, named('events')).add(change);
  guards(own, named('events', { operations: ['delete'] })).add(deleted(part, ['1', 'a']));
  guards(own).add(deleted(part, ['1', 'a'], CASCADE));
  assert.equal(refusal(() => guards(own, named('events_p0'))).code, 'not-permitted');
  // Without an entry of its own it goes by the whole, by whatever name, past entries further below.
  guards(RULES, named('events_p0')).add(change);
  const leaf = table('events_p0_a', ['id', 'kind'], {
    partOf: ['public.events_p0', 'public.events'],
    isPartition: true,
  });
  const below = { tables: { events: { update: ['kind'] }, events_p0_a: {} } };
  guards(below, named('events_p0')).add(updated(leaf, ['1', 'a'], ['1', 'b']));
  const child = table('events_old', ['id'], { partOf });
  const closed = { tables: { events: { delete: true }, events_old: {} } };
  const cascaded = refusal(() => guards(closed).add(deleted(child, ['1'], CASCADE)));
  assert.equal(cascaded.code, 'not-permitted');
});

test('a column that the statement names must be open, also where it keeps its value', () => {
  const named = (more: Partial<Named>): readonly Named[] => [
    {
      resource: 'public.orders',
      partOf: [],
      isView: false,
      operations: ['update'],
      inserted: [],
      updated: [],
      ...more,
    },
  ];
  const same = updated(orders, ['1', 'a', '2'], ['1', 'a', '2']);
  guards(RULES, named({ updated: ['status'] })).add(same);
  for (const more of [
    { updated: ['tenant'] },
    { updated: ['status', 'tenant'] },
    { operations: ['insert', 'update'], inserted: ['id'], updated: ['tenant'] },
    { operations: ['insert'], inserted: ['tenant'] },
    { operations: ['delete'] },
  ] as const) {
    const found = refusal(() => guards(RULES, named(more)));
    assert.equal(found.code, 'not-permitted', JSON.stringify(more));
  }
  // Of an INSERT without a list of columns the rows tell.
  guards(RULES, named({ operations: ['insert'], inserted: null }));
});

test('what a row and its whole are given at once is told apart for neither', () => {
  const accounts = table('accounts_p0', ['id', 'balance', 'updated_at'], {
    partOf: ['public.accounts'],
    isPartition: true,
    hasBeforeTrigger: true,
  });
  const naming = (resource: string, column: string): Named => ({
    resource,
    partOf: resource === 'public.accounts' ? [] : ['public.accounts'],
    isView: false,
    operations: ['update'],
    inserted: [],
    updated: [column],
  });
  const both = [naming('public.accounts', 'balance'), naming('public.accounts_p0', 'balance')];
  const change = updated(accounts, ['1', '5', 'then'], ['1', '6', 'now']);
  guards(RULES, both).add(change);
  const set = [naming('public.accounts', 'balance'), naming('public.accounts_p0', 'updated_at')];
  assert.equal(refusal(() => guards(RULES, set).add(change)).code, 'not-permitted');
});

test('a cascade needs the right of a table that has rules, and no other', () => {
  const coupons = table('coupons', ['id', 'order_id', 'code']);
  guards(RULES).add(updated(coupons, ['1', '5', 'x'], ['1', null, 'x'], CASCADE));
  guards(RULES).add(deleted(table('unnamed', ['id']), ['1'], CASCADE));
  const found = refusal(() => guards(RULES).add(deleted(coupons, ['1', '5', 'x'], CASCADE)));
  assert.equal(found.code, 'not-permitted');
});

test('what a trigger changes needs no right and is counted; what a rule changes needs one', () => {
  const unnamed = table('log', ['id']);
  const watch = guards({ ...RULES, limits: { rows: 1 } });
  watch.add(created(unnamed, ['1'], TRIGGER));
  assert.equal(refusal(() => watch.add(created(unnamed, ['2'], TRIGGER))).code, 'limit-exceeded');
  assert.equal(
    refusal(() => guards(RULES).add(deleted(unnamed, ['1'], RULE))).code,
    'not-permitted',
  );
  const counted = count('log', 29, { attribution: 'rule' });
  assert.equal(refusal(() => guards(RULES).finish([counted])).code, 'not-permitted');
});

test('a view is judged by its own rule, and the table below by its own where it has one', () => {
  const view = (columns: readonly string[], more: Partial<Named> = {}): Named => ({
    resource: 'public.open_orders',
    partOf: [],
    isView: true,
    operations: ['update'],
    inserted: null,
    updated: columns,
    ...more,
  });
  const change = updated(orders, ['1', 'a', '2'], ['1', 'b', '2']);
  guards(RULES, [view(['status'])]).add(change);
  guards(RULES, [view(['status'])]).add(updated(table('hidden', ['a']), ['1'], ['2']));
  const refused: readonly (() => void)[] = [
    () => guards(RULES, [view(['tenant'])]),
    () => guards(RULES, [view([], { operations: ['delete'] })]),
    () => guards(RULES, [view([], { resource: 'public.other_view' })]),
    () => guards(RULES, [view(['status'])]).add(updated(orders, ['1', 'a', '2'], ['1', 'a', '3'])),
  ];
  for (const attempt of refused) assert.equal(refusal(attempt).code, 'not-permitted');
});

test('a soft delete takes the right to delete, and taking one back takes the right to update', () => {
  const notes = table('notes', ['id', 'deleted_at', 'body']);
  const settings = {
    tables: { notes: { delete: true } },
    softDelete: { notes: { column: 'deleted_at' } },
  };
  guards(settings).add(updated(notes, ['1', null, 'x'], ['1', 'now', 'x']));
  for (const change of [
    updated(notes, ['1', 'now', 'x'], ['1', null, 'x']),
    updated(notes, ['1', 'then', 'x'], ['1', 'now', 'x']),
    updated(notes, ['1', null, 'x'], ['1', 'now', 'y']),
  ]) {
    assert.equal(refusal(() => guards(settings).add(change)).code, 'not-permitted');
  }
  const marking: Named = {
    resource: 'public.notes',
    partOf: [],
    isView: false,
    operations: ['update'],
    inserted: [],
    updated: ['deleted_at'],
  };
  guards(settings, [marking]);
  const more = { ...marking, updated: ['deleted_at', 'body'] };
  assert.equal(refusal(() => guards(settings, [more])).code, 'not-permitted');
  const closed = { ...settings, tables: { notes: { insert: true } } };
  assert.equal(refusal(() => guards(closed, [marking])).code, 'not-permitted');
  const change = updated(notes, ['1', null, 'x'], ['1', 'now', 'x']);
  assert.equal(refusal(() => guards(closed).add(change)).code, 'not-permitted');
});

test('the inverse of a write is held to the scope and not to the rights of an agent', () => {
  const parsed = parsePostgresSettings('t', { url: 'postgres://h/d', ...SCOPED, ...RULES });
  const watch = openGuards(parsed, { kind: 'inverse' });
  watch.add(deleted(orders, ['1', 'a', '2']));
  const found = refusal(() => watch.add(deleted(orders, ['1', 'a', '3'])));
  assert.equal(found.code, 'scope-violated');
});

test('what a statement names is told for each relation once, columns by position too', () => {
  const at = (column: string | null, position: number): Assignment => {
    return { column, position, changing: false, byDefault: false, plain: true };
  };
  const relation = { schema: null, name: 'orders', at: 0 };
  const write = (kind: TableWrite['kind'], more: Partial<TableWrite>): TableWrite => {
    return { kind, relation, inserted: [], updated: [], looks: true, isUnfiltered: false, ...more };
  };
  const namedIn = (...writes: readonly TableWrite[]): Named | undefined =>
    namedOf(writes, ({ name }) => (name === 'orders' ? orders : undefined))[0];
  const listless = write('insert', { inserted: [at(null, 0), at(null, 1)] });
  assert.deepEqual(namedIn(listless)?.inserted, ['id', 'status']);
  assert.equal(namedIn(write('insert', { inserted: [at(null, 9)] }))?.inserted, null);
  assert.equal(namedIn(write('insert', {}), listless)?.inserted, null);
  assert.deepEqual(
    namedIn(listless, write('update', { updated: [at('status', 0)] }), write('delete', {})),
    {
      resource: 'public.orders',
      partOf: [],
      isView: false,
      operations: ['insert', 'update', 'delete'],
      inserted: ['id', 'status'],
      updated: ['status'],
    },
  );
  assert.equal(namedIn(write('delete', { relation: { ...relation, name: 'other' } })), undefined);
});
