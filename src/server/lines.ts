/** A long answer as lines of JSON, each as soon as it is known. */
import { Readable } from 'node:stream';
import type { Step } from '../model/steps.ts';
import { problemDocument, toProblem, type Log } from './problem.ts';

export const LINES_TYPE = 'application/x-ndjson';

/**
 * Begins the work, so that what cannot be taken is answered as a problem with its status, and gives
 * the steps as lines. What breaks off later is the last line.
 */
export async function linesOf<Answer>(
  steps: AsyncGenerator<Step<Answer>>,
  log: Log,
): Promise<Readable> {
  const first = await steps.next();
  async function* lines(): AsyncGenerator<string> {
    try {
      if (first.done === true) return;
      yield lineOf(first.value);
      for await (const step of steps) yield lineOf(step);
    } catch (error) {
      yield lineOf({ kind: 'problem', problem: problemDocument(toProblem(error, log)) });
    }
  }
  const readable = Readable.from(lines());
  // A reader that went away before its first line never began them: the work ends here too.
  readable.once('close', () => void steps.return(undefined).catch(() => undefined));
  return readable;
}

function lineOf(step: Step<unknown>): string {
  return `${JSON.stringify(step)}\n`;
}
