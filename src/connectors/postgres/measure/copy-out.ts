/** A COPY … TO STDOUT whose lines are handed over as they come; the server works on meanwhile. */
import { strict as assert } from 'node:assert';
import type pg from 'pg';
import { ofStep } from '../session/pipeline.ts';
import { BATCH_BOUNDS, cutOver, overBatch } from '../session/rows.ts';

const LINE_FEED = 10;

/** What takes the lines. */
export interface Taker {
  /** Whose rows they are. */
  readonly table: string;
  /** Takes the line from `from` to `to`, its line feed left out; may not throw, nor keep the bytes. */
  take(bytes: Buffer, from: number, to: number): void;
  /** Asked between lines: what has to be done before many more come; null where nothing has. */
  rest(): Promise<void> | null;
}

/**
 * Runs the statement, which takes no `$n`. While `rest` is under way the socket is not read. An error of
 * the server is one of the step `write`.
 */
export function copyOut(client: pg.PoolClient, text: string, taker: Taker): Promise<void> {
  return new Promise((resolve, reject) => {
    client.query(
      new CopyOut(text, taker, (error) => {
        if (error === null || error === undefined) resolve();
        else reject(error);
      }),
    );
  });
}

/** What the driver calls on a query object while its statement runs. */
class CopyOut implements pg.Submittable {
  /** The driver wraps it to clear its own timer. */
  callback: (error?: Error | null) => void;
  readonly #text: string;
  readonly #taker: Taker;
  #error: Error | null = null;
  #counting: ReturnType<typeof cutOver> | null = null;
  #resting: Promise<void> | null = null;

  constructor(text: string, taker: Taker, callback: (error?: Error | null) => void) {
    this.#text = text;
    this.#taker = taker;
    this.callback = callback;
  }

  submit(connection: pg.Connection): void {
    this.#counting = cutOver(connection, BATCH_BOUNDS.bytesMax, () => {
      // The counting begins anew with each row.
      this.#error ??= overBatch(0, this.#taker.table);
    });
    connection.stream.cork();
    connection.parse({ text: this.#text, name: '', types: [] }, true);
    connection.bind({ values: [] }, true);
    connection.execute({ portal: '', rows: '0' }, true);
    connection.sync();
    connection.stream.uncork();
  }

  handleCopyData({ chunk }: { readonly chunk: Buffer }, connection: pg.Connection): void {
    this.#counting?.restart();
    if (this.#error !== null) return;
    // The server sends each row as a message of its own.
    const end = chunk.length - 1;
    assert(chunk[end] === LINE_FEED, 'a row that is copied out ends its message');
    this.#taker.take(chunk, 0, end);
    if (this.#resting === null) this.#rest(connection);
  }

  handleRowDescription(): void {
    // A COPY has none.
  }

  handleDataRow(): void {
    // As above.
  }

  handlePortalSuspended(): void {
    // As above.
  }

  handleCommandComplete(): void {
    // The Sync is under way.
  }

  handleEmptyQuery(): void {
    // As above.
  }

  handleCopyInResponse(): void {
    // As above.
  }

  handleReadyForQuery(): void {
    this.#counting?.();
    void this.#end();
  }

  handleError(error: Error): void {
    this.#error ??= error;
    ofStep(this.#error, 'write');
    this.#counting?.();
    // The driver forgets the query here, so the answer is given at once; the Sync is under way.
    void this.#end();
  }

  #rest(connection: pg.Connection): void {
    const resting = this.#taker.rest();
    if (resting === null) return;
    connection.stream.pause();
    this.#resting = resting
      .catch((error: unknown) => {
        this.#error ??= error instanceof Error ? error : new Error(String(error));
      })
      .then(() => {
        this.#resting = null;
        connection.stream.resume();
      });
  }

  async #end(): Promise<void> {
    await this.#resting;
    this.callback(this.#error);
  }
}
