import { BUDGET_WINDOWS_MS, type BudgetLine, type BudgetUse } from '../../model/budget.ts';
import type { TenantId } from '../../model/ids.ts';
import { windowOf, type Line } from '../state/budgets.ts';
import { bigints, texts } from './arrays.ts';
import { isOfLine, lineColumns, lineOf } from './load-budgets.ts';
import { integerOf, integerOrNull, type Ask, type Row } from './rows.ts';

/** One line at a time, which is the latest that the tenant has seen. */
interface Found {
  readonly at: number;
  readonly reserved: number;
  readonly spent: number;
  /** The line's sum before its window. */
  readonly sumBefore: number;
  /** When the oldest of what is spent was. */
  readonly oldestAt: number | null;
}

export class BudgetReads {
  readonly #ask: Ask;
  readonly #schema: string;

  constructor(ask: Ask, schema: string) {
    this.#ask = ask;
    this.#schema = schema;
  }

  async used(
    tenant: TenantId,
    lines: readonly BudgetLine[],
    now: number,
  ): Promise<readonly number[]> {
    const windowsMs = lines.map(({ windowMs }) => windowMs);
    const found = await this.#windows(tenant, lines, windowsMs, now);
    return found.map(({ reserved, spent }) => reserved + spent);
  }

  /**
   * When so much has left the window that the line's amount fits. Null where what is reserved leaves
   * no room for it, however much does.
   */
  async freeAt(tenant: TenantId, line: BudgetLine, now: number): Promise<number | null> {
    const [found] = await this.#windows(tenant, [line], [line.windowMs], now);
    if (found === undefined) return now;
    const { at, reserved, spent, sumBefore } = found;
    if (reserved + line.amount > line.max) return null;
    const wanted = sumBefore + reserved + spent + line.amount - line.max;
    if (wanted <= sumBefore) return at;
    return (await this.#reaching(tenant, line, at, wanted)) + line.windowMs;
  }

  /** What has something in use, by name and scope, at most `limit`. */
  async uses(tenant: TenantId, now: number, limit: number): Promise<readonly BudgetUse[]> {
    const rows = await this.#ask(linesSql(this.#schema), [tenant]);
    const lines = rows.map(lineOf);
    const found = await this.#windows(tenant, lines, lines.map(windowMsOf), now);
    return lines
      .flatMap((line, place): readonly BudgetUse[] => {
        const { reserved = 0, spent = 0, oldestAt = null } = found[place] ?? {};
        if (reserved === 0 && spent === 0) return [];
        const freesAt = oldestAt === null ? null : oldestAt + windowMsOf(line);
        return [{ ...line, window: windowOf(line), inFlight: reserved, spent, freesAt }];
      })
      .slice(0, limit);
  }

  async #windows(
    tenant: TenantId,
    lines: readonly Line[],
    windowsMs: readonly number[],
    now: number,
  ): Promise<readonly Found[]> {
    if (lines.length === 0) return [];
    const rows = await this.#ask(windowsSql(this.#schema), [
      tenant,
      now,
      ...(['budget', 'scope', 'measure', 'window'] as const).map((part) =>
        texts(lines.map((line) => line[part])),
      ),
      bigints(windowsMs),
    ]);
    return rows.map(foundOf);
  }

  /** When the line's sum reached `wanted`: sums grow with the time. */
  async #reaching(tenant: TenantId, line: BudgetLine, at: number, wanted: number): Promise<number> {
    const [row] = await this.#ask(
      `WITH RECURSIVE line AS (
         SELECT $1::text AS tenant, $2::text AS budget, $3::text AS scope, $4::text AS measure,
           $5::text AS "window"
       ), search (low, high) AS (
         SELECT $6::bigint, $7::bigint
         UNION ALL
         SELECT CASE WHEN found.enough THEN low ELSE found.middle + 1 END,
           CASE WHEN found.enough THEN found.middle ELSE high END
         FROM search CROSS JOIN LATERAL (
           SELECT (low + high) / 2 AS middle, coalesce((
             SELECT s.sum >= $8::bigint FROM ${this.#schema}.spendings AS s, line
             WHERE ${isOfLine('s', 'line')} AND s.settled_at <= (low + high) / 2
             ORDER BY s.settled_at DESC, s.sum DESC LIMIT 1), false) AS enough) AS found
         WHERE low < high
       )
       SELECT low FROM search WHERE low >= high`,
      [
        tenant,
        line.budget,
        line.scope,
        line.measure,
        line.window,
        at - line.windowMs + 1,
        at,
        wanted,
      ],
    );
    return integerOf(row ?? {}, 'low');
  }
}

