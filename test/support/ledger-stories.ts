/** Logs whose entries tell lawful stories, as the gate would write them. */
import { createHash } from 'node:crypto';
import type { Digest } from '../../src/lib/canonical.ts';
import type { Decision } from '../../src/model/decision.ts';
import type { EntryBody, OutcomeEntry } from '../../src/model/entry.ts';
import { freezeId, newCredentialId, newProposalId } from '../../src/model/ids.ts';
import { measure, planDigest, type Assessment, type Plan } from '../../src/model/plan.ts';
import type { Random } from '../../src/model/ports.ts';
import { need } from './gate.ts';
import { AT, MemoryLog, ORIGIN, seededRandom } from './ledger.ts';

/** One act's entries, in order; a rollback pair is a story of two acts. */
type Story = (tell: (act: string, body: EntryBody) => void, random: Random) => void;

const DIGEST: Digest = `sha256:${'d'.repeat(64)}`;
const AGENT_CREDENTIAL = newCredentialId(AT, new Uint8Array(10));
const PERSON_CREDENTIAL = newCredentialId(AT, new Uint8Array(10).fill(1));

export function planOf(random: Random): Plan {
  const [rows = 0, value = 0] = random.bytes(2);
  const key = Buffer.from(random.bytes(8)).toString('hex');
  return {
    headline: `updates ${rows} rows of public.orders`,
    class: 'update',
    resource: 'public.orders',
    counts: [
      {
        resource: 'public.orders',
        attribution: 'direct',
        via: null,
        created: 0,
        updated: rows,
        deleted: 0,
      },
    ],
    effects: [
      {
        resource: 'public.orders',
        kind: 'update',
        key: [key],
        before: { status: 'open' },
        after: { status: 'late' },
      },
    ],
    partOf: {},
    effectsOmitted: Math.max(0, rows - 1),
    evidence: null,
    columns: [],
    effectsDigest: `sha256:${createHash('sha256').update(key).digest('hex')}`,
    maskedColumns: [],
    value: [{ currency: 'GBP', amountMinor: String(value) }],
    valueComplete: true,
    recipients: 0,
    bytes: 100,
    reversibility: { kind: 'proved', reason: 'the inverse was tried' },
    resourceSize: 47_000,
    dependents: [],
    warnings: [],
  };
}

export function assessmentOf(plan: Plan): Assessment {
  return {
    plan,
    planDigest: planDigest('orders-db', 'sql', plan),
    blastRadius: measure(plan),
    risk: { score: 41.6, level: 'medium', terms: [] },
    assessedAt: AT,
  };
}

export function proposed(compensates?: ReturnType<typeof newProposalId>): EntryBody {
  return {
    type: 'proposal',
    draft: {
      target: 'orders-db',
      operation: 'sql',
      arguments: { statement: "UPDATE orders SET status = 'late'" },
      reason: 'the customer asked',
      idempotencyKey: undefined,
      run: 'run-1',
      compensates,
    },
    proposer: { kind: 'agent', name: 'ledger-bot', credential: AGENT_CREDENTIAL, owner: 'ada' },
    environment: 'production',
    known: true,
    argumentsDigest: DIGEST,
    derivedKey: DIGEST,
  };
}

export function decided(
  result: 'allow' | 'wait' | 'deny' | 'expired' | 'cancelled',
  plan: Digest | null,
  code: Decision['code'] = 'allowed',
): EntryBody {
  const common = {
    code,
    reason: 'for a test',
    findings: [],
    settledBy: 'rules.test',
    planDigest: plan,
    policyDigest: DIGEST,
    decidedAt: AT,
  };
  const by = result === 'expired' ? 'clock' : result === 'cancelled' ? 'ada' : 'policy';
  if (result === 'allow') {
    return { type: 'decision', result, by, decision: { ...common, kind: 'allow', reserve: [] } };
  }
  if (result === 'wait') {
    const route = [{ groups: [], quorum: 1 }];
    const decision = { ...common, kind: 'wait', route, expiresAt: AT + 1 } as const;
    return { type: 'decision', result, by, decision };
  }
  return { type: 'decision', result, by, decision: { ...common, kind: 'deny', duplicateOf: null } };
}

export function approved(planned: Digest, verdict: 'approve' | 'deny' = 'approve'): EntryBody {
  const approval = {
    verdict,
    person: 'grace',
    groups: ['finance'],
    planDigest: planned,
    reason: null,
    at: AT,
  };
  return { type: 'approval', approval, credential: PERSON_CREDENTIAL };
}

export function intended(planned: Digest, attempt = 1): EntryBody {
  return { type: 'intent', planDigest: planned, attempt, deadline: AT + 60_000 };
}

const OUTCOME_CODES = {
  applied: 'applied',
  refused: 'target-busy',
  in_doubt: 'in-doubt',
  stale: 'plan-drifted',
} as const satisfies Record<OutcomeEntry['status'], string>;

export function outcome(
  status: OutcomeEntry['status'],
  planned: Digest | null,
  attempt = 1,
): OutcomeEntry {
  return {
    type: 'outcome',
    status,
    code: OUTCOME_CODES[status],
    reason: 'for a test',
    resolved: 'live',
    attempt,
    planDigest: planned,
    reference: status === 'applied' ? '4711' : null,
    effects: null,
    evidence: null,
    difference: null,
    conflicts: [],
  };
}

function actOf(random: Random): ReturnType<typeof newProposalId> {
  return newProposalId(AT, random.bytes(10));
}

