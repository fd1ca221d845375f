/** The statements that write what a batch came to: one for each table that it touches. */
import { bareOf } from '../state/records.ts';
import { texts } from './arrays.ts';
import type { ProposalLease, TenantHead } from './loaded.ts';
import type { Stage } from './stage.ts';
import { bigint, expecting, given, insert, text, type Column, type WriteQuery } from './table.ts';
import {
  BASELINES,
  CREDENTIALS,
  DEADLINES,
  DERIVED_KEYS,
  EFFECTS,
  ENTRIES,
  FREEZES,
  LEASES,
  PAYLOADS,
  PROPOSALS,
  SUPPLIED_KEYS,
  type LeaseRow,
  type ProposalRow,
} from './tables.ts';
import { budgetWrites } from './write-budgets.ts';

/** A batch as statements; none where nothing is to be written. */
export interface Written {
  readonly queries: readonly WriteQuery[];
  readonly proposals: readonly ProposalRow[];
}

export function writeQueries(schema: string, stage: Stage): Written {
  const proposals = stage.proposals.rows.changed().map(({ value: proposal }) => ({
    proposal,
    record: JSON.stringify(bareOf(proposal)),
  }));
  const queries = [
    ...logWrites(schema, stage),
    ...insert(schema, PROPOSALS, proposals),
    ...insert(
      schema,
      EFFECTS,
      stage.proposals.parts.changed().map(({ value }) => value),
    ),
    ...keyWrites(schema, stage),
    ...budgetWrites(schema, stage.budgetRows),
    ...insert(
      schema,
      BASELINES,
      stage.baselines.rows.changed().map(({ value }) => value),
    ),
    ...insert(
      schema,
      FREEZES,
      stage.freezes.rows.changed().map(({ value }) => value),
    ),
    ...credentialWrites(schema, stage),
    ...leaseWrites(schema, stage),
    ...deadlineWrites(schema, stage),
  ];
  return { queries, proposals };
}

function logWrites(schema: string, { log }: Stage): readonly WriteQuery[] {
  const entries = log.entries.items;
  const payloads = entries.flatMap(({ tenant, entry: { index, payloads: own } }) =>
    own.map((payload, position) => ({ tenant, index, position, payload })),
  );
  return [
    ...headWrites(schema, log.heads.changed()),
    ...insert(schema, ENTRIES, entries),
    ...insert(schema, PAYLOADS, payloads),
  ];
}

type Moved = ReturnType<Stage['log']['heads']['changed']>[number];

function headWrites(schema: string, heads: readonly Moved[]): readonly WriteQuery[] {
  if (heads.length === 0) return [];
  const of = (each: Moved): TenantHead['head'] => each.value.head;
  const columns: readonly Column<Moved>[] = [
    text('tenant', ({ value }) => value.tenant),
    bigint('size_before', ({ loaded }) => loaded?.head.tree.size ?? 0),
    bigint('size', (each) => of(each).tree.size),
    text('range', (each) => of(each).tree.range.join(' ')),
    bigint('latest_at', (each) => of(each).latestAt),
  ];
  return [
    // The lock lets nobody move a head in between; this holds where it does not.
    expecting(heads.length, {
      text: `
        UPDATE ${schema}.logs AS l
        SET size = w.size, range = w.range, latest_at = w.latest_at FROM ${given(columns)}
        WHERE l.tenant = w.tenant AND l.size = w.size_before`,
      values: columns.map((column) => column.array(heads)),
    }),
  ];
}

function keyWrites(schema: string, { keys }: Stage): readonly WriteQuery[] {
  const derived = keys.holders.changed();
  const dropped = derived.filter(({ value, loaded }) => value.proposal === null && loaded);
  const taken = derived.filter(({ value }) => value.proposal !== null);
  return [
    ...removal(
      schema,
      'derived_keys',
      'key',
      dropped.map(({ value }) => [value.tenant, value.key]),
    ),
    ...insert(
      schema,
      DERIVED_KEYS,
      taken.map(({ value }) => value),
    ),
    ...insert(
      schema,
      SUPPLIED_KEYS,
      keys.taken.changed().map(({ value }) => value),
    ),
  ];
}

function credentialWrites(schema: string, { credentials }: Stage): readonly WriteQuery[] {
  const changed = credentials.rows.changed();
  const known = changed.filter(({ loaded }) => loaded !== undefined);
  const values = known.map(({ value }) => value);
  return [
    ...insert(
      schema,
      CREDENTIALS,
      changed.filter(({ loaded }) => loaded === undefined).map(({ value }) => value),
    ),
    ...(known.length === 0
      ? []
      : [
          {
            text: `
              UPDATE ${schema}.credentials AS c SET record = w.record
              FROM ${given(CREDENTIALS.columns)} WHERE c.id = w.id`,
            values: CREDENTIALS.columns.map((column) => column.array(values)),
          },
        ]),
  ];
}

function leaseWrites(schema: string, { leases }: Stage): readonly WriteQuery[] {
  const changed = leases.rows.changed();
  const kept = changed.flatMap(({ value: { tenant, id, lease } }): readonly LeaseRow[] =>
    lease === null ? [] : [{ tenant, id, lease }],
  );
  const found = changed.flatMap(({ value, loaded }) => (loaded === undefined ? [] : [value]));
  const ended = found.filter(({ lease }) => lease === null);
  return [
    ...leaseLocks(schema, found),
    ...insert(schema, LEASES, kept),
    ...removal(
      schema,
      'leases',
      'proposal',
      ended.map(({ tenant, id }) => [tenant, id]),
    ),
  ];
}

/** In one order, whoever changes them: gateways renew theirs without a lock of the tenant. */
function leaseLocks(schema: string, leases: readonly ProposalLease[]): readonly WriteQuery[] {
  if (leases.length < 2) return [];
  return [
    {
      text: `
        SELECT FROM unnest($1::text[], $2::text[]) AS w (tenant, id)
        JOIN ${schema}.leases AS l ON l.tenant = w.tenant AND l.proposal = w.id
        ORDER BY l.tenant, l.proposal FOR UPDATE OF l`,
      values: [texts(leases.map(({ tenant }) => tenant)), texts(leases.map(({ id }) => id))],
    },
  ];
}

function deadlineWrites(schema: string, { deadlines }: Stage): readonly WriteQuery[] {
  const changed = deadlines.rows.changed().map(({ value }) => value);
  const ended = changed.filter(({ dueAt }) => dueAt === null);
  return [
    ...insert(
      schema,
      DEADLINES,
      changed.filter(({ dueAt }) => dueAt !== null),
    ),
    ...removal(
      schema,
      'deadlines',
      'proposal',
      ended.map(({ tenant, id }) => [tenant, id]),
    ),
  ];
}

/** Removes rows by tenant and one more column. */
function removal(
  schema: string,
  table: string,
  column: string,
  rows: readonly (readonly [tenant: string, name: string])[],
): readonly WriteQuery[] {
  if (rows.length === 0) return [];
  return [
    {
      text: `
        DELETE FROM ${schema}.${table} AS t USING unnest($1::text[], $2::text[]) AS w (tenant, name)
        WHERE t.tenant = w.tenant AND t.${column} = w.name`,
      values: [texts(rows.map(([tenant]) => tenant)), texts(rows.map(([, name]) => name))],
    },
  ];
}