function windowMsOf(line: Line): number {
  return BUDGET_WINDOWS_MS[windowOf(line)];
}

function foundOf(row: Row): Found {
  const [first, amount] = [integerOrNull(row, 'first_sum'), integerOrNull(row, 'first_amount')];
  const sumBefore = first === null ? 0 : first - (amount ?? 0);
  return {
    at: integerOf(row, 'at'),
    reserved: integerOf(row, 'reserved'),
    spent: first === null ? 0 : integerOf(row, 'last_sum') - sumBefore,
    sumBefore,
    oldestAt: integerOrNull(row, 'first_at'),
  };
}

function windowsSql(schema: string): string {
  return `
    WITH line AS (
      SELECT $1::text AS tenant, w.* FROM
      unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[]) WITH ORDINALITY
        AS w (budget, scope, measure, "window", window_ms, no)
    ), moment AS (
      SELECT greatest($2::bigint, coalesce(
        (SELECT l.latest_at FROM ${schema}.logs AS l WHERE l.tenant = $1), 0)) AS at
    )
    SELECT moment.at, reserved.amount AS reserved, last.sum AS last_sum,
      first.amount AS first_amount, first.sum AS first_sum, first.settled_at AS first_at
    FROM line CROSS JOIN moment
    CROSS JOIN LATERAL (
      SELECT coalesce(sum(r.amount), 0)::bigint AS amount
      FROM ${schema}.reservations AS r WHERE ${isOfLine('r', 'line')}) AS reserved
    LEFT JOIN LATERAL (
      SELECT s.sum FROM ${schema}.spendings AS s WHERE ${isOfLine('s', 'line')}
      ORDER BY s.settled_at DESC, s.sum DESC LIMIT 1) AS last ON true
    LEFT JOIN LATERAL (
      SELECT s.amount, s.sum, s.settled_at FROM ${schema}.spendings AS s
      WHERE ${isOfLine('s', 'line')} AND s.settled_at > moment.at - line.window_ms
      ORDER BY s.settled_at, s.sum, s.amount DESC LIMIT 1) AS first ON true
    ORDER BY line.no`;
}

/** The lines that have rows, each by one look into an index however many rows it has. */
function linesSql(schema: string): string {
  const next = ['reservations', 'spendings'].map(
    (table) => `
      (SELECT ${lineColumns('t')} FROM ${schema}.${table} AS t
       WHERE t.tenant = $1 AND (${lineColumns('t')}) > (${lineColumns('line')})
       ORDER BY ${lineColumns('t')} LIMIT 1)`,
  );
  return `
    WITH RECURSIVE line (budget, scope, measure, "window") AS (
      SELECT '' COLLATE "C", '' COLLATE "C", '' COLLATE "C", '' COLLATE "C"
      UNION ALL
      SELECT ${lineColumns('found')} FROM line CROSS JOIN LATERAL (
        SELECT * FROM (${next.join(' UNION ALL ')}) AS t ORDER BY ${lineColumns('t')} LIMIT 1
      ) AS found
    )
    SELECT ${lineColumns('line')} FROM line WHERE line.budget <> '' ORDER BY ${lineColumns('line')}`;
}
