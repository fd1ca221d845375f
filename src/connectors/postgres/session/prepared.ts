import pg from 'pg';

/**
 * Drops what triggers prepared: it outlives their statement, and its transaction. `first` goes before, in
 * the same round trip.
 */
export async function dropPrepared(client: pg.ClientBase, first?: string): Promise<void> {
  const text = [...(first === undefined ? [] : [first]), PREPARED].join('; ');
  const results = await client.query<{ name: string }>(text);
  // The driver gives a list where a text has several statements, which its types do not say.
  const answers: readonly pg.QueryResult<{ name: string }>[] = [results].flat();
  // Ours stay: the driver would go on to use them.
  const others = answers.flatMap(({ rows }) => rows).filter(({ name }) => !isOurs(name));
  const drops = others.map(({ name }) => `DEALLOCATE ${pg.escapeIdentifier(name)}`);
  if (drops.length > 0) await client.query(drops.join('; '));
}

const PREPARED = 'SELECT name FROM pg_prepared_statements';

function isOurs(name: string): boolean {
  return name.startsWith('writegate_');
}