const STORIES: readonly Story[] = [
  // Denied before anything was measured.
  (tell, random) => {
    const act = actOf(random);
    tell(act, proposed());
    tell(act, decided('deny', null, 'frozen'));
  },
  // Allowed at once, applied, then taken back.
  (tell, random) => {
    const act = actOf(random);
    const first = assessmentOf(planOf(random));
    tell(act, proposed());
    tell(act, { type: 'preview', assessment: first });
    tell(act, decided('allow', first.planDigest));
    tell(act, intended(first.planDigest));
    tell(act, outcome('applied', first.planDigest));
    const inverse = actOf(random);
    const second = assessmentOf(planOf(random));
    tell(inverse, proposed(act));
    tell(inverse, { type: 'preview', assessment: second });
    tell(inverse, decided('allow', second.planDigest));
    tell(inverse, intended(second.planDigest));
    tell(inverse, outcome('applied', second.planDigest));
    tell(act, { type: 'rollback', compensatedBy: inverse });
  },
  // Waited for, drifted, waited for again, in doubt, applied.
  (tell, random) => {
    const act = actOf(random);
    const shown = assessmentOf(planOf(random));
    const moved = assessmentOf(planOf(random));
    tell(act, proposed());
    tell(act, { type: 'preview', assessment: shown });
    tell(act, decided('wait', shown.planDigest, 'threshold-exceeded'));
    tell(act, approved(shown.planDigest));
    tell(act, decided('allow', shown.planDigest, 'approved'));
    tell(act, intended(shown.planDigest));
    tell(act, outcome('stale', moved.planDigest));
    tell(act, { type: 'preview', assessment: moved });
    tell(act, decided('wait', moved.planDigest, 'threshold-exceeded'));
    tell(act, approved(moved.planDigest));
    tell(act, decided('allow', moved.planDigest, 'approved'));
    tell(act, intended(moved.planDigest, 2));
    tell(act, outcome('in_doubt', null, 2));
    tell(act, intended(moved.planDigest, 3));
    tell(act, outcome('applied', moved.planDigest, 3));
  },
  // A person says no.
  (tell, random) => {
    const act = actOf(random);
    const shown = assessmentOf(planOf(random));
    tell(act, proposed());
    tell(act, { type: 'preview', assessment: shown });
    tell(act, decided('wait', shown.planDigest, 'threshold-exceeded'));
    tell(act, approved(shown.planDigest, 'deny'));
    tell(act, decided('deny', shown.planDigest, 'denied-by-person'));
  },
  // Nobody decides in time.
  (tell, random) => {
    const act = actOf(random);
    const shown = assessmentOf(planOf(random));
    tell(act, proposed());
    tell(act, { type: 'preview', assessment: shown });
    tell(act, decided('wait', shown.planDigest, 'threshold-exceeded'));
    tell(act, decided('expired', shown.planDigest, 'expired'));
  },
  // The target could not be measured.
  (tell, random) => {
    const act = actOf(random);
    tell(act, proposed());
    tell(act, outcome('refused', null, 0));
  },
  // A stop, on and off.
  (tell, random) => {
    const id = need(freezeId(actOf(random).replace('prop_', 'frz_')));
    const freeze = { id, reason: 'a test', by: 'ada', at: AT, releasedAt: null };
    tell(id, { type: 'freeze', freeze: { ...freeze, scope: { kind: 'run', name: 'run-2' } } });
    tell(id, { type: 'release', freezeId: id, by: 'ada', reason: 'over' });
  },
  // A stop by the file, which two have to release: the file and a person.
  (tell, random) => {
    const id = need(freezeId(actOf(random).replace('prop_', 'frz_')));
    const made = { id, reason: 'a test', by: 'gateway-1', source: 'file', at: AT } as const;
    const scope = { kind: 'agent', name: 'other-bot' } as const;
    tell(id, { type: 'freeze', freeze: { ...made, scope, releasedAt: null } });
    const release = { type: 'release', freezeId: id, reason: 'over', quorum: 2 } as const;
    tell(id, { ...release, by: 'gateway-1', source: 'file', missing: 1 });
    tell(id, { ...release, by: 'ada', credential: PERSON_CREDENTIAL });
  },
  // A credential, a policy.
  (tell, random) => {
    const id = newCredentialId(AT, random.bytes(10));
    const holder = { kind: 'agent', name: 'ledger-bot', owner: 'ada' } as const;
    const credential = {
      id,
      secretDigest: 'e'.repeat(64),
      createdAt: AT,
      revokedAt: undefined,
      holder,
    };
    tell(id, { type: 'credential', change: 'added', credential, by: 'ada' });
    tell('log', { type: 'policy', digest: DIGEST, mode: 'active', text: 'version: 1\n' });
    const revoked = { ...credential, revokedAt: AT + 1 };
    tell(id, { type: 'credential', change: 'revoked', credential: revoked, by: 'ada' });
  },
];

/** A log of whole stories, told at the same time: `entries` of them or a few more. */
export function lawfulLog(entries: number, seed = 'lawful'): MemoryLog {
  const random = seededRandom(seed);
  const log = new MemoryLog(random);
  log.append('log', { type: 'genesis', origin: ORIGIN });
  const waiting: { act: string; body: EntryBody }[][] = [];
  const below = (bound: number): number => (random.bytes(1)[0] ?? 0) % bound;
  let told = 1;
  while (told < entries || waiting.length > 0) {
    if (told < entries && waiting.length < 5) {
      const lines: { act: string; body: EntryBody }[] = [];
      const story = need(STORIES[below(STORIES.length)]);
      story((act, body) => lines.push({ act, body }), random);
      waiting.push(lines);
    }
    const at = below(waiting.length);
    const next = waiting[at]?.shift();
    if (next === undefined) waiting.splice(at, 1);
    else log.append(next.act, next.body);
    told = log.entriesKept.length;
  }
  return log;
}
