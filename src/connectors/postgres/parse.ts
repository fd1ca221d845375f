/** Lane 0: text and syntax, before any connection is touched. */
import { Worker } from 'node:worker_threads';
import { Refused } from '../connector.ts';
import type { ParserAnswer, ParserRequest } from './parser-worker.ts';
import type { Statement } from './statement.ts';

export const PARSE_BOUNDS = {
  /** Beyond this hostile nesting gets expensive even where it is harmless. */
  textBytesMax: 65_536,
  stackMb: 64,
  heapMb: 512,
  timeoutMs: 2_000,
  startTimeoutMs: 10_000,
  queueMax: 256,
} as const;

/** Turns the text of a statement into a checked statement, or throws `Refused`. */
export interface Parser {
  parse(text: string, schemas: readonly string[]): Promise<Statement>;
  close(): Promise<void>;
}

interface Waiting {
  readonly request: ParserRequest;
  readonly resolve: (answer: ParserAnswer) => void;
}

/** Starts no thread until the first statement. One statement is with the thread at a time. */
export function openParser(): Parser {
  const thread = new ParserThread();
  return {
    async parse(text, schemas) {
      checkText(text);
      const answer = await thread.ask(text, schemas);
      switch (answer.kind) {
        case 'accepted':
          return answer.statement;
        case 'rejected':
          throw new Refused(answer.code, answer.reason, { span: spanAt(text, answer.at) });
        case 'broken':
          throw new Refused(
            'effect-unmeasurable',
            'the statement could not be parsed within its bounds; propose a simpler one',
          );
      }
    },
    close: () => thread.close(),
  };
}

class ParserThread {
  #worker: Worker | null = null;
  #isReady = false;
  #current: Waiting | null = null;
  #timer: NodeJS.Timeout | null = null;
  #isClosed = false;
  #lastId = 0;
  readonly #queue: Waiting[] = [];

  ask(text: string, schemas: readonly string[]): Promise<ParserAnswer> {
    this.#lastId += 1;
    const request = { id: this.#lastId, text, schemas };
    if (this.#isClosed || this.#queue.length >= PARSE_BOUNDS.queueMax) {
      return Promise.resolve({ id: request.id, kind: 'broken' });
    }
    return new Promise((resolve) => {
      this.#queue.push({ request, resolve });
      this.#next();
    });
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const worker = this.#worker;
    this.#fall();
    for (const waiting of this.#queue.splice(0)) {
      waiting.resolve({ id: waiting.request.id, kind: 'broken' });
    }
    await worker?.terminate();
  }

  #next(): void {
    if (this.#current !== null || this.#isClosed) return;
    const worker = (this.#worker ??= this.#start());
    if (!this.#isReady) return;
    const next = this.#queue.shift();
    if (next === undefined) return;
    this.#current = next;
    worker.ref();
    this.#timer = setTimeout(() => this.#fall(), PARSE_BOUNDS.timeoutMs);
    worker.postMessage(next.request);
  }

  #start(): Worker {
    // Node runs the source as it stands and the published build as JavaScript.
    const file = import.meta.url.endsWith('.ts') ? './parser-worker.ts' : './parser-worker.js';
    const worker = new Worker(new URL(file, import.meta.url), {
      resourceLimits: {
        stackSizeMb: PARSE_BOUNDS.stackMb,
        maxOldGenerationSizeMb: PARSE_BOUNDS.heapMb,
      },
    });
    const fall = (): void => {
      if (this.#worker === worker) this.#fall();
    };
    this.#isReady = false;
    this.#timer = setTimeout(fall, PARSE_BOUNDS.startTimeoutMs);
    worker.on('error', fall);
    worker.on('exit', fall);
    worker.on('message', (message: ParserAnswer | 'ready') => {
      if (this.#worker === worker) this.#heard(message);
    });
    return worker;
  }

  #heard(message: ParserAnswer | 'ready'): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    // An idle thread does not keep the process alive.
    this.#worker?.unref();
    if (message === 'ready') {
      this.#isReady = true;
    } else if (message.kind === 'broken' || message.id !== this.#current?.request.id) {
      this.#fall();
      return;
    } else {
      this.#current.resolve(message);
      this.#current = null;
    }
    this.#next();
  }

  /** Throws the thread away; who waited for an answer is refused, who waited for a turn gets a new thread. */
  #fall(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    const worker = this.#worker;
    // Without an answer under way it was the start that broke: refuse one, or a start that always breaks loops.
    const lost = this.#current ?? (this.#isReady ? null : (this.#queue.shift() ?? null));
    this.#worker = null;
    this.#isReady = false;
    this.#current = null;
    void worker?.terminate();
    lost?.resolve({ id: lost.request.id, kind: 'broken' });
    if (this.#queue.length > 0) this.#next();
  }
}

/** Marks that turn the reading direction, and marks that cannot be seen (Unicode `Bidi_Control`, `Cf`). */
const HIDDEN = /[\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff\u00ad\u180e]/u;

function checkText(text: string): void {
  const bytes = Buffer.byteLength(text);
  if (bytes > PARSE_BOUNDS.textBytesMax) {
    throw new Refused(
      'statement-too-large',
      `the statement has ${bytes} bytes; expected at most ${PARSE_BOUNDS.textBytesMax}`,
    );
  }
  if (text.trim() === '') {
    // The parser takes an empty text for an error of its caller.
    throw new Refused('statement-kind', 'no statement; expected one INSERT, UPDATE or DELETE');
  }
  const at = text.isWellFormed() ? text.indexOf('\0') : text.search(/\p{Surrogate}/u);
  const hidden = at >= 0 ? at : text.search(HIDDEN);
  if (hidden < 0) return;
  const code = (text.codePointAt(hidden) ?? 0).toString(16).toUpperCase().padStart(4, '0');
  throw new Refused(
    'statement-invalid',
    `U+${code} may not stand in a statement; take it out, or give the text as a parameter`,
    {
      span: { from: hidden, to: hidden + 1 },
    },
  );
}

/** The word at a UTF-8 byte offset, as UTF-16 offsets; null where the parser gave no place. */
function spanAt(text: string, at: number): { readonly from: number; readonly to: number } | null {
  const bytes = Buffer.from(text, 'utf8');
  if (at < 0 || at > bytes.length) return null;
  const before = bytes.subarray(0, at).toString('utf8');
  const lead = /^\s*/.exec(text.slice(before.length))?.[0].length ?? 0;
  const from = before.length + lead;
  const word = /^(?:"(?:[^"]|"")*"|[\w$.]+|\S)/u.exec(text.slice(from))?.[0].length ?? 0;
  return { from, to: Math.min(text.length, from + word) };
}
