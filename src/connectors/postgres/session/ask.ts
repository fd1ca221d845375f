/** One connection that can be asked, whoever opened it. */
import pg from 'pg';

/** Asks one connection; rows come as lists of values. */
export type Ask = (
  text: string,
  values?: readonly unknown[],
) => Promise<readonly (readonly unknown[])[]>;

/** Makes an `Ask` of a client. */
export function asking(client: pg.ClientBase): Ask {
  return async (text, values = []) => {
    const result = await client.query<unknown[]>({ text, values: [...values], rowMode: 'array' });
    return result.rows;
  };
}

export type Verb = 'INSERT' | 'UPDATE' | 'DELETE';

/** Quotes a name with its schema for SQL. */
export function quoted(schema: string, name: string): string {
  return `${pg.escapeIdentifier(schema)}.${pg.escapeIdentifier(name)}`;
}
