import { Client } from 'pg';

/** Asks a database over a connection of its own: others may have been cut a moment ago. */
export async function ask(
  url: string,
  sql: string,
): Promise<readonly Readonly<Record<string, unknown>>[]> {
  const client = new Client({ connectionString: url });
  // A server that dies under an open connection says so here too; the call rejects all the same.
  client.on('error', () => undefined);
  await client.connect();
  try {
    const { rows } = await client.query<Record<string, unknown>>(sql);
    return rows;
  } finally {
    await client.end();
  }
}
