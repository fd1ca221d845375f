import type { ResolutionBody } from '../model/api.ts';
import type { ProposalId } from '../model/ids.ts';
import type { Clock, Store } from '../model/ports.ts';
import type { PersonPrincipal } from '../model/principal.ts';
import { Problem } from '../model/problem.ts';
import type { Proposal } from '../model/proposal.ts';
import { settle } from './execute.ts';
import { outcomeOf } from './outcome.ts';

/**
 * Ends doubt by a named person (G4), who looked at the targets: what they say is the outcome, with
 * their credential and reason, and nothing is written to a target. Throws `state-conflict` where the
 * proposal is not in doubt, somebody else ended it meanwhile, or a gateway is looking into it.
 */
export async function resolve(
  ports: { readonly store: Store; readonly clock: Clock },
  operator: PersonPrincipal,
  proposal: Proposal,
  { outcome, reason }: ResolutionBody,
): Promise<Proposal> {
  const { id, state, assessment } = proposal;
  if (state !== 'in_doubt') {
    throw new Problem(
      'state-conflict',
      `${id} is ${state}; people say how it ended only while it is in doubt`,
    );
  }
  const said = { reason, credential: operator.credential };
  const entry =
    outcome === 'applied'
      ? outcomeOf(proposal, 'person', {
          ...said,
          status: 'applied',
          code: 'applied',
          planDigest: assessment?.planDigest ?? null,
        })
      : outcomeOf(proposal, 'person', { ...said, status: 'refused', code: 'resolved-refused' });
  const ended = await settle(ports, proposal, entry);
  if (ended.state === outcome && ended.outcome?.credential === operator.credential) return ended;
  if (ended.step === proposal.step) throw lookedInto(id);
  throw new Problem('state-conflict', `${id} was changed meanwhile; look at it again`);
}

/** Whoever looks into it has it for a moment; a person comes after. */
export function lookedInto(id: ProposalId): Problem {
  return new Problem('state-conflict', `${id} is being looked into right now; try again`);
}
