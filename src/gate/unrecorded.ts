import type { ProposalId } from '../model/ids.ts';
import { Problem } from '../model/problem.ts';

/**
 * Does what comes behind a durable entry of a proposal. Where the store fails by then, its own words
 * (nothing was written) are not what became of the proposal: the caller hears that it is not known.
 */
export async function afterEntry<Answer>(
  id: ProposalId,
  work: () => Promise<Answer>,
): Promise<Answer> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof Problem) || !isOfStore(error)) throw error;
    const message =
      `the store took ${id} and does not answer now, so it is not known here how it stands and ` +
      'whether it took effect; look at it later, or send it again with the same key';
    throw new Problem(error.code, message, { cause: error });
  }
}

function isOfStore({ code }: Problem): boolean {
  return code === 'store-unreachable' || code === 'store-unusable';
}
