import type { ApprovalBody } from '../model/api.ts';
import type { Approval } from '../model/decision.ts';
import type { AgentPrincipal, PersonPrincipal, Principal } from '../model/principal.ts';
import { Problem } from '../model/problem.ts';
import type { Proposal } from '../model/proposal.ts';

/** Lets a person through; an agent's credential never stands in for a person's. */
export function person(principal: Principal): PersonPrincipal {
  if (principal.kind === 'person') return principal;
  throw new Problem(
    'credential-kind',
    'an agent credential cannot decide, stop or resume; a person does that with a credential of their own',
  );
}

/** Lets an agent through: people propose nothing but to take back, and that has a call of its own. */
export function proposerOf(principal: Principal): AgentPrincipal {
  if (principal.kind === 'agent') return principal;
  throw new Problem(
    'credential-kind',
    'a write is proposed with an agent credential; a person takes back, by rolling back what was applied',
  );
}

/** Demands a role of a person. */
export function withRole(principal: PersonPrincipal, role: 'operator' | 'approver'): void {
  if (principal.roles.includes(role)) return;
  throw new Problem(
    'role-missing',
    `this needs the role \`${role}\`; \`${principal.name}\` has ${principal.roles.map((each) => `\`${each}\``).join(', ') || 'none'}`,
  );
}

/**
 * Judges whether this person may decide on this plan now, and makes the approval (G9).
 *
 * It names a human with the role, routed to it, neither the proposer nor the agent's owner, once,
 * and the digest that was on the screen. Throws a problem otherwise; changes nothing.
 */
export function approvalOf(
  approver: PersonPrincipal,
  proposal: Proposal,
  body: ApprovalBody,
  now: number,
): Approval {
  withRole(approver, 'approver');
  const { proposer, decision, assessment, id } = proposal;
  const isProposer = proposer.kind === 'person' && proposer.name === approver.name;
  if (isProposer || proposer.owner === approver.name) {
    throw new Problem(
      'approver-is-proposer',
      `\`${approver.name}\` ${isProposer ? 'proposed this' : `owns the agent \`${proposer.name}\``}; another person must decide`,
    );
  }
  if (proposal.state !== 'waiting' || assessment === null || decision?.kind !== 'wait') {
    throw new Problem('state-conflict', `${id} is ${proposal.state} and waits for nobody`);
  }
  if (body.planDigest !== assessment.planDigest) {
    throw new Problem(
      'digest-mismatch',
      `the plan of ${id} is now \`${assessment.planDigest}\`; look at it again before deciding`,
      { at: '/planDigest' },
    );
  }
  const isRouted = decision.route.some(
    (step) =>
      step.groups.length === 0 || step.groups.some((group) => approver.groups.includes(group)),
  );
  if (!isRouted) {
    const groups = decision.route.flatMap((step) => step.groups).join(', ');
    throw new Problem(
      'approver-not-routed',
      `${id} waits for the groups ${groups}; \`${approver.name}\` is in none of them`,
    );
  }
  const isAgain = proposal.approvals.some(
    (past) => past.person === approver.name && past.planDigest === body.planDigest,
  );
  if (isAgain) {
    throw new Problem('approver-decided', `\`${approver.name}\` has decided on this plan already`);
  }
  return {
    verdict: body.verdict,
    person: approver.name,
    groups: approver.groups,
    planDigest: assessment.planDigest,
    reason: body.reason ?? null,
    at: now,
  };
}
