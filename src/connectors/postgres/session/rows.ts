/** A statement whose rows arrive in batches, so that any number of them fits into bounded memory. */
import type pg from 'pg';
import { Refused } from '../../connector.ts';

export const BATCH_BOUNDS = {
  /** Rows that the server sends before it waits for the next request. */
  rowsMax: 500,
  /** A single value may have a gigabyte: the wire is cut before it fills the gateway. */
  bytesMax: 33_554_432,
} as const;

/** A value given for a `$n`; null is SQL null. */
export type Parameter = string | number | boolean | null;

/** What our own look-ups hand in beside plain values: a list becomes an array of the server. */
export type Value = Parameter | readonly (string | number)[];

/** A row in the server's text form, by position. */
export type TextRow = readonly (string | null)[];

type Take = (rows: readonly TextRow[]) => Promise<void> | void;

/**
 * Runs one statement through the extended protocol, which refuses a second one, and hands its rows
 * over batch by batch; the next batch is asked for when `take` is done with the last.
 */
export function streamRows(
  client: pg.PoolClient,
  query: { readonly text: string; readonly values: readonly Parameter[]; readonly table?: string },
  take: Take,
): Promise<void> {
  const open = (connection: pg.Connection): void => {
    connection.parse({ text: query.text, name: '', types: [] }, true);
    connection.bind({ values: query.values.map(textOfParameter) }, true);
  };
  return stream(client, { portal: '', table: query.table, open }, take);
}

/** As `streamRows`, for what is left of a portal that a pipeline keeps open. */
export function streamPortal(
  client: pg.PoolClient,
  from: { readonly portal: string; readonly table: string },
  take: Take,
): Promise<void> {
  return stream(client, { ...from, open: () => undefined }, take);
}

interface Source {
  readonly portal: string;
  /** Whose rows they are, for who is told that they are too large. */
  readonly table: string | undefined;
  readonly open: (connection: pg.Connection) => void;
}

function stream(client: pg.PoolClient, source: Source, take: Take): Promise<void> {
  return new Promise((resolve, reject) => {
    client.query(
      new Stream(source, take, (error) => {
        if (error === null || error === undefined) resolve();
        else reject(error);
      }),
    );
  });
}

/** The text form in which a value goes over the wire. */
export function textOfParameter(value: Value): string | null {
  if (value === null) return null;
  if (typeof value !== 'object') return String(value);
  return `{${value.map((each) => `"${String(each).replaceAll(/["\\\\]/g, String.raw`\$&`)}"`).join(',')}}`;
}

/**
 * Ends the connection when more than `bytesMax` bytes arrive, before the driver has put a row
 * together of them. Returns what stops the counting, `restart` of it what begins at nothing again.
 */
export function cutOver(
  connection: pg.Connection,
  bytesMax: number,
  cut: () => void,
): (() => void) & { restart(): void; forgive(bytes: number): void } {
  const { stream: socket } = connection;
  let bytes = 0;
  const count = (chunk: Buffer): void => {
    bytes += chunk.length;
    if (bytes <= bytesMax) return;
    cut();
    socket.destroy();
  };
  socket.prependListener('data', count);
  const stop = (): void => {
    socket.off('data', count);
  };
  return Object.assign(stop, {
    restart: () => {
      bytes = 0;
    },
    // What came already and does not count.
    forgive: (came: number) => {
      bytes -= came;
    },
  });
}

/** What is said of rows over `BATCH_BOUNDS.bytesMax`, of which `whole` had come in full. */
export function overBatch(whole: number, table: string | undefined): Refused {
  const of = table === undefined ? '' : ` of \`${table}\``;
  const size = `${BATCH_BOUNDS.bytesMax / 1_048_576} MiB of values`;
  return new Refused(
    'effect-unmeasurable',
    whole === 0
      ? `one changed row${of} has more than ${size}, which is more than is measured; propose the ` +
          'write without that row'
      : `changed rows${of} that are read together, at most ${BATCH_BOUNDS.rowsMax}, have more than ` +
          `${size}; propose the write in parts`,
  );
}

/** What the driver calls on a query object while its statement runs (as `pg-cursor` relies on). */
class Stream implements pg.Submittable {
  /** The driver wraps it to clear its own timer. */
  callback: (error?: Error | null) => void;
  readonly #source: Source;
  readonly #take: Take;
  #rows: TextRow[] = [];
  #error: Error | null = null;
  #counting: ReturnType<typeof cutOver> | null = null;

  constructor(source: Source, take: Take, callback: (error?: Error | null) => void) {
    this.#source = source;
    this.#take = take;
    this.callback = callback;
  }

  submit(connection: pg.Connection): void {
    this.#counting = cutOver(connection, BATCH_BOUNDS.bytesMax, () => {
      this.#error ??= overBatch(this.#rows.length, this.#source.table);
    });
    connection.stream.cork();
    this.#source.open(connection);
    this.#execute(connection);
    connection.stream.uncork();
  }

  handleRowDescription(): void {
    // Never asked for: every column is text.
  }

  handleDataRow(message: { readonly fields: TextRow }): void {
    this.#rows.push(message.fields);
  }

  handlePortalSuspended(connection: pg.Connection): void {
    this.#handOver(() => this.#execute(connection), connection);
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
    this.#counting?.();
    this.callback(this.#error);
  }

  handleError(error: Error, connection?: pg.Connection): void {
    this.#error ??= error;
    this.#counting?.();
    // The driver forgets the query here, so the answer is given at once.
    connection?.sync();
    this.callback(this.#error);
  }

  #execute(connection: pg.Connection): void {
    connection.execute({ portal: this.#source.portal, rows: String(BATCH_BOUNDS.rowsMax) }, true);
    connection.flush();
  }

  #handOver(next: () => void, connection: pg.Connection): void {
    const rows = this.#rows;
    this.#rows = [];
    this.#counting?.restart();
    void (async () => this.#take(rows))().then(next, (error: Error) => {
      this.#error ??= error;
      connection.sync();
    });
  }
}
