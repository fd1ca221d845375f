/** Holds the settings of money and recipients against the catalog: a name that is wrong there would limit nothing. */
import { nearest } from '../../../lib/nearest.ts';
import { Problem } from '../../../model/problem.ts';
import type { Sessions } from '../session/session.ts';
import { qualified, type PostgresSettings } from '../settings.ts';

/**
 * Returns a check that throws `target-misconfigured` where a table or column of the `value` or the
 * `recipients` setting does not exist. Once it has held, it is not made again.
 */
export function openAmountsCheck(
  target: string,
  sessions: Sessions,
  settings: PostgresSettings,
): () => Promise<void> {
  let holds = settings.value.length + settings.recipients.length === 0;
  return async () => {
    if (holds) return;
    const tables = await columnsByTable(sessions, settings);
    for (const { setting, table, columns: named } of mapped(settings)) {
      const resource = qualified(settings, table);
      const columns = tables.get(resource);
      const of = `target \`${target}\`: \`${setting}\``;
      if (columns === undefined) throw missing(of, 'table', resource, [...tables.keys()]);
      for (const each of named) {
        if (columns.includes(each)) continue;
        const known = columns.map((name) => `${resource}.${name}`);
        throw missing(of, 'column', `${resource}.${each}`, known);
      }
    }
    holds = true;
  };
}

interface Mapped {
  readonly setting: 'value' | 'recipients';
  readonly table: string;
  readonly columns: readonly string[];
}

function mapped({ value, recipients }: PostgresSettings): readonly Mapped[] {
  return [
    ...value.map(({ table, column, currencyColumn }): Mapped => {
      const columns = currencyColumn === undefined ? [column] : [column, currencyColumn];
      return { setting: 'value', table, columns };
    }),
    ...recipients.map(({ table, column }): Mapped => {
      return { setting: 'recipients', table, columns: [column] };
    }),
  ];
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

function missing(of: string, what: string, name: string, known: readonly string[]): Problem {
  const near = nearest(name, known);
  const meant = near === undefined ? '' : `; is \`${near}\` meant?`;
  return new Problem(
    'target-misconfigured',
    `${of} names the ${what} \`${name}\`, which does not exist in its schemas${meant}`,
  );
}
