import type { EntryBody } from '../model/entry.ts';
import { isDenial } from '../model/codes.ts';
import type { Policy } from '../model/policy.ts';
import type { TargetRefusal } from '../model/ports.ts';
import type { Proposal } from '../model/proposal.ts';
import { decisionEntry } from './commit.ts';
import { outcomeOf } from './outcome.ts';

/** What the proposer has to mend is denied; what the target could not do now is refused. */
export function refusalEntry(
  proposal: Proposal,
  policy: Policy,
  refusal: TargetRefusal,
  now: number,
): EntryBody {
  const { code, reason, conflicts } = refusal;
  if (!isDenial(code)) {
    return outcomeOf(proposal, 'live', { status: 'refused', code, reason, conflicts });
  }
  const rule = `connector.${code}`;
  return decisionEntry({
    kind: 'deny',
    code,
    reason,
    settledBy: rule,
    findings: [{ stage: 'validation', verdict: 'deny', rule, code, reason }],
    planDigest: null,
    policyDigest: policy.digest,
    decidedAt: now,
    duplicateOf: null,
  });
}
