/** How a gateway that was told to stop lets its last calls end. */
import type { FastifyInstance } from 'fastify';
import type { OpenGate } from '../gate.ts';
import type { Clock } from '../model/ports.ts';
import type { Log } from '../server/problem.ts';

/**
 * How long what was begun is waited for. Supervisors that stop a process by force wait 30 s as a rule, and
 * the ledger is published after it.
 */
export const FINISH_MS = 20_000;

/** How long what is let go of, such as a connection that a call still holds, is waited for. */
export const LET_GO_MS = 5_000;

export interface Finishing {
  readonly clock: Clock;
  readonly log: Log;
  readonly gate: Pick<OpenGate, 'windDown' | 'drain'>;
  readonly app: FastifyInstance;
  /** Ends the timers and waits for their last turns. */
  readonly endTurning: () => Promise<void>;
  readonly finishMs: number;
}

/**
 * Takes no more calls, ends waits with the present state, and lets what was begun be finished: within
 * `finishMs`. Whatever is left then keeps its intent, by which the next start, or another gateway,
 * finds out what became of it; its callers are cut off and ask again.
 */
export async function finishCalls(finishing: Finishing): Promise<void> {
  const { clock, log, gate, app, endTurning, finishMs } = finishing;
  const over = new AbortController();
  const done = new AbortController();
  const deadline = clock.sleep(finishMs, done.signal).then(() => over.abort());
  gate.windDown();
  // Until all is done: what was begun by whatever call ends with it.
  const closing = app.close();
  const turned = endTurning();
  await Promise.race([Promise.all([closing, turned, gate.drain(over.signal)]), deadline]);
  const left = await gate.drain(over.signal);
  done.abort();
  if (left > 0) {
    const writes = left === 1 ? '1 write was' : `${left} writes were`;
    const seconds = Math.round(finishMs / 1_000);
    log(
      `${writes} not finished within ${seconds} s and is left: the next start, or another gateway, settles it`,
      undefined,
    );
  }
  app.server.closeAllConnections();
  await closing;
}

/** Waits for what lets go, and no longer than `LET_GO_MS`: the process ends, and with it what it held. */
export async function letGo(clock: Clock, close: () => Promise<unknown>): Promise<void> {
  const done = new AbortController();
  try {
    await Promise.race([close(), clock.sleep(LET_GO_MS, done.signal)]);
  } finally {
    done.abort();
  }
}
