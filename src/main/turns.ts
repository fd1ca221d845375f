import type { Clock } from '../model/ports.ts';

export interface Turns {
  readonly clock: Clock;
  readonly intervalMs: number;
  readonly stop: AbortSignal;
  /** What goes wrong in one turn is said, and the next turn comes all the same. */
  readonly onError: (error: unknown) => void;
}

/** Takes a turn each interval until `stop`; resolves once the last one has ended. */
export async function takeTurns(turns: Turns, turn: () => Promise<void>): Promise<void> {
  const { clock, intervalMs, stop, onError } = turns;
  for (;;) {
    await clock.sleep(intervalMs, stop);
    if (stop.aborted) return;
    try {
      await turn();
    } catch (error) {
      onError(error);
    }
  }
}
