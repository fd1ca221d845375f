import pg from 'pg';

/** Drops what triggers prepared: it outlives their statement, and its transaction. */
export async function dropPrepared(client: pg.ClientBase): Promise<void> {
  const { rows } = await client.query<{ name: string }>('SELECT name FROM pg_prepared_statements');
  // Ours stay: the driver would go on to use them.
  const others = rows.filter(({ name }) => !name.startsWith('writegate_'));
  const drops = others.map(({ name }) => `DEALLOCATE ${pg.escapeIdentifier(name)}`);
  if (drops.length > 0) await client.query(drops.join('; '));
}
