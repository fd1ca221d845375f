/** A statement whose rows arrive in batches, so that any number of them fits into bounded memory. */
import type pg from 'pg';
import { Refused } from '../connector.ts';

export const BATCH_BOUNDS = {
  /** Rows that the server sends before it waits for the next request. */
  rowsMax: 500,
  /** A single value may have a gigabyte: the wire is cut before it fills the gateway. */
  bytesMax: 33_554_432,
} as const;

/** A value given for a `$n`; null is SQL null. */
export type Parameter = string | number | boolean | null;

/** A row in the server's text form, by position. */
export type TextRow = readonly (string | null)[];

/**
 * Runs one statement through the extended protocol, which refuses a second one, and hands its rows
 * over batch by batch; the next batch is asked for when `take` is done with the last.
 */
export function streamRows(
  client: pg.PoolClient,
  query: { readonly text: string; readonly values: readonly Parameter[] },
  take: (rows: readonly TextRow[]) => Promise<void> | void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    client.query(
      new Stream(query.text, query.values, take, (error) => {
        if (error === null || error === undefined) resolve();
        else reject(error);
      }),
    );
  });
}

/** What the driver calls on a query object while its statement runs (as `pg-cursor` relies on). */
class Stream implements pg.Submittable {
  /** The driver wraps it to clear its own timer. */
  callback: (error?: Error | null) => void;
  readonly #text: string;
  readonly #values: readonly Parameter[];
  readonly #take: (rows: readonly TextRow[]) => Promise<void> | void;
  #rows: TextRow[] = [];
  #error: Error | null = null;
  #bytes = 0;
  #stopCounting = (): void => undefined;

  constructor(
    text: string,
    values: readonly Parameter[],
    take: (rows: readonly TextRow[]) => Promise<void> | void,
    callback: (error?: Error | null) => void,
  ) {
    this.#text = text;
    this.#values = values;
    this.#take = take;
    this.callback = callback;
  }

  submit(connection: pg.Connection): void {
    this.#stopCounting = this.#countBytes(connection);
    connection.stream.cork();
    connection.parse({ text: this.#text, name: '', types: [] }, true);
    const values = this.#values.map((value) => (value === null ? null : String(value)));
    connection.bind({ values }, true);
    connection.execute({ rows: String(BATCH_BOUNDS.rowsMax) }, true);
    connection.flush();
    connection.stream.uncork();
  }

  handleRowDescription(): void {
    // Never asked for: every column is text.
  }

  handleDataRow(message: { readonly fields: TextRow }): void {
    this.#rows.push(message.fields);
  }

  handlePortalSuspended(connection: pg.Connection): void {
    this.#handOver(() => {
      connection.execute({ rows: String(BATCH_BOUNDS.rowsMax) }, true);
      connection.flush();
    }, connection);
  }

  handleCommandComplete(_message: unknown, connection: pg.Connection): void {
    this.#handOver(() => connection.sync(), connection);
  }

  handleEmptyQuery(connection: pg.Connection): void {
    connection.sync();
  }

  handleCopyInResponse(connection: pg.Connection): void {
    connection.sync();
  }

  handleCopyData(): void {
    // No statement that passed the parser copies.
  }

  handleReadyForQuery(): void {
    this.#stopCounting();
    this.callback(this.#error);
  }

  handleError(error: Error, connection?: pg.Connection): void {
    this.#error ??= error;
    this.#stopCounting();
    // The driver forgets the query here, so the answer is given at once.
    connection?.sync();
    this.callback(this.#error);
  }

  /** Counts what arrives for the present batch, before the driver has put a row together. */
  #countBytes(connection: pg.Connection): () => void {
    const { stream } = connection;
    const count = (chunk: Buffer): void => {
      this.#bytes += chunk.length;
      if (this.#bytes <= BATCH_BOUNDS.bytesMax || this.#error !== null) return;
      this.#error = new Refused(
        'effect-unmeasurable',
        `the images of ${BATCH_BOUNDS.rowsMax} rows have more than ${BATCH_BOUNDS.bytesMax} bytes`,
      );
      stream.destroy();
    };
    stream.prependListener('data', count);
    return () => stream.off('data', count);
  }

  #handOver(next: () => void, connection: pg.Connection): void {
    const rows = this.#rows;
    this.#rows = [];
    this.#bytes = 0;
    void (async () => this.#take(rows))().then(next, (error: Error) => {
      this.#error ??= error;
      connection.sync();
    });
  }
}
