/** Lane 0: text and syntax, before any connection is touched. */
import { strict as assert } from 'node:assert';
import { Worker } from 'node:worker_threads';
import { Refused } from '../../connector.ts';
import { deepComment } from './comments.ts';
import type { ParserAnswer, ParserRequest, WriteRules } from './parser-worker.ts';
import type { SoftTable } from './rewrite.ts';
import type { PostgresSettings } from '../settings.ts';
import type { Query, Statement } from './statement.ts';
import { ONE_READ, ONE_WRITE } from './tree.ts';

export const PARSE_BOUNDS = {
  /** Beyond this hostile nesting gets expensive even where it is harmless. */
  textBytesMax: 65_536,
  stackMb: 64,
  heapMb: 512,
  /** After so long a thread is asked what it uses, and may use as much again of its own time. */
  threadMs: 500,
  /** However little of it was the thread's: a machine can be busy, and refuses nothing for that. */
  timeoutMs: 10_000,
  /** Texts up to this many bytes have a thread of their own: only longer ones can take long. */
  shortBytesMax: 4_096,
  /** The parser's time grows with the square of it. */
  commentDepthMax: 64,
  startTimeoutMs: 10_000,
  /** Of each thread; the gate admits fewer at once (`gate/slots.ts`). */
  queueMax: 256,
  /** Judged statements that are kept, and the characters of their texts and trees. */
  keptMax: 1_000,
  keptBytesMax: 16_777_216,
} as const;

/** What of the settings the text of a statement is judged by. */
export type ParseSettings = Pick<PostgresSettings, 'schemas' | 'softDelete' | 'scope' | 'limits'>;

/** Turns the text of a statement into a checked statement, or throws `Refused`. */
export interface Parser {
  /** A statement that writes. */
  parse(text: string, settings: ParseSettings): Promise<Statement>;
  /** The tree of a statement that writes, for `canonicalForm`; null where it is over the bounds of that. */
  tree(text: string, settings: ParseSettings): Promise<string | null>;
  /** A statement that only reads. */
  parseRead(text: string, settings: Pick<ParseSettings, 'schemas'>): Promise<Query>;
  close(): Promise<void>;
}

type Asked =
  | Pick<Extract<ParserRequest, { mode: 'write' }>, 'mode' | 'text' | 'rules'>
  | Pick<Extract<ParserRequest, { mode: 'read' }>, 'mode' | 'text' | 'rules'>;

interface Waiting {
  readonly request: ParserRequest;
  readonly resolve: (answer: ParserAnswer) => void;
}

type Judged = Extract<ParserAnswer, { kind: 'accepted' | 'readable' }>;

/** Starts no thread until the first statement for it. One statement is with a thread at a time. */
export function openParser(): Parser {
  const short = new ParserThread();
  const long = new ParserThread();
  const kept = new Kept();
  const judged = async (asked: Asked): Promise<Judged> => {
    const key = JSON.stringify([asked.mode, asked.rules, asked.text]);
    const known = kept.get(key);
    if (known !== undefined) return known;
    checkText(asked.text, asked.mode);
    const isShort = Buffer.byteLength(asked.text) <= PARSE_BOUNDS.shortBytesMax;
    const answer = await (isShort ? short : long).ask(asked);
    if (answer.kind === 'broken') {
      throw new Refused(
        'effect-unmeasurable',
        'the statement could not be parsed within its bounds; propose a simpler one',
      );
    }
    if (answer.kind === 'busy') {
      const reason = 'enough statements wait to be parsed; nothing was changed, try again';
      throw new Refused('target-busy', reason, { permanent: false });
    }
    if (answer.kind === 'rejected') {
      throw new Refused(answer.code, answer.reason, { span: spanAt(asked.text, answer.at) });
    }
    kept.set(key, answer);
    return answer;
  };
  const accepted = async (text: string, settings: ParseSettings) => {
    const answer = await judged({ mode: 'write', text, rules: writeRules(settings) });
    assert(answer.kind === 'accepted', 'a write was judged as a read');
    return answer;
  };
  return {
    parse: async (text, settings) => (await accepted(text, settings)).statement,
    tree: async (text, settings) => (await accepted(text, settings)).tree,
    async parseRead(text, { schemas }) {
      const answer = await judged({ mode: 'read', text, rules: { schemas } });
      assert(answer.kind === 'readable', 'a read was judged as a write');
      return answer.query;
    },
    async close() {
      kept.clear();
      await Promise.all([short.close(), long.close()]);
    },
  };
}

function writeRules(settings: ParseSettings): WriteRules {
  const { schemas, softDelete, scope, limits } = settings;
  const soft: SoftTable[] = Object.entries(softDelete).map(([table, { column, value }]) => {
    const whole = table.includes('.') ? table : `${schemas[0] ?? 'public'}.${table}`;
    const dot = whole.indexOf('.');
    const schema = whole.slice(0, dot);
    return { schema, name: whole.slice(dot + 1), isFirst: schema === schemas[0], column, value };
  });
  return { schemas, soft, needsWhere: limits.rows !== null || scope.length > 0 };
}

