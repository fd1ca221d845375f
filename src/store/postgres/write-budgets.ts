import { bigints, texts } from './arrays.ts';
import { isOfLine, lineColumns } from './load-budgets.ts';
import { lineName } from './loaded.ts';
import type { Reservation, StagedBudgets, StagedLine } from './staged-budgets.ts';
import { bigint, expecting, given, insert, text, type Column, type WriteQuery } from './table.ts';
import { SPENDINGS } from './tables.ts';

/** How many rows that no window reaches any more one settling removes; more than it adds. */
const PRUNED_MAX = 64;

/** In this order: what is reserved is held against what is left of the lines before it. */
export function budgetWrites(schema: string, budgets: StagedBudgets): readonly WriteQuery[] {
  const { dropped, reserved, lines, pruned } = budgets.changes();
  const spendings = lines.flatMap(({ tenant, line, spent }) =>
    spent.map((spending) => ({ tenant, line, spending })),
  );
  return [
    ...lines.flatMap((line) => rebaseWrites(schema, line)),
    ...dropWrites(schema, dropped),
    ...insert(schema, SPENDINGS, spendings),
    ...pruneWrites(schema, pruned),
    ...reserveWrites(schema, reserved, lines),
  ];
}

function dropWrites(schema: string, dropped: readonly Reservation[]): readonly WriteQuery[] {
  if (dropped.length === 0) return [];
  const columns: readonly Column<Reservation>[] = [
    text('tenant', ({ tenant }) => tenant),
    text('proposal', ({ id }) => id),
    text('budget', ({ line }) => line.budget),
    text('scope', ({ line }) => line.scope),
    text('measure', ({ line }) => line.measure),
    text('window', ({ line }) => line.window),
  ];
  return [
    {
      text: `
        DELETE FROM ${schema}.reservations AS r USING ${given(columns)}
        WHERE ${isOfLine('r', 'w')} AND r.proposal = w.proposal`,
      values: columns.map((column) => column.array(dropped)),
    },
  ];
}

/** Once in years: the sums of a line would no longer be exact. */
function rebaseWrites(
  schema: string,
  { tenant, line, rebased }: StagedLine,
): readonly WriteQuery[] {
  if (rebased === null) return [];
  const name = [line.budget, line.scope, line.measure, line.window];
  const values = [texts([tenant]), ...name.map((each) => texts([each]))];
  const ofLine = `unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[])
    AS w (tenant, budget, scope, measure, "window", number)`;
  return [
    {
      text: `
        DELETE FROM ${schema}.spendings AS s USING ${ofLine}
        WHERE ${isOfLine('s', 'w')} AND s.settled_at <= w.number`,
      values: [...values, bigints([rebased.until])],
    },
    {
      text: `
        UPDATE ${schema}.spendings AS s SET sum = s.sum - w.number FROM ${ofLine}
        WHERE ${isOfLine('s', 'w')}`,
      values: [...values, bigints([rebased.base])],
    },
  ];
}

function pruneWrites(
  schema: string,
  pruned: ReturnType<StagedBudgets['changes']>['pruned'],
): readonly WriteQuery[] {
  if (pruned.length === 0) return [];
  const byTenant = [...Map.groupBy(pruned, ({ tenant }) => tenant)];
  return [
    {
      text: `
        DELETE FROM ${schema}.spendings WHERE id = ANY (ARRAY(
          SELECT old.id FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS w (tenant, until, most)
          CROSS JOIN LATERAL (
            SELECT s.id FROM ${schema}.spendings AS s
            WHERE s.tenant = w.tenant AND s.settled_at <= w.until
            ORDER BY s.settled_at LIMIT w.most) AS old))`,
      values: [
        texts(byTenant.map(([tenant]) => tenant)),
        bigints(byTenant.map(([, own]) => Math.max(...own.map(({ until }) => until)))),
        bigints(byTenant.map(([, own]) => PRUNED_MAX * own.length)),
      ],
    },
  ];
}

/**
 * What is reserved, by one statement that holds each line to its maximum anew, with all that is
 * reserved and spent (G7). What was decided on the loaded rows lets it write them all.
 */
function reserveWrites(
  schema: string,
  reserved: readonly Reservation[],
  lines: readonly StagedLine[],
): readonly WriteQuery[] {
  if (reserved.length === 0) return [];
  const numbers = new Map(lines.map(({ tenant, line }, no) => [lineName(tenant, line), no]));
  const rows = [
    bigint<Reservation>('no', ({ tenant, line }) => numbers.get(lineName(tenant, line)) ?? -1),
    text<Reservation>('proposal', ({ id }) => id),
    bigint<Reservation>('amount', ({ amount }) => amount),
  ];
  const insertion = `
    INSERT INTO ${schema}.reservations (tenant, proposal, budget, scope, measure, "window", amount)
    SELECT line.tenant, own.proposal, ${lineColumns('line')}, own.amount
    FROM line JOIN own ON own.no = line.no
    WHERE (
        SELECT coalesce(sum(r.amount), 0) FROM ${schema}.reservations AS r
        WHERE ${isOfLine('r', 'line')}
          AND NOT EXISTS (SELECT FROM own WHERE own.no = line.no AND own.proposal = r.proposal))
      + (SELECT sum(own.amount) FROM own WHERE own.no = line.no)
      + coalesce((SELECT last.sum - coalesce(first.sum - first.amount, last.sum) FROM
          (SELECT s.sum FROM ${schema}.spendings AS s WHERE ${isOfLine('s', 'line')}
           ORDER BY s.settled_at DESC, s.sum DESC LIMIT 1) AS last
          LEFT JOIN LATERAL (
            SELECT s.sum, s.amount FROM ${schema}.spendings AS s
            WHERE ${isOfLine('s', 'line')} AND s.settled_at > line.since
            ORDER BY s.settled_at, s.sum, s.amount DESC LIMIT 1) AS first ON true), 0)
      <= line.most
    ON CONFLICT (tenant, proposal, budget, scope, measure, "window")
    DO UPDATE SET amount = excluded.amount`;
  const values = [
    ...LINE_COLUMNS.map((column) => column.array(lines)),
    ...rows.map((column) => column.array(reserved)),
  ];
  return [
    expecting(reserved.length, { text: insertion, values }, [
      `line AS (SELECT * FROM ${given(LINE_COLUMNS)})`,
      `own AS (SELECT * FROM ${given(rows, 'o', LINE_COLUMNS.length + 1)})`,
    ]),
  ];
}

const LINE_COLUMNS: readonly Column<StagedLine>[] = [
  bigint('no', (_line, no) => no),
  text('tenant', ({ tenant }) => tenant),
  text('budget', ({ line }) => line.budget),
  text('scope', ({ line }) => line.scope),
  text('measure', ({ line }) => line.measure),
  text('window', ({ line }) => line.window),
  bigint('most', ({ granted }) => granted?.max ?? 0),
  bigint('since', ({ granted }) => granted?.since ?? 0),
];
