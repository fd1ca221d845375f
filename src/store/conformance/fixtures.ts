/** What the contract suite writes: bodies of every type, and journeys that end in every state. */
import { strict as assert } from 'node:assert';
import { createHash } from 'node:crypto';
import type { Digest } from '../../lib/canonical.ts';
import type { BudgetLine } from '../../model/budget.ts';
import type { Decision } from '../../model/decision.ts';
import type { EntryBody, OutcomeEntry, ProposalEntry } from '../../model/entry.ts';
import type { Freeze, FreezeScope } from '../../model/freeze.ts';
import {
  newCredentialId,
  newFreezeId,
  newProposalId,
  tenantId,
  type CredentialId,
  type FreezeId,
  type ProposalId,
  type TenantId,
} from '../../model/ids.ts';
import type { State } from '../../model/lifecycle.ts';
import type { Assessment, Effect } from '../../model/plan.ts';
import type { Change, KeyClaim } from '../../model/ports.ts';
import type { Credential } from '../../model/principal.ts';

export const NOW = 1_790_000_000_000;
export const ACME: TenantId = tenantOf('acme');
export const GLOBEX: TenantId = tenantOf('globex');

export function tenantOf(name: string): TenantId {
  const tenant = tenantId(name);
  assert(tenant !== undefined);
  return tenant;
}

/** Ids in the order of `number`. */
export function proposalOf(number: number): ProposalId {
  return newProposalId(NOW + number, bytesOf(number));
}

export function freezeOf(number: number): FreezeId {
  return newFreezeId(NOW + number, bytesOf(number));
}

export function credentialOf(number: number): CredentialId {
  return newCredentialId(NOW + number, bytesOf(number));
}

export function digestOf(text: string): Digest {
  return `sha256:${createHash('sha256').update(text).digest('hex')}`;
}

function bytesOf(number: number): Uint8Array {
  return createHash('shake256', { outputLength: 10 }).update(String(number)).digest();
}

// ---- entries of a proposal

export interface ProposalOptions {
  readonly proposer?: { readonly kind: 'agent' | 'person'; readonly name: string };
  readonly derivedKey?: Digest;
  readonly effects?: readonly Effect[];
}

export function proposalEntry(options: ProposalOptions = {}): ProposalEntry {
  const proposer = options.proposer ?? { kind: 'agent', name: 'ledger-bot' };
  return {
    type: 'proposal',
    draft: {
      target: 'billing',
      operation: 'sql',
      arguments: { statement: "UPDATE invoices SET status = 'late' WHERE note = 'it’s due'" },
      reason: 'month end',
      idempotencyKey: undefined,
      run: undefined,
      compensates: undefined,
    },
    proposer: { ...proposer, credential: credentialOf(1), owner: null },
    environment: 'production',
    known: true,
    argumentsDigest: digestOf('arguments'),
    derivedKey: options.derivedKey ?? digestOf('derived'),
  };
}

export function effectsOf(count: number): readonly Effect[] {
  return Array.from({ length: count }, (_, row) => ({
    resource: 'public.invoices',
    kind: 'update',
    key: [String(row)],
    before: { id: String(row), status: 'open', note: null },
    after: { id: String(row), status: 'late', note: null },
  }));
}

export function assessmentOf(effects: readonly Effect[] = effectsOf(2)): Assessment {
  const records = effects.length;
  return {
    plan: {
      headline: `updates ${records} rows of invoices`,
      class: 'update',
      resource: 'public.invoices',
      counts: [
        {
          resource: 'public.invoices',
          attribution: 'direct',
          via: null,
          created: 0,
          updated: records,
          deleted: 0,
        },
      ],
      effects,
      partOf: {},
      effectsOmitted: 0,
      evidence: null,
      columns: [],
      effectsDigest: digestOf(JSON.stringify(effects)),
      maskedColumns: [],
      value: [{ currency: 'GBP', amountMinor: '1200' }],
      valueComplete: true,
      recipients: 0,
      bytes: 64,
      reversibility: { kind: 'proved', reason: 'the inverse was tried' },
      resourceSize: 100,
      dependents: [],
      warnings: [],
    },
    planDigest: digestOf(`plan ${records}`),
    blastRadius: {
      records,
      recordsDirect: records,
      recordsIndirect: 0,
      recordsDeleted: 0,
      resources: 1,
      value: [],
      recipients: 0,
      bytes: 64,
      amplification: 0,
    },
    risk: { score: 10, level: 'low', terms: [] },
    assessedAt: NOW,
  };
}

export function decisionEntry(
  result: (EntryBody & { type: 'decision' })['result'],
): EntryBody & { type: 'decision' } {
  return { type: 'decision', result, decision: decisionOf(result), by: 'policy' };
}

