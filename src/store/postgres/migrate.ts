/** Bringing the schema up to date: forward only, one transaction for each step. */
import { createHash } from 'node:crypto';
import type pg from 'pg';
import { Problem } from '../../model/problem.ts';
import { POSTGRES_MIGRATIONS } from '../migrations/postgres.ts';
import { beginSql, lockKeys, quoted, transaction, type Place } from './connect.ts';
import { integerOf, textOf } from './rows.ts';

/** The newest schema that this gateway knows. */
export const SCHEMA_VERSION: number = POSTGRES_MIGRATIONS.length;

/**
 * Checks the server and brings the schema up to date, making it where it is missing. Any number of
 * gateways may do so at once: one after the other finds what the first has made.
 *
 * A crash leaves the version that was reached; the next start goes on from there.
 * Throws `store-unusable` where the server keeps no promise that the store gives, or where the schema is
 * another's, newer, or was not made by these texts.
 */
export async function migrate(
  client: pg.ClientBase,
  place: Place,
  migrations: readonly string[] = POSTGRES_MIGRATIONS,
): Promise<void> {
  await checkServer(client);
  const digests = migrations.map((text) => createHash('sha256').update(text).digest('hex'));
  // Without a right to make anything, as long as there is nothing to make.
  if (await isUpToDate(client, place, digests)) return;
  for (;;) {
    // Others may make what takes its time, and so may this.
    const begin = `${beginSql({ limitMs: 0 })};
      SELECT pg_advisory_xact_lock(${lockKeys(place, 'migrate')})`;
    const isDone = await transaction(client, begin, async () => {
      const version = await begun(client, place, digests);
      const next = migrations[version];
      if (next === undefined) return true;
      await client.query(`SET LOCAL search_path TO ${quoted(place)}`);
      // Gateways that run find the new version behind this lock, and none is in the middle of a commit.
      if (version > 0) await client.query('LOCK TABLE logs IN ACCESS EXCLUSIVE MODE');
      await client.query(next);
      await client.query('INSERT INTO schema_versions (version, digest) VALUES ($1, $2)', [
        version + 1,
        digests[version],
      ]);
      return false;
    });
    if (isDone) return;
  }
}

async function checkServer(client: pg.ClientBase): Promise<void> {
  const { rows } = await client.query<Record<string, unknown>>(`
    SELECT current_setting('server_encoding') AS encoding, current_setting('fsync') AS fsync,
      current_setting('server_version_num')::integer AS version, pg_is_in_recovery() AS standby`);
  const [row = {}] = rows;
  const refuse = (message: string): never => {
    throw new Problem('store-unusable', message);
  };
  if (row['standby'] === true) {
    refuse('the store’s server is a standby; name the primary in the connection string');
  }
  if (integerOf(row, 'version') < 150_000) refuse('the store needs PostgreSQL 15 or newer');
  const encoding = textOf(row, 'encoding');
  if (encoding !== 'UTF8') {
    refuse(`the store’s database has the encoding ${encoding}; make one with UTF8`);
  }
  if (textOf(row, 'fsync') !== 'on') {
    refuse(
      'the store’s server does not sync its disk: a crash would lose what was answered for; set `fsync = on`',
    );
  }
}

/** Makes schema and table of versions where they are missing, and returns the version that is there. */
async function begun(
  client: pg.ClientBase,
  place: Place,
  digests: readonly string[],
): Promise<number> {
  const schema = quoted(place);
  const found = await client.query<Record<string, unknown>>(
    `SELECT to_regnamespace($1) IS NOT NULL AS "hasSchema",
       to_regclass($2) IS NOT NULL AS "hasVersions",
       EXISTS (SELECT FROM pg_class WHERE relnamespace = to_regnamespace($1)) AS "hasOthers"`,
    [schema, `${schema}.schema_versions`],
  );
  const [{ hasSchema, hasVersions, hasOthers } = {}] = found.rows;
  if (hasSchema !== true) await client.query(`CREATE SCHEMA ${schema}`);
  if (hasVersions === true) return checkedVersion(client, place, digests);
  if (hasOthers === true) {
    throw new Problem(
      'store-unusable',
      `the schema \`${place.schema}\` belongs to something else; give the store another one`,
    );
  }
  await client.query(`
    CREATE TABLE ${schema}.schema_versions (
      version integer PRIMARY KEY,
      digest text NOT NULL,
      applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
    )`);
  return 0;
}

async function isUpToDate(
  client: pg.ClientBase,
  place: Place,
  digests: readonly string[],
): Promise<boolean> {
  const { rows } = await client.query<Record<string, unknown>>(
    'SELECT to_regclass($1) IS NOT NULL AS found',
    [`${quoted(place)}.schema_versions`],
  );
  if (rows[0]?.['found'] !== true) return false;
  return (await checkedVersion(client, place, digests)) === digests.length;
}

async function checkedVersion(
  client: pg.ClientBase,
  place: Place,
  digests: readonly string[],
): Promise<number> {
  const { rows } = await client.query<Record<string, unknown>>(
    `SELECT version, digest FROM ${quoted(place)}.schema_versions ORDER BY version`,
  );
  if (rows.length > digests.length) throw newer(place, rows.length);
  for (const [at, row] of rows.entries()) {
    const isKnown = row['version'] === at + 1 && row['digest'] === digests[at];
    if (isKnown) continue;
    throw new Problem(
      'store-unusable',
      `the schema \`${place.schema}\` was made by another text of version ${at + 1} than this gateway has; start the gateway that made it, or restore a backup`,
    );
  }
  return rows.length;
}

/** Somebody has started a newer gateway on the store. */
export function newer(place: Place, version: number): Problem {
  return new Problem(
    'store-unusable',
    `the schema \`${place.schema}\` has version ${version} and this gateway knows ` +
      `${SCHEMA_VERSION}; start the version that wrote it, or a newer one`,
  );
}
