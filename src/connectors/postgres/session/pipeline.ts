/**
 * Several statements in one round trip: Parse, Bind and Execute of each, and one Sync, on an ordinary
 * connection of the driver. The statements are prepared once for each connection.
 */
import { strict as assert } from 'node:assert';
import pg from 'pg';
import {
  BATCH_BOUNDS,
  cutOver,
  overBatch,
  textOfParameter,
  type TextRow,
  type Value,
} from './rows.ts';

export const PIPELINE_BOUNDS = {
  stepsMax: 16,
  /** Statements kept prepared on one connection; the one not used for longest makes room. */
  preparedMax: 200,
} as const;

export interface Step {
  /** How an error is told from those of other steps; see `stepOf`. */
  readonly name: string;
  readonly text: string;
  readonly values?: readonly Value[];
  /**
   * Keeps the portal of this name: it gives its first `BATCH_BOUNDS.rowsMax` rows, and the rest through
   * `streamPortal` until the transaction ends. A write is carried out whole all the same.
   */
  readonly portal?: string;
  /** Whose rows it gives. */
  readonly table?: string;
}

/** What one step gave. */
export interface StepAnswer {
  readonly rows: readonly TextRow[];
  /** Whether its portal has more. */
  readonly hasMore: boolean;
}

/**
 * Runs the steps in order and answers by step. An error ends it: later steps are not carried out, and
 * a transaction that a step had opened is left failed. Rejects with the server's own error.
 */
export function runPipeline(
  client: pg.PoolClient,
  steps: readonly Step[],
): Promise<readonly StepAnswer[]> {
  assert(steps.length <= PIPELINE_BOUNDS.stepsMax, 'a pipeline is short');
  return new Promise((resolve, reject) => {
    client.query(
      new Pipeline(preparedOn(client), steps, (error, answers) => {
        if (error === null || error === undefined) resolve(answers ?? []);
        else reject(error);
      }),
    );
  });
}

const failedSteps = new WeakMap<Error, string>();

/** The name of the step that an error of `runPipeline` came up in; undefined for any other error. */
export function stepOf(error: unknown): string | undefined {
  return error instanceof Error ? failedSteps.get(error) : undefined;
}

/** Makes an error one of a step that ran outside of a pipeline. */
export function ofStep(error: Error, name: string): void {
  failedSteps.set(error, name);
}

/** To be called where the server may have dropped what was prepared, as `DISCARD ALL` does. */
export function forgetPrepared(client: pg.PoolClient): void {
  preparedOn(client).names.clear();
}

/** Whether the server no longer knows a statement that this connection had prepared. */
export function isPreparedLost(error: unknown): boolean {
  return error instanceof pg.DatabaseError && error.code === '26000';
}

/** What is prepared on one connection, the least lately used first. */
interface Prepared {
  readonly names: Map<string, string>;
  /** Never goes back, so that a name that was forgotten is not made a second time. */
  made: number;
}

const connections = new WeakMap<object, Prepared>();

function preparedOn(client: pg.PoolClient): Prepared {
  const known = connections.get(client) ?? { names: new Map<string, string>(), made: 0 };
  connections.set(client, known);
  return known;
}

type Callback = (error?: Error | null, answers?: readonly StepAnswer[]) => void;

/** What the driver calls on a query object while its statements run. */
class Pipeline implements pg.Submittable {
  /** The driver wraps it to clear its own timer. */
  callback: Callback;
  readonly #prepared: Prepared;
  readonly #steps: readonly Step[];
  readonly #answers: StepAnswer[] = [];
  /** Texts whose Parse was sent, in order, with the name each gets. */
  readonly #parsing: (readonly [text: string, name: string])[] = [];
  #rows: TextRow[] = [];
  #error: Error | null = null;
  #stopListening = (): void => undefined;

  constructor(prepared: Prepared, steps: readonly Step[], callback: Callback) {
    this.#prepared = prepared;
    this.#steps = steps;
    this.callback = callback;
  }

  submit(connection: pg.Connection): void {
    const stopCounting = cutOver(connection, BATCH_BOUNDS.bytesMax, () => {
      const step = this.#steps[this.#answers.length];
      this.#error ??= overBatch(this.#rows.length, step?.table);
    });
    const parsed = (): void => {
      const [text, name] = this.#parsing.shift() ?? [];
      if (text !== undefined && name !== undefined) this.#prepared.names.set(text, name);
    };
    connection.on('parseComplete', parsed);
    this.#stopListening = () => {
      stopCounting();
      connection.off('parseComplete', parsed);
    };
    connection.stream.cork();
    const names = this.#steps.map(({ text }) => this.#nameOf(text));
    for (const [at, step] of this.#steps.entries()) this.#send(connection, step, names[at] ?? '');
    this.#makeRoom(connection);
    connection.sync();
    connection.stream.uncork();
  }

  handleRowDescription(): void {
    // Never asked for: every column is text.
  }

  handleDataRow(message: { readonly fields: TextRow }): void {
    this.#rows.push(message.fields);
  }

  handlePortalSuspended(): void {
    this.#answer(true);
  }

  handleCommandComplete(): void {
    this.#answer(false);
  }

  handleEmptyQuery(): void {
    this.#answer(false);
  }

  handleCopyInResponse(): void {
    // No statement that passed the parser copies.
  }

  handleCopyData(): void {
    // As above.
  }

  handleReadyForQuery(): void {
    this.#stopListening();
    this.callback(this.#error, this.#answers);
  }

  handleError(error: Error): void {
    this.#error ??= error;
    const step = this.#steps[this.#answers.length];
    if (step !== undefined) failedSteps.set(this.#error, step.name);
    this.#stopListening();
    // The driver forgets the query here, so the answer is given at once; the Sync is under way.
    this.callback(this.#error);
  }

  #answer(hasMore: boolean): void {
    this.#answers.push({ rows: this.#rows, hasMore });
    this.#rows = [];
  }

  /** The name that a text is prepared under, or is going to be. */
  #nameOf(text: string): string {
    const { names } = this.#prepared;
    const known = names.get(text) ?? this.#parsing.find(([parsing]) => parsing === text)?.[1];
    if (known !== undefined) {
      // Used latest: it moves to the end.
      if (names.delete(text)) names.set(text, known);
      return known;
    }
    this.#prepared.made += 1;
    const name = `writegate_${this.#prepared.made}`;
    this.#parsing.push([text, name]);
    return name;
  }

  /** Sends the Parse only where it is needed, just before the first Bind of its name. */
  #send(connection: pg.Connection, step: Step, name: string): void {
    const isNew = this.#parsing.some(([, parsing]) => parsing === name);
    const isFirst = this.#steps.find((each) => each.text === step.text) === step;
    if (isNew && isFirst) connection.parse({ name, text: step.text, types: [] }, true);
    const values = (step.values ?? []).map(textOfParameter);
    const portal = step.portal ?? '';
    connection.bind({ portal, statement: name, values }, true);
    const rows = step.portal === undefined ? '0' : String(BATCH_BOUNDS.rowsMax);
    connection.execute({ portal, rows }, true);
  }

  /** Closes what was not used for longest, as far as this pipeline does not use it itself. */
  #makeRoom(connection: pg.Connection): void {
    const { names } = this.#prepared;
    for (const [text, name] of names) {
      if (names.size + this.#parsing.length <= PIPELINE_BOUNDS.preparedMax) return;
      if (this.#steps.some((step) => step.text === text)) continue;
      names.delete(text);
      connection.close({ type: 'S', name }, true);
    }
  }
}