function decisionOf(result: (EntryBody & { type: 'decision' })['result']): Decision {
  const common = {
    reason: `the policy says ${result}`,
    findings: [],
    settledBy: 'rules.default',
    planDigest: null,
    policyDigest: digestOf('policy'),
    decidedAt: NOW,
  };
  if (result === 'allow') return { ...common, kind: 'allow', code: 'allowed', reserve: [] };
  if (result === 'wait') {
    return {
      ...common,
      kind: 'wait',
      code: 'approval-required',
      route: [],
      expiresAt: NOW + 60_000,
    };
  }
  return { ...common, kind: 'deny', code: 'not-permitted', duplicateOf: null };
}

export function intentEntry(attempt: number, assessment: Assessment = assessmentOf()): EntryBody {
  return { type: 'intent', planDigest: assessment.planDigest, attempt, deadline: NOW + 30_000 };
}

export function approvalEntry(): EntryBody {
  const { planDigest } = assessmentOf();
  return {
    type: 'approval',
    approval: { verdict: 'approve', person: 'ada', groups: [], planDigest, reason: null, at: NOW },
    credential: credentialOf(2),
  };
}

export function outcomeEntry(
  status: OutcomeEntry['status'],
  change: Partial<OutcomeEntry> = {},
): OutcomeEntry {
  return {
    type: 'outcome',
    status,
    code: status === 'applied' ? 'applied' : 'in-doubt',
    reason: `the target says ${status}`,
    resolved: 'live',
    attempt: 1,
    planDigest: null,
    reference: null,
    effects: null,
    evidence: null,
    difference: null,
    conflicts: [],
    ...change,
  };
}

/** The entries that take a proposal from nothing to `state`, the shortest way. */
export function journey(state: State, options: ProposalOptions = {}): readonly EntryBody[] {
  const assessment = assessmentOf(options.effects);
  const proposed: EntryBody[] = [proposalEntry(options)];
  const assessed: EntryBody[] = [...proposed, { type: 'preview', assessment }];
  const waiting = [...assessed, decisionEntry('wait')];
  const allowed = [...assessed, decisionEntry('allow')];
  const executing = [...allowed, intentEntry(1, assessment)];
  switch (state) {
    case 'proposed':
      return proposed;
    case 'assessed':
      return assessed;
    case 'waiting':
      return waiting;
    case 'allowed':
      return allowed;
    case 'executing':
      return executing;
    case 'applied':
    case 'refused':
    case 'in_doubt':
    case 'stale':
      return [...executing, outcomeEntry(state)];
    case 'denied':
      return [...assessed, decisionEntry('deny')];
    case 'expired':
      return [...waiting, decisionEntry('expired')];
    case 'cancelled':
      return [...waiting, decisionEntry('cancelled')];
  }
}

// ---- changes

/** A proposal that reaches `state` in one commit. */
export function beginChange(
  id: ProposalId,
  state: State,
  options: ProposalOptions & Partial<Omit<Change, 'acts'>> = {},
): Change {
  const { tenant = ACME, at = NOW, proposer, derivedKey, effects, ...rest } = options;
  const entries = journey(state, {
    ...(proposer && { proposer }),
    ...(derivedKey && { derivedKey }),
    ...(effects && { effects }),
  });
  return { tenant, at, acts: [{ act: id, expectStep: 0, entries }], ...rest };
}

/** More entries for an act. */
export function goOn(
  act: string,
  expectStep: number,
  entries: readonly EntryBody[],
  rest: Partial<Omit<Change, 'acts'>> = {},
): Change {
  return { tenant: ACME, at: NOW, ...rest, acts: [{ act, expectStep, entries }] };
}

export function claimOf(id: ProposalId, change: Partial<KeyClaim> = {}): KeyClaim {
  return {
    proposalId: id,
    keys: [digestOf('derived')],
    appliedSince: NOW - 86_400_000,
    supplied: null,
    ...change,
  };
}

export function lineOf(change: Partial<BudgetLine> = {}): BudgetLine {
  return {
    budget: 'budgets.hourly',
    scope: 'agent=ledger-bot',
    measure: 'records',
    window: 'hour',
    windowMs: 3_600_000,
    amount: 4,
    max: 10,
    ...change,
  };
}

export function freezeChange(id: FreezeId, scope: FreezeScope, at: number = NOW): Change {
  const freeze: Freeze = { id, scope, reason: 'incident 7', by: 'ada', at, releasedAt: null };
  return goOn(id, 0, [{ type: 'freeze', freeze }], { at });
}

export function releaseChange(id: FreezeId, at: number): Change {
  return goOn(id, 1, [{ type: 'release', freezeId: id, by: 'ada', reason: 'over' }], { at });
}

export function credentialEntry(change: 'added' | 'revoked', credential: Credential): EntryBody {
  return { type: 'credential', change, credential, by: 'ada' };
}