/** What was judged before, by its text; the least lately asked for goes first. */
class Kept {
  readonly #answers = new Map<string, Judged>();
  #bytes = 0;

  get(key: string): Judged | undefined {
    const answer = this.#answers.get(key);
    if (answer !== undefined) {
      this.#answers.delete(key);
      this.#answers.set(key, answer);
    }
    return answer;
  }

  clear(): void {
    this.#answers.clear();
    this.#bytes = 0;
  }

  set(key: string, answer: Judged): void {
    if (this.#answers.has(key)) return;
    this.#answers.set(key, answer);
    this.#bytes += sizeOf(key, answer);
    for (const [oldest, kept] of this.#answers) {
      const isFull =
        this.#answers.size > PARSE_BOUNDS.keptMax || this.#bytes > PARSE_BOUNDS.keptBytesMax;
      if (!isFull) return;
      this.#answers.delete(oldest);
      this.#bytes -= sizeOf(oldest, kept);
    }
  }
}

function sizeOf(key: string, answer: Judged): number {
  return key.length + (answer.kind === 'accepted' ? (answer.tree?.length ?? 0) : 0);
}

/** A request that a thread is at for longer than most take in all. */
interface Overdue {
  readonly worker: Worker;
  readonly waiting: Waiting;
  /** What the thread had used when that was found. */
  readonly before: NodeJS.CpuUsage;
  readonly endsAt: number;
}

/** How often one that is nearly over its bound is looked at. */
const LOOK_MS_MIN = 20;

class ParserThread {
  #worker: Worker | null = null;
  #isReady = false;
  #current: Waiting | null = null;
  #timer: NodeJS.Timeout | null = null;
  #isClosed = false;
  #lastId = 0;
  readonly #queue: Waiting[] = [];

  ask(asked: Asked): Promise<ParserAnswer> {
    this.#lastId += 1;
    const request: ParserRequest = { id: this.#lastId, ...asked };
    if (this.#isClosed) return Promise.resolve({ id: request.id, kind: 'broken' });
    if (this.#queue.length >= PARSE_BOUNDS.queueMax) {
      return Promise.resolve({ id: request.id, kind: 'busy' });
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
    const endsAt = performance.now() + PARSE_BOUNDS.timeoutMs;
    this.#timer = setTimeout(() => {
      // Most are never asked: it takes the thread a moment to say.
      worker.cpuUsage().then(
        (before) => this.#look({ worker, waiting: next, before, endsAt }),
        () => this.#fallWith(next),
      );
    }, PARSE_BOUNDS.threadMs);
    worker.postMessage(next.request);
  }

  /** Throws the thread away where it is over its bounds, else looks again when it can be. */
  async #look(overdue: Overdue): Promise<void> {
    const { worker, waiting, before, endsAt } = overdue;
    try {
      const { user, system } = await worker.cpuUsage(before);
      const usedMs = (user + system) / 1_000;
      const leftMs = Math.min(PARSE_BOUNDS.threadMs - usedMs, endsAt - performance.now());
      // The answer may have come meanwhile, while the machine or this thread had other things to do.
      if (this.#current !== waiting) return;
      if (leftMs <= 0) this.#fall();
      else this.#timer = setTimeout(() => void this.#look(overdue), Math.max(leftMs, LOOK_MS_MIN));
    } catch {
      this.#fallWith(waiting);
    }
  }

  /** As `#fall`, where the thread is still at that request. */
  #fallWith(waiting: Waiting): void {
    if (this.#current === waiting) this.#fall();
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

/**
 * Marks that turn the reading direction, and marks that cannot be seen (Unicode `Bidi_Control`, `Cf`,
 * and `Cc` but tab and line ends, which the parser writes into its answer as they are and so breaks it).
 */
const HIDDEN =
  /[[\p{Cc}\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff\u00ad\u180e]--[\t\n\r]]/v;

function checkText(text: string, mode: ParserRequest['mode']): void {
  const bytes = Buffer.byteLength(text);
  if (bytes > PARSE_BOUNDS.textBytesMax) {
    throw new Refused(
      'statement-too-large',
      `the statement has ${bytes} bytes; expected at most ${PARSE_BOUNDS.textBytesMax}`,
    );
  }
  if (text.trim() === '') {
    // The parser takes an empty text for an error of its caller.
    throw new Refused('statement-kind', `no statement; ${mode === 'read' ? ONE_READ : ONE_WRITE}`);
  }
  const nested = deepComment(text, PARSE_BOUNDS.commentDepthMax);
  if (nested >= 0) {
    throw new Refused(
      'statement-too-large',
      `comments are nested deeper than ${PARSE_BOUNDS.commentDepthMax} levels; leave them out`,
      { span: { from: nested, to: nested + 2 } },
    );
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
