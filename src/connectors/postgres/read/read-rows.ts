/** One SELECT whose answer is bounded: rows by the server, bytes on the wire. */
import type pg from 'pg';
import { Refused } from '../../connector.ts';
import { cutOver, textOfParameter, type Parameter, type TextRow } from '../session/rows.ts';

/** What framing may add to the bytes of the values before the wire is cut. */
const FRAMING_BYTES = 65_536;

/** A column of an answer; `table` and `place` say which column it is, as it stands, or are 0. */
export interface OutputColumn {
  readonly name: string;
  readonly table: number;
  readonly place: number;
}

export interface Answered {
  readonly columns: readonly OutputColumn[];
  readonly rows: readonly TextRow[];
  /** Of the values. */
  readonly bytes: number;
}

export interface ReadBounds {
  readonly readRows: number;
  readonly readBytes: number;
}

/**
 * Runs one SELECT in the open transaction. Throws `limit-exceeded` where the answer is larger; over the
 * bytes the connection is cut and must be thrown away.
 */
export function selectRows(
  client: pg.PoolClient,
  query: { readonly text: string; readonly values: readonly Parameter[] },
  bounds: ReadBounds & { readonly isMasked: (column: OutputColumn) => boolean },
  signal: AbortSignal,
): Promise<Answered> {
  return new Promise((resolve, reject) => {
    const select = new Select(query, bounds, signal, (error) => {
      if (error === null || error === undefined) resolve(select.answered());
      else reject(error);
    });
    client.query(select);
  });
}

interface Described {
  readonly fields: readonly {
    readonly name: string;
    readonly tableID: number;
    readonly columnID: number;
  }[];
}

class Select implements pg.Submittable {
  /** The driver wraps it to clear its own timer. */
  callback: (error?: Error | null) => void;
  readonly #query: { readonly text: string; readonly values: readonly Parameter[] };
  readonly #bounds: ReadBounds & { readonly isMasked: (column: OutputColumn) => boolean };
  readonly #signal: AbortSignal;
  readonly #rows: TextRow[] = [];
  #columns: readonly OutputColumn[] = [];
  #masked: readonly boolean[] = [];
  #counting: ReturnType<typeof cutOver> | null = null;
  #bytes = 0;
  #error: Error | null = null;
  #stop: () => void = () => undefined;

  constructor(
    query: { readonly text: string; readonly values: readonly Parameter[] },
    bounds: ReadBounds & { readonly isMasked: (column: OutputColumn) => boolean },
    signal: AbortSignal,
    callback: (error?: Error | null) => void,
  ) {
    this.#query = query;
    this.#bounds = bounds;
    this.#signal = signal;
    this.callback = callback;
  }

  answered(): Answered {
    return { columns: this.#columns, rows: this.#rows, bytes: this.#bytes };
  }

  submit(connection: pg.Connection): void {
    const stopCounting = cutOver(connection, this.#bounds.readBytes + FRAMING_BYTES, () => {
      this.#error ??= this.#overBytes();
    });
    const abort = (): void => {
      this.#error ??= this.#signal.reason instanceof Error ? this.#signal.reason : aborted();
      connection.stream.destroy();
    };
    this.#counting = stopCounting;
    this.#signal.addEventListener('abort', abort, { once: true });
    this.#stop = () => {
      stopCounting();
      this.#signal.removeEventListener('abort', abort);
    };
    connection.stream.cork();
    connection.parse({ text: this.#query.text, name: '', types: [] }, true);
    connection.bind({ values: this.#query.values.map(textOfParameter) }, true);
    connection.describe({ type: 'P', name: '' }, true);
    connection.execute({ rows: String(this.#bounds.readRows + 1) }, true);
    connection.sync();
    connection.stream.uncork();
  }

  handleRowDescription(message: Described): void {
    this.#columns = message.fields.map(({ name, tableID, columnID }) => ({
      name,
      table: tableID,
      place: columnID,
    }));
    this.#masked = this.#columns.map(this.#bounds.isMasked);
  }

  handleDataRow(message: { readonly fields: TextRow }): void {
    if (this.#error !== null) return;
    const { readRows, readBytes } = this.#bounds;
    this.#rows.push(message.fields);
    for (const [at, value] of message.fields.entries()) {
      const bytes = value === null ? 0 : Buffer.byteLength(value);
      // The bound would tell the length of what nobody may see, to who bisects it.
      if (this.#masked[at] === true) this.#counting?.forgive(bytes);
      else this.#bytes += bytes;
    }
    if (this.#rows.length > readRows) this.#error = overRows(readRows);
    else if (this.#bytes > readBytes) this.#error = this.#overBytes();
  }

  handlePortalSuspended(): void {
    this.#error ??= overRows(this.#bounds.readRows);
  }

  handleCommandComplete(): void {
    // The sync is sent along; its answer ends the query.
  }

  handleEmptyQuery(): void {
    // No text that passed the parser is empty.
  }

  handleCopyInResponse(connection: pg.Connection): void {
    connection.sync();
  }

  handleCopyData(): void {
    // No statement that passed the parser copies.
  }

  handleReadyForQuery(): void {
    this.#stop();
    this.callback(this.#error);
  }

  handleError(error: Error): void {
    this.#error ??= error;
    this.#stop();
    this.callback(this.#error);
  }

  #overBytes(): Refused {
    return new Refused(
      'limit-exceeded',
      `the answer has more than ${this.#bounds.readBytes} bytes; select fewer rows or columns`,
    );
  }
}

function overRows(max: number): Refused {
  return new Refused(
    'limit-exceeded',
    `the answer has more than ${max} rows; add a condition, LIMIT, or count them`,
  );
}

function aborted(): Error {
  const error = new Error('the read was given up');
  error.name = 'AbortError';
  return error;
}
