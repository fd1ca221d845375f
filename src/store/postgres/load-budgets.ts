import { BUDGET_WINDOWS_MS } from '../../model/budget.ts';
import type { Line } from '../state/budgets.ts';
import { bigints, texts } from './arrays.ts';
import type { LoadQuery, Within } from './load-query.ts';
import { firstName, lineName, placeName, type Loaded } from './loaded.ts';
import { idOf, integerOf, integerOrNull, tenantOf, textOf, type Row } from './rows.ts';
import type { Wanted } from './wanted.ts';

export function lineOf(row: Row): Line {
  return {
    budget: textOf(row, 'budget'),
    scope: textOf(row, 'scope'),
    measure: textOf(row, 'measure'),
    window: textOf(row, 'window'),
  };
}

/** The columns of a line, of the table or alias before it. */
export function lineColumns(of: string): string {
  return ['budget', 'scope', 'measure', '"window"'].map((column) => `${of}.${column}`).join(', ');
}

/** Whether two rows are of one line of one tenant. */
export function isOfLine(left: string, right: string): string {
  return ['tenant', 'budget', 'scope', 'measure', '"window"']
    .map((column) => `${left}.${column} = ${right}.${column}`)
    .join(' AND ');
}

/** What the holders hold; then each line, wanted or held, at each time that a change may be at. */
export function budgetQueries(
  { schema }: Within,
  { holders, lines, times }: Wanted,
  loaded: Loaded,
): readonly LoadQuery[] {
  if (holders.length === 0) return [];
  const holding = [texts(holders.map(({ tenant }) => tenant)), texts(holders.map(({ id }) => id))];
  return [
    {
      text: `
        SELECT r.tenant, r.proposal, ${lineColumns('r')}, r.amount
        FROM unnest($1::text[], $2::text[]) AS w (tenant, id)
        JOIN ${schema}.reservations AS r ON r.tenant = w.tenant AND r.proposal = w.id
        ORDER BY ${lineColumns('r')}`,
      values: holding,
      take(row) {
        const [tenant, id] = [tenantOf(row), idOf(row)];
        const name = placeName(tenant, id);
        const others = loaded.held.get(name)?.held ?? [];
        const own = { line: lineOf(row), amount: integerOf(row, 'amount') };
        loaded.held.set(name, { tenant, id, held: [...others, own] });
      },
    },
    {
      text: linesSql(schema),
      values: [
        ...holding,
        texts(lines.map(({ tenant }) => tenant)),
        texts(lines.map(({ line }) => line.budget)),
        texts(lines.map(({ line }) => line.scope)),
        texts(lines.map(({ line }) => line.measure)),
        texts(lines.map(({ line }) => line.window)),
        bigints(lines.map(({ windowMs }) => windowMs)),
        texts(times.map(({ tenant }) => tenant)),
        bigints(times.map(({ at }) => at)),
      ],
      take(row) {
        const line = lineName(tenantOf(row), lineOf(row));
        loaded.lines.set(line, {
          reserved: integerOf(row, 'reserved'),
          lastSum: integerOrNull(row, 'last_sum') ?? 0,
          lastAt: integerOrNull(row, 'last_at') ?? 0,
        });
        const settledAt = integerOrNull(row, 'settled_at');
        loaded.firsts.set(
          firstName(line, integerOf(row, 'since')),
          settledAt === null
            ? null
            : { amount: integerOf(row, 'amount'), sum: integerOf(row, 'sum'), settledAt },
        );
      },
    },
  ];
}

function linesSql(schema: string): string {
  const windows = Object.entries(BUDGET_WINDOWS_MS)
    .map(([window, windowMs]) => `WHEN '${window}' THEN ${windowMs}`)
    .join(' ');
  return `
    WITH line AS (
      SELECT * FROM unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bigint[])
        AS w (tenant, budget, scope, measure, "window", window_ms)
      UNION
      SELECT r.tenant, ${lineColumns('r')}, CASE r."window" ${windows} END
      FROM unnest($1::text[], $2::text[]) AS w (tenant, id)
      JOIN ${schema}.reservations AS r ON r.tenant = w.tenant AND r.proposal = w.id
    ), moment AS (
      SELECT DISTINCT w.tenant, greatest(w.at, coalesce(l.latest_at, 0)) AS at
      FROM unnest($9::text[], $10::bigint[]) AS w (tenant, at)
      LEFT JOIN ${schema}.logs AS l ON l.tenant = w.tenant
    )
    SELECT line.tenant, ${lineColumns('line')}, moment.at - line.window_ms AS since,
      reserved.amount AS reserved, last.sum AS last_sum, last.settled_at AS last_at,
      first.amount, first.sum, first.settled_at
    FROM line JOIN moment ON moment.tenant = line.tenant
    CROSS JOIN LATERAL (
      SELECT coalesce(sum(r.amount), 0)::bigint AS amount
      FROM ${schema}.reservations AS r WHERE ${isOfLine('r', 'line')}) AS reserved
    LEFT JOIN LATERAL (
      SELECT s.sum, s.settled_at FROM ${schema}.spendings AS s WHERE ${isOfLine('s', 'line')}
      ORDER BY s.settled_at DESC, s.sum DESC LIMIT 1) AS last ON true
    LEFT JOIN LATERAL (
      SELECT s.amount, s.sum, s.settled_at FROM ${schema}.spendings AS s
      WHERE ${isOfLine('s', 'line')} AND s.settled_at > moment.at - line.window_ms
      ORDER BY s.settled_at, s.sum, s.amount DESC LIMIT 1) AS first ON true`;
}
