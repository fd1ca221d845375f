/** Each table of the SQLite store as it is copied: what is read, and what the PostgreSQL store has of it. */
import type { Proposal } from '../../model/proposal.ts';
import { bigint, bytea, insert, text, type Table, type WriteQuery } from '../postgres/table.ts';
import { PROPOSALS } from '../postgres/tables.ts';
import { bytesOf, integerOf, textOf, type Row } from '../sqlite/rows.ts';
import { EFFECT_SIDES, nestedEffects, type EffectLists } from '../state/nested-effects.ts';
import { bareOf, parseFreeze, parseProposal } from '../state/records.ts';

/** One table on its way. */
export interface Moved {
  readonly name: string;
  /** In the order in which the rows are written. */
  readonly read: string;
  /** About how many bytes a row takes. */
  readonly sizeOf: (row: Row) => number;
  readonly write: (schema: string, rows: readonly Row[]) => readonly WriteQuery[];
}

/** A table whose rows are the same in both. */
function same(
  name: string,
  columns: Table<Row>['columns'],
  order: string,
  read: readonly string[] = columns.map((column) => `"${column.name}"`),
): Moved {
  const texts = columns.filter(({ sent }) => sent !== 'bigint').map((column) => column.name);
  return {
    name,
    read: `SELECT ${read.join(', ')} FROM ${name} ORDER BY ${order}`,
    sizeOf: (row) => texts.reduce((sum, column) => sum + lengthOf(row[column]), 64),
    write: (schema, rows) => insert(schema, { name, columns }, rows),
  };
}

function lengthOf(value: unknown): number {
  if (typeof value === 'string' || value instanceof Uint8Array) return value.length;
  return 0;
}

const asText = (column: string) => text<Row>(column, (row) => textOf(row, column));
const asInteger = (column: string) => bigint<Row>(column, (row) => integerOf(row, column));
const asBytes = (column: string) => bytea<Row>(column, (row) => bytesOf(row, column));

const LINE = ['budget', 'scope', 'measure', 'window'].map(asText);

const EFFECT_COLUMNS = ['tenant', 'proposal', 'part', 'effects'].map(asText);

export const MOVED: readonly Moved[] = [
  same(
    'entries',
    [
      asText('tenant'),
      asInteger('entry_index'),
      asText('act'),
      asInteger('step'),
      asText('type'),
      asInteger('at'),
      asBytes('leaf'),
      bytea('leaf_hash', (row) => Buffer.from(textOf(row, 'leaf_hash'), 'hex')),
    ],
    'tenant, entry_index',
  ),
  same(
    'payloads',
    [
      asText('tenant'),
      asInteger('entry_index'),
      asInteger('position'),
      asText('label'),
      asBytes('nonce'),
      asText('commitment'),
      asText('value'),
    ],
    'tenant, entry_index, position',
  ),
  {
    name: 'proposals',
    read: `
      SELECT tenant, id, record,
        EXISTS (SELECT 1 FROM effects AS e WHERE e.tenant = p.tenant AND e.proposal = p.id
          AND e.part = 'plan-parts') AS has_plan,
        EXISTS (SELECT 1 FROM effects AS e WHERE e.tenant = p.tenant AND e.proposal = p.id
          AND e.part = 'outcome-parts') AS has_outcome
      FROM proposals AS p ORDER BY tenant, id`,
    sizeOf: (row) => 2 * textOf(row, 'record').length,
    write: proposalWrites,
  },
  same('effects', EFFECT_COLUMNS, 'tenant, proposal, part'),
  same('derived_keys', [asText('tenant'), asText('key'), asText('proposal')], 'tenant, key'),
  same(
    'supplied_keys',
    [asText('tenant'), asText('agent'), asText('key'), asText('proposal')],
    'tenant, agent, key',
  ),
  same(
    'reservations',
    [asText('tenant'), asText('proposal'), ...LINE, asInteger('amount')],
    'tenant, proposal',
  ),
  same(
    'spendings',
    [asText('tenant'), ...LINE, asInteger('settled_at'), asInteger('amount'), asInteger('sum')],
    'rowid',
  ),
  same(
    'baselines',
    [asText('tenant'), asText('agent'), asText('target'), asText('operation'), asText('record')],
    'tenant, agent, target, operation',
  ),
  same(
    'freezes',
    [
      asText('tenant'),
      asText('id'),
      text('scope', (row) => parseFreeze(textOf(row, 'record')).scope.kind),
      bigint('released_at', (row) =>
        row['released_at'] === null ? null : integerOf(row, 'released_at'),
      ),
      asText('record'),
    ],
    'tenant, id',
    ['tenant', 'id', 'released_at', 'record'],
  ),
  same('credentials', [asText('id'), asText('tenant'), asText('record')], 'id'),
  same(
    'deadlines',
    [asText('tenant'), asText('proposal'), asInteger('due_at')],
    'tenant, proposal',
  ),
  // Nobody holds one: its epoch is what must not go down.
  same(
    'leases',
    [
      asText('tenant'),
      asText('proposal'),
      asInteger('epoch'),
      text('holder', () => null),
      bigint('until', () => 0),
    ],
    'tenant, proposal',
    ['tenant', 'proposal', 'epoch'],
  ),
];

/** Columns follow from the record. Effects of steps and segments that an old record still holds go apart. */
function proposalWrites(schema: string, rows: readonly Row[]): readonly WriteQuery[] {
  const parsed = rows.map((row) => ({ row, proposal: parseProposal(textOf(row, 'record')) }));
  return [
    ...insert(
      schema,
      PROPOSALS,
      parsed.map(({ proposal }) => ({ proposal, record: JSON.stringify(bareOf(proposal)) })),
    ),
    ...insert(schema, PARTS, parsed.flatMap(partsOf)),
  ];
}

interface PartRow {
  readonly tenant: string;
  readonly id: string;
  readonly part: string;
  readonly effects: EffectLists;
}

const PARTS: Table<PartRow> = {
  name: 'effects',
  columns: [
    text('tenant', ({ tenant }) => tenant),
    text('proposal', ({ id }) => id),
    text('part', ({ part }) => part),
    text('effects', ({ effects }) => JSON.stringify(effects)),
  ],
};

function partsOf({
  row,
  proposal,
}: {
  readonly row: Row;
  readonly proposal: Proposal;
}): readonly PartRow[] {
  return EFFECT_SIDES.flatMap((side) => {
    const effects = nestedEffects(proposal, side);
    if (effects.length === 0 || integerOf(row, `has_${side}`) === 1) return [];
    return [
      { tenant: textOf(row, 'tenant'), id: textOf(row, 'id'), part: `${side}-parts`, effects },
    ];
  });
}
