/** Waits for a proposal to settle, in calls that each hold at most `WAIT_MS_MAX`. */
import type { Client } from '../client/client.ts';
import { WAIT_MS_MAX } from '../model/api.ts';
import { isTerminal } from '../model/lifecycle.ts';
import type { Result } from '../model/result.ts';
import type { Io } from './io.ts';
import { remark } from './shell.ts';

/** Returns the result as it stands after `waitMs`, or sooner once nothing more can happen. */
export async function waitFor(
  io: Io,
  client: Client,
  first: Result,
  waitMs: number | undefined,
): Promise<Result> {
  const id = first.proposalId;
  if (id === null || waitMs === undefined) return first;
  const until = io.now() + waitMs;
  let result = first;
  if (!isSettled(result)) remark(io, `waiting for ${id}`);
  // Bounded by `until`: each turn asks the gateway to hold the call for what is left.
  while (!isSettled(result) && io.now() < until) {
    result = await client.wait(id, { waitMs: Math.min(until - io.now(), WAIT_MS_MAX) });
  }
  return result;
}

function isSettled(result: Result): boolean {
  return result.state === 'previewed' || isTerminal(result.state);
}
