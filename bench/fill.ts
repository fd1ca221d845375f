import type { EntryBody } from '../src/model/entry.ts';
import { newProposalId, type ProposalId, type TenantId } from '../src/model/ids.ts';
import { planDigest, type Assessment } from '../src/model/plan.ts';
import type { Change, Store } from '../src/model/ports.ts';
import {
  approvalEntry,
  assessmentOf,
  decisionEntry,
  digestOf,
  effectsOf,
  intentEntry,
  outcomeEntry,
  proposalEntry,
} from '../src/store/conformance/fixtures.ts';

/** How many changes wait for the store at once. */
const ABREAST = 256;
const DAY_MS = 86_400_000;
/** Each with an approval that is not yet enough. */
const APPROVALS = 4;
const WAITING_ENTRIES = 3 + APPROVALS;
const APPLIED_ENTRIES = 5;

export interface Filling {
  readonly tenant: TenantId;
  /** The target that the proposals name. */
  readonly target: string;
  readonly now: number;
  /** How many proposals wait for people. */
  readonly waiting: number;
  /** How many entries there are in all; what waits has a part in them, the rest is of applied writes. */
  readonly entries: number;
}

/** Fills a store through its port with lawful proposals; returns one in the middle of them. */
export async function fill(
  store: Store,
  filling: Filling,
  progress: (done: number) => void,
): Promise<ProposalId> {
  const { waiting, entries } = filling;
  const applied = Math.max(0, Math.ceil((entries - waiting * WAITING_ENTRIES) / APPLIED_ENTRIES));
  const assessment = honest(filling.target);
  const total = waiting + applied;
  for (let from = 0; from < total; from += ABREAST) {
    const count = Math.min(ABREAST, total - from);
    const changes = Array.from({ length: count }, (_, at) => {
      const number = from + at;
      // What waits and what is over lie side by side.
      const isWaiting =
        Math.floor(((number + 1) * waiting) / total) > Math.floor((number * waiting) / total);
      return changeOf(filling, number, isWaiting, assessment);
    });
    const commits = await Promise.all(changes.map((change) => store.commit(change)));
    const refused = commits.find(({ kind }) => kind !== 'committed');
    if (refused !== undefined) throw new Error('the store was to take what fills it');
    progress(from + count);
  }
  return idOf(filling, Math.floor(total / 2));
}

function honest(target: string): Assessment {
  const assessment = assessmentOf(effectsOf(1));
  return { ...assessment, planDigest: planDigest(target, 'sql', assessment.plan) };
}

/** Older than what is proposed later, in the order of `number`. */
function idOf({ now }: Filling, number: number): ProposalId {
  const bytes = new Uint8Array(10);
  new DataView(bytes.buffer).setUint32(0, number);
  return newProposalId(now - DAY_MS, bytes);
}

function changeOf(
  filling: Filling,
  number: number,
  isWaiting: boolean,
  assessment: Assessment,
): Change {
  const { tenant, target, now } = filling;
  const opening = proposalEntry({ derivedKey: digestOf(String(number)) });
  const begin: readonly EntryBody[] = [
    { ...opening, draft: { ...opening.draft, target } },
    { type: 'preview', assessment },
  ];
  const entries = isWaiting ? waitingEntries(assessment, now) : appliedEntries(assessment);
  return {
    tenant,
    at: now,
    acts: [{ act: idOf(filling, number), expectStep: 0, entries: [...begin, ...entries] }],
  };
}

function waitingEntries(assessment: Assessment, now: number): readonly EntryBody[] {
  const { decision } = decisionEntry('wait');
  if (decision.kind !== 'wait') throw new Error('it is a decision to wait');
  const approval = approvalEntry();
  if (approval.type !== 'approval') throw new Error('it is an approval');
  const approved = { ...approval.approval, planDigest: assessment.planDigest };
  return [
    {
      type: 'decision',
      result: 'wait',
      by: 'policy',
      decision: { ...decision, planDigest: assessment.planDigest, expiresAt: now + DAY_MS },
    },
    ...Array.from({ length: APPROVALS }, (_, at): EntryBody => ({
      ...approval,
      approval: { ...approved, person: `person-${at}` },
    })),
  ];
}

function appliedEntries(assessment: Assessment): readonly EntryBody[] {
  const allow = decisionEntry('allow');
  const { planDigest: digest } = assessment;
  return [
    { ...allow, decision: { ...allow.decision, planDigest: digest } },
    intentEntry(1, assessment),
    outcomeEntry('applied', { planDigest: digest }),
  ];
}
