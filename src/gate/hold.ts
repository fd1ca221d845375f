import type { ApplyAnswer, Commit, CommitConflict, Held } from '../model/ports.ts';
import {
  commitSteps,
  committedProposal,
  decideOn,
  ROUNDS_MAX,
  type CommitPorts,
  type Decided,
  type Steps,
} from './commit.ts';
import { conclude } from './execute.ts';
import { afterAttempt, afterDecision, type Ended } from './finish.ts';
import type { Journey } from './journey.ts';
import { afterEntry } from './unrecorded.ts';

/**
 * Decides on a fresh proposal whose measured transaction is still open and, where it is allowed,
 * keeps exactly that transaction. Null where another proposal has the keys: then nothing was
 * written, and the caller admits anew.
 *
 * 1. The intent is durable before the transaction is asked to be kept (G1), and names the digest of
 *    the plan that was measured in it (G2).
 * 2. What is not allowed is let go before it is written down: no lock waits for people or the disk.
 * 3. Whatever is thrown, the transaction is ended.
 *
 * Crash before the intent is durable: nothing anywhere, the target takes back what nobody holds.
 * Crash after it: as in `execute`, the key is asked after.
 */
export async function decideHeld(
  journey: Journey,
  steps: Steps,
  held: Held,
): Promise<Ended | null> {
  const hold = new Hold(held);
  try {
    const commit = await commitHeld(journey, steps, hold);
    if (commit.kind === 'conflict') return null;
    const proposal = committedProposal(commit);
    if (proposal.state !== 'executing') {
      return await afterDecision(journey, proposal, steps.compensated);
    }
    const answer = await hold.keep();
    return await afterEntry(proposal.id, async () => {
      const executed = await conclude(journey, proposal, answer, 'live');
      return afterAttempt(journey, executed, steps.compensated);
    });
  } finally {
    await hold.release();
  }
}

/** Commits the decision; where a stop, a budget or the same effect got in between, it is made again on that. */
async function commitHeld(ports: CommitPorts, steps: Steps, hold: Hold): Promise<Commit> {
  for (let round = 1; ; round += 1) {
    const decided = await decideOn(ports, steps, hold.reference);
    if (decided.decision.kind !== 'allow') await hold.release();
    const commit = await commitSteps(ports, steps, decided);
    if (commit.kind === 'committed') return commit;
    const isAllowed = decided.decision.kind === 'allow';
    if (!isAllowed || !isDecidedAgain(commit.conflict, decided) || round >= ROUNDS_MAX)
      return commit;
  }
}

/** What the decision itself reads; where another has the keys of the intent, it is admitted anew. */
function isDecidedAgain(conflict: CommitConflict, { effect }: Decided): boolean {
  switch (conflict.kind) {
    case 'frozen':
    case 'budget':
    case 'pace':
      return true;
    case 'key':
      return conflict.key !== 'supplied' && effect.keys.includes(conflict.key);
    case 'leased':
    case 'step':
    // What is held was measured as the older policy asks: its checks and its bounds.
    case 'policy':
      return false;
  }
}

/** A held transaction that is ended once, one way or the other. */
class Hold {
  readonly reference: string | undefined;
  readonly #held: Held;
  #isEnded = false;

  constructor(held: Held) {
    this.#held = held;
    this.reference = held.reference;
  }

  /** Keeps the effect; null where no answer came, which says nothing about the effect. */
  keep(): Promise<ApplyAnswer | null> {
    this.#isEnded = true;
    return this.#held.commit().catch(() => null);
  }

  async release(): Promise<void> {
    if (this.#isEnded) return;
    this.#isEnded = true;
    await this.#held.release();
  }
}
