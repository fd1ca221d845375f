/** Records as JSON, and what is left out of them. */
import type { Json } from '../../lib/json.ts';
import type { Payload } from '../../model/entry.ts';
import type { Freeze } from '../../model/freeze.ts';
import type { Effect } from '../../model/plan.ts';
import type { Credential } from '../../model/principal.ts';
import type { Proposal } from '../../model/proposal.ts';
import { withoutNested } from './nested-effects.ts';

/** With `[]` in place of all effects, which lie apart from the record. */
export function bareOf(proposal: Proposal): Proposal {
  const none = (): readonly Effect[] => [];
  return withoutNested(withEffects(proposal, none, none));
}

/** With these in place of the effects of the whole. */
export function withEffects(
  proposal: Proposal,
  ofPlan: () => readonly Effect[],
  ofOutcome: () => readonly Effect[],
): Proposal {
  const { assessment, outcome } = proposal;
  return {
    ...proposal,
    assessment: assessment && {
      ...assessment,
      plan: { ...assessment.plan, effects: ofPlan() },
    },
    // Null says that the plan's effects are the outcome's too, and stays.
    outcome: outcome && { ...outcome, effects: outcome.effects && ofOutcome() },
  };
}

/** Reads what a store wrote: the JSON of a `bareOf`. */
export function parseProposal(text: string): Proposal {
  // Written by a store and by nothing else.
  const stored = JSON.parse(text) as Proposal;
  const { draft } = stored;
  // JSON leaves out members that are undefined; the type has them.
  const { reason, idempotencyKey, run, compensates } = draft;
  return {
    ...stored,
    // Absent in a record of before there were references.
    references: stored.references ?? [],
    draft: { ...draft, reason, idempotencyKey, run, compensates },
  };
}

/** Reads what a store wrote: the JSON of a freeze. */
export function parseFreeze(text: string): Freeze {
  // Written by a store and by nothing else.
  return JSON.parse(text) as Freeze;
}

/** Of a freeze for everything that another tenant made: who and why stay with that tenant. */
export function anothers({ id, scope, at, releasedAt }: Freeze): Freeze {
  return { id, scope, reason: 'stopped by another tenant', by: 'another tenant', at, releasedAt };
}

/** Reads what a store wrote: the JSON of a credential. */
export function parseCredential(text: string): Credential {
  // Written by a store and by nothing else.
  const stored = JSON.parse(text) as Credential;
  const { holder, revokedAt } = stored;
  // JSON leaves out members that are undefined; the type has them.
  return {
    ...stored,
    revokedAt,
    holder: holder.kind === 'agent' ? { ...holder, owner: holder.owner } : holder,
  };
}

/** What lies beside a leaf, of its columns; `text` is its value as JSON. */
export function storedPayload(row: Omit<Payload, 'value'> & { readonly text: string }): Payload {
  return {
    ...row,
    // Only where it is looked at: who copies a log goes by the text.
    get value() {
      // What `JSON.parse` returns is `Json` by its definition.
      return JSON.parse(row.text) as Json;
    },
  };
}
