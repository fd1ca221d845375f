import type { Result } from '../src/client/index.ts';
import type { Write } from './writes.ts';

/** What the clients of one round sent, and what they were told: it is held against the rest. */
export interface Line {
  readonly write: Write;
  /** Every answer about the write itself, in the order in which they came, by the key it was sent with. */
  readonly answers: { readonly key: string; readonly result: Result }[];
  /** The last answer about what takes it back. */
  takenBack: Result | null;
  /** Whether its client was done with it. */
  isDone: boolean;
}

export class Journal {
  readonly lines: ReadonlyMap<string, Line>;
  /** Answers that no gateway may give, whatever happens to it. */
  readonly wrongs: string[] = [];
  #again = 0;
  #troubled = Promise.withResolvers<void>();
  #answered = 0;
  #waiting: { readonly answers: number; readonly reached: () => void }[] = [];

  constructor(writes: readonly Write[]) {
    this.lines = new Map(
      writes.map((write) => [
        write.mark,
        { write, answers: [], takenBack: null, isDone: false } satisfies Line,
      ]),
    );
  }

  heard(mark: string, key: string, result: Result): void {
    const { answers } = this.#line(mark);
    const first = answers.find((answer) => answer.key === key)?.result;
    if (first !== undefined && first.proposalId !== result.proposalId) {
      this.wrongs.push(
        `${key} was answered with ${first.proposalId} and then with ${result.proposalId}`,
      );
    }
    answers.push({ key, result });
    this.#count();
  }

  takenBack(mark: string, result: Result): void {
    this.#line(mark).takenBack = result;
    this.#count();
  }

  /** Calls that came to nothing and were made again. */
  get again(): number {
    return this.#again;
  }

  cameToNothing(): void {
    this.#again += 1;
    this.#troubled.resolve();
    this.#troubled = Promise.withResolvers();
  }

  /** Resolves once the next call came to nothing, or the load is over. */
  trouble(): Promise<void> {
    return Promise.race([this.#troubled.promise, this.reached(Number.POSITIVE_INFINITY)]);
  }

  done(mark: string): void {
    this.#line(mark).isDone = true;
  }

  /** Resolves once so many answers came, or the load is over. */
  reached(answers: number): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push({ answers, reached: resolve });
      this.#wake();
    });
  }

  /** The load is over: nobody waits for more answers. */
  end(): void {
    this.#answered = Number.POSITIVE_INFINITY;
    this.#wake();
  }

  #count(): void {
    this.#answered += 1;
    this.#wake();
  }

  #wake(): void {
    const due = this.#waiting.filter(({ answers }) => answers <= this.#answered);
    this.#waiting = this.#waiting.filter(({ answers }) => answers > this.#answered);
    for (const { reached } of due) reached();
  }

  #line(mark: string): Line {
    const line = this.lines.get(mark);
    if (line === undefined) throw new Error(`nobody wrote ${mark}`);
    return line;
  }
}
