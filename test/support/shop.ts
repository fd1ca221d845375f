/** A server of a test, with the database `shop` that gateways write to and the roles of a target over it. */
import pg from 'pg';
import { startPostgres, type Postgres, type PostgresOptions } from '../../support/postgres.ts';
import { makeRoles } from './postgres-roles.ts';

/** The target, as a configuration names it by `Shop.variables`. */
export const SHOP_TARGET: string = `
targets:
  shop:
    kind: postgres
    url: \${env:URL}
    reader: \${env:READER}
    evidence: \${env:EVIDENCE}
    undo: \${env:UNDO}
    schemas: [public]
`;

export interface Shop {
  readonly postgres: Postgres;
  /** Connected to `shop` as the superuser. */
  readonly database: pg.Client;
  /** Environment variables, a URL for each role. */
  readonly variables: Readonly<Record<'URL' | 'READER' | 'EVIDENCE' | 'UNDO', string>>;
  stop(): Promise<void>;
}

export interface ShopWish extends PostgresOptions {
  /** Statements that make what is governed. */
  readonly tables: string;
  /** Databases beside `shop`. */
  readonly beside?: readonly string[];
}

export async function openShop({ tables, beside = [], ...options }: ShopWish): Promise<Shop> {
  const postgres = await startPostgres(options);
  for (const name of ['shop', ...beside]) await postgres.createDatabase(name);
  const database = new pg.Client(postgres.url('shop'));
  await database.connect();
  await database.query(tables);
  const { url, reader, evidence, undo } = await makeRoles(postgres.url('shop'));
  return {
    postgres,
    database,
    variables: { URL: url, READER: reader, EVIDENCE: evidence, UNDO: undo },
    stop: async () => {
      await database.end();
      await postgres.stop();
    },
  };
}
