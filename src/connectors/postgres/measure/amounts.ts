/** Holds the settings of money against the catalog: a name that is wrong there would limit nothing. */
import { nearest } from '../../../lib/nearest.ts';
import { Problem } from '../../../model/problem.ts';
import type { Sessions } from '../session/session.ts';
import { qualified, type PostgresSettings } from '../settings.ts';

/**
 * Returns a check that throws `target-misconfigured` where a table or column of the `value` setting
 * does not exist. Once it has held, it is not made again.
 */
export function openAmountsCheck(
  target: string,
  sessions: Sessions,
  settings: PostgresSettings,
): () => Promise<void> {
  let holds = settings.value.length === 0;
  return async () => {
    if (holds) return;
    const tables = await columnsByTable(sessions, settings);
    for (const { table, column, currencyColumn } of settings.value) {
      const resource = qualified(settings, table);
      const columns = tables.get(resource);
      if (columns === undefined) throw missing(target, 'table', resource, [...tables.keys()]);
      for (const each of currencyColumn === undefined ? [column] : [column, currencyColumn]) {
        if (columns.includes(each)) continue;
        const known = columns.map((name) => `${resource}.${name}`);
        throw missing(target, 'column', `${resource}.${each}`, known);
      }
    }
    holds = true;
  };
}

async function columnsByTable(
  sessions: Sessions,
  settings: PostgresSettings,
): Promise<ReadonlyMap<string, readonly string[]>> {
  const rows = await sessions.read({
    text: `SELECT s.nspname || '.' || c.relname, a.attname
      FROM pg_class c JOIN pg_namespace s ON s.oid = c.relnamespace
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
      WHERE c.relkind IN ('r', 'p') AND s.nspname = ANY ($1::text[])`,
    values: [settings.schemas],
  });
  const tables = new Map<string, string[]>();
  for (const [table, column] of rows) {
    const columns = tables.get(String(table)) ?? [];
    columns.push(String(column));
    tables.set(String(table), columns);
  }
  return tables;
}

function missing(target: string, what: string, name: string, known: readonly string[]): Problem {
  const near = nearest(name, known);
  const meant = near === undefined ? '' : `; is \`${near}\` meant?`;
  return new Problem(
    'target-misconfigured',
    `target \`${target}\`: \`value\` names the ${what} \`${name}\`, which does not exist in its schemas${meant}`,
  );
}
