/** Whether the configured targets can be used, asked from time to time and not by whoever calls. */
import type { GatewayStatus } from '../model/api.ts';
import { newProposalId } from '../model/ids.ts';
import type { Clock, Random, Target } from '../model/ports.ts';

/** How often every target is asked. */
export const TARGETS_ASKED_MS = 30_000;

const PROPOSAL_ID_BYTES = 10;

export interface TargetsInView {
  /** As the status has them: with what was found when they were last asked. */
  current(): GatewayStatus['targets'];
  /** Asks every target once, and says what changed; never throws for what a target does. */
  look(): Promise<void>;
}

/** Keeps targets in view; before the first `look` none has a problem. */
export function keepTargets(
  ports: { readonly clock: Clock; readonly random: Random },
  targets: ReadonlyMap<string, Target>,
  log: (line: string, cause: unknown) => void,
): TargetsInView {
  const problems = new Map<string, string>();

  async function ask(target: Target): Promise<void> {
    const before = problems.get(target.name);
    const { problem, cause } = await problemOf(ports, target);
    if (problem === null) problems.delete(target.name);
    else problems.set(target.name, problem);
    if (problem !== null && problem !== before) log(warning(target.name, problem), cause);
    if (problem === null && before !== undefined) {
      log(`target \`${target.name}\` can be used again`, undefined);
    }
  }

  return {
    current: () =>
      [...targets.values()].map(({ name, kind, guarantee }) => ({
        name,
        kind,
        guarantee,
        problem: problems.get(name) ?? null,
      })),
    look: async () => {
      await Promise.all([...targets.values()].map(ask));
    },
  };
}

/** A proposal that is nowhere is asked after: the answer is of no interest, only whether one comes. */
async function problemOf(
  { clock, random }: { readonly clock: Clock; readonly random: Random },
  target: Target,
): Promise<{ readonly problem: string | null; readonly cause?: unknown }> {
  const key = newProposalId(clock.now(), random.bytes(PROPOSAL_ID_BYTES));
  try {
    const answer = await target.probe({ key, fence: false }, new AbortController().signal);
    return { problem: answer.kind === 'unknown' ? answer.reason : null };
  } catch (cause) {
    // Its words are for the log alone: nobody knows what they hold.
    return { problem: 'it could not be asked; the log of the gateway has the cause', cause };
  }
}

function warning(name: string, problem: string): string {
  return `warning: target \`${name}\` cannot be used: ${problem}; its writes are refused until it answers: check its settings in writegate.yaml and the database behind it, it is asked again every ${TARGETS_ASKED_MS / 1000} s`;
}
