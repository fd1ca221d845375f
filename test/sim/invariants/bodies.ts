/** Entries as they lie in the store, opened without the product's own reader. */
import type { EntryBody, OutcomeEntry, ProposalEntry } from '../../../src/model/entry.ts';
import type { StoredEntry } from '../../../src/model/ports.ts';

export type { EntryBody, ProposalEntry };
export type StoredOutcome = Omit<OutcomeEntry, 'type'>;

interface Leaf {
  readonly type: string;
  readonly prev: string | null;
  readonly plan_digest?: string;
  readonly attempt?: number;
  readonly deadline?: number;
  readonly reference?: string;
  readonly compensated_by?: string;
  readonly origin?: string;
}

export interface Opened {
  readonly body: EntryBody;
  readonly previous: string | null;
}

/** What the leaf itself says, or the payload beside it; intents and links have no payload. */
export function opened({ leaf, payloads }: StoredEntry): Opened {
  // Written by the sequencer alone; what it writes is checked by the ledger's own tests.
  const members = JSON.parse(Buffer.from(leaf).toString('utf8')) as Leaf;
  const [payload] = payloads;
  const beside = payload === undefined ? {} : (payload.value as object);
  const { type, prev, plan_digest, attempt, deadline, reference, compensated_by, origin } = members;
  const own = {
    intent: { planDigest: plan_digest, attempt, deadline, reference },
    rollback: { compensatedBy: compensated_by },
    genesis: { origin },
  }[type];
  // As above.
  const body = { ...(own ?? beside), type } as unknown as EntryBody;
  return { body, previous: prev };
}
