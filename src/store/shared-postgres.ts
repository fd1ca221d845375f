/**
 * What gateways share, in the PostgreSQL store. Every time in it is of the server's clock, but for when
 * a gateway says that it began.
 */
import type pg from 'pg';
import { recordOf } from '../lib/record.ts';
import { beginSql, transaction } from './postgres/connect.ts';
import { storageProblem } from './postgres/problem.ts';
import { integerOf, textOf, textOrNull, type Row } from './postgres/rows.ts';
import type { GatewayCard, OpenedParts, SeenGateway, Shared } from './shared.ts';

export interface SharedPorts {
  readonly pool: pg.Pool;
  /** The store's schema, as it stands in statements. */
  readonly schema: string;
  readonly tenant: string;
}

export function postgresShared({ pool, schema, tenant }: SharedPorts): Shared {
  const now = `${schema}.now_ms()`;
  /** Each in a transaction whose commit is synced, whatever role and pooler have set. */
  async function ask(text: string, values: readonly unknown[]): Promise<readonly Row[]> {
    try {
      const client = await pool.connect();
      try {
        const answer = await transaction(client, beginSql(), () =>
          client.query<Row>(text, [tenant, ...values]),
        );
        client.release();
        return answer.rows;
      } catch (error) {
        client.release(true);
        throw error;
      }
    } catch (error) {
      throw storageProblem(error);
    }
  }

  async function noted(name: string): Promise<string | undefined> {
    const text = `SELECT value FROM ${schema}.notes WHERE tenant = $1 AND name = $2`;
    const [row] = await ask(text, [name]);
    return row && textOf(row, 'value');
  }

  return {
    async now() {
      const [row] = await ask(`SELECT ${now} AS now WHERE $1::text IS NOT NULL`, []);
      return integerOf(row ?? {}, 'now');
    },
    noted,
    async agree(name, value) {
      await ask(
        `INSERT INTO ${schema}.notes (tenant, name, value) VALUES ($1, $2, $3)
         ON CONFLICT DO NOTHING`,
        [name, value],
      );
      // By now it is there, by whomever.
      return (await noted(name)) ?? value;
    },
    async takeRound(name, everyMs) {
      const rows = await ask(
        `INSERT INTO ${schema}.rounds AS round (tenant, name, at) VALUES ($1, $2, ${now})
         ON CONFLICT (tenant, name) DO UPDATE SET at = excluded.at
         WHERE round.at <= excluded.at - $3::bigint RETURNING at`,
        [name, everyMs],
      );
      return rows.length === 1;
    },
    async join(card, before) {
      const rows = await ask(
        `INSERT INTO ${schema}.gateways AS gateway
           (tenant, id, holder, version, url, host, pid, started_at, opened, seen_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, ${now})
         ON CONFLICT (tenant, id) DO UPDATE
           SET (holder, version, url, host, pid, started_at, opened, seen_at)
           = (excluded.holder, excluded.version, excluded.url, excluded.host, excluded.pid,
              excluded.started_at, excluded.opened, excluded.seen_at)
         WHERE gateway.holder = $10 RETURNING id`,
        [...valuesOf(card), before],
      );
      return rows.length === 1;
    },
    async beat(card) {
      const rows = await ask(
        `UPDATE ${schema}.gateways SET url = $4, opened = $5, seen_at = ${now}
         WHERE tenant = $1 AND id = $2 AND holder = $3 RETURNING id`,
        [card.id, card.holder, card.url, JSON.stringify(card.opened)],
      );
      return rows.length === 1;
    },
    async leave({ id, holder }) {
      const text = `DELETE FROM ${schema}.gateways WHERE tenant = $1 AND id = $2 AND holder = $3`;
      await ask(text, [id, holder]);
    },
    async gateways() {
      // By way of JSON: before the first gateway of this version there is no such column.
      const rows = await ask(
        `SELECT id, holder, version, url, host, pid, started_at,
           greatest(${now} - seen_at, 0) AS seen_ago, to_jsonb(gateway) ->> 'opened' AS opened
         FROM ${schema}.gateways AS gateway WHERE tenant = $1 ORDER BY id`,
        [],
      );
      return rows.map(seenOf);
    },
  };
}

function valuesOf(card: GatewayCard): readonly unknown[] {
  const { id, holder, version, url, host, pid, startedAt, opened } = card;
  return [id, holder, version, url, host, pid, startedAt, JSON.stringify(opened)];
}

/** What another version wrote in another form is as if it had said nothing. */
function openedOf(row: Row): OpenedParts {
  const parsed: unknown = JSON.parse(textOrNull(row, 'opened') ?? '{}');
  const entries = Object.entries(recordOf(parsed));
  return Object.fromEntries(
    entries.flatMap(([name, digest]) => (typeof digest === 'string' ? [[name, digest]] : [])),
  );
}

function seenOf(row: Row): SeenGateway {
  return {
    id: textOf(row, 'id'),
    holder: textOf(row, 'holder'),
    version: textOf(row, 'version'),
    url: textOrNull(row, 'url'),
    host: textOf(row, 'host'),
    pid: integerOf(row, 'pid'),
    startedAt: integerOf(row, 'started_at'),
    seenAgoMs: integerOf(row, 'seen_ago'),
    opened: openedOf(row),
  };
}
