/** What of an entry goes into its leaf, what lies beside it as payload, and back. */
import { strict as assert } from 'node:assert';
import { canonicalJson } from '../lib/canonical.ts';
import { isJsonObject, type Json } from '../lib/json.ts';
import type { EntryBody, Payload } from '../model/entry.ts';
import { Problem } from '../model/problem.ts';
import { commitmentOf } from './commitment.ts';
import { parseLeaf, type Leaf, type LeafMembers } from './leaf.ts';

type EntryType = EntryBody['type'];

const BINDS_TO: Readonly<Record<EntryType, EntryType | null>> = {
  genesis: null,
  proposal: null,
  preview: null,
  decision: 'preview',
  approval: 'preview',
  intent: 'decision',
  outcome: 'intent',
  rollback: null,
  freeze: null,
  release: null,
  policy: null,
  credential: null,
};

/** Null where the leaf says all that the entry says. */
const PAYLOAD_LABEL: Readonly<Record<EntryType, string | null>> = {
  genesis: null,
  proposal: 'draft',
  preview: 'assessment',
  decision: 'decision',
  approval: 'approval',
  intent: null,
  outcome: 'outcome',
  rollback: null,
  freeze: 'freeze',
  release: 'release',
  policy: 'policy',
  credential: 'credential',
};

/** Returns the type of the earlier entry of the same act whose leaf hash this type's `binds` is. */
export function bindsTo(type: EntryType): EntryType | null {
  return BINDS_TO[type];
}

/** Returns the label of the payload that an entry of this type must have, or null. */
export function payloadLabel(type: EntryType): string | null {
  return PAYLOAD_LABEL[type];
}

/** Returns what lies beside the leaf: the whole entry but its type, or null for nothing. */
export function payloadOf(
  body: EntryBody,
): { readonly label: string; readonly value: Json } | null {
  const label = payloadLabel(body.type);
  if (label === null) return null;
  const { type: _type, ...rest } = body;
  return { label, value: plainJson(rest) };
}

/** Returns the leaf's members by type. Nothing that an agent wrote is among them. */
export function leafMembers(body: EntryBody, binds: string | null): LeafMembers {
  switch (body.type) {
    case 'proposal':
      return proposalMembers(body);
    case 'preview':
      return previewMembers(body);
    case 'decision':
      return decisionMembers(body, binds);
    case 'approval': {
      const { verdict, planDigest } = body.approval;
      const { type, credential } = body;
      return { type, verdict, credential, plan_digest: planDigest, binds };
    }
    case 'intent': {
      const { type, planDigest, attempt, deadline, reference } = body;
      const about = reference === undefined ? {} : { reference };
      return { type, plan_digest: planDigest, attempt, deadline, ...about, binds };
    }
    case 'outcome': {
      const { type, status, code, resolved, attempt, planDigest, credential } = body;
      const conflicts = body.conflicts.length;
      const by = credential === undefined ? {} : { credential };
      const how = { status, code, resolved, attempt, plan_digest: planDigest, conflicts };
      return { type, ...how, ...by, binds };
    }
    case 'genesis':
      return { type: body.type, origin: body.origin };
    case 'rollback':
      return { type: body.type, compensated_by: body.compensatedBy };
    case 'freeze': {
      const { id, scope, source } = body.freeze;
      const about = source === undefined ? {} : { source };
      return { type: body.type, freeze: id, scope: scope.kind, ...about };
    }
    case 'release':
      return releaseMembers(body);
    case 'policy':
      return policyMembers(body);
    case 'credential': {
      const { type, change, credential } = body;
      return { type, change, credential: credential.id, holder: credential.holder.kind };
    }
  }
}

function releaseMembers(body: EntryBody & { type: 'release' }): LeafMembers {
  const { type, freezeId, source, credential, quorum, missing } = body;
  return {
    type,
    freeze: freezeId,
    ...(source === undefined ? {} : { source }),
    ...(credential === undefined ? {} : { credential }),
    ...(quorum === undefined ? {} : { quorum }),
    ...(missing === undefined ? {} : { missing }),
  };
}

function policyMembers(body: EntryBody & { type: 'policy' }): LeafMembers {
  const { type, digest, mode, by, weakens, atStart } = body;
  return {
    type,
    digest,
    mode,
    ...(by !== undefined && { by: by.kind }),
    ...(by?.kind === 'person' && { credential: by.credential }),
    ...(weakens !== undefined && { weakens }),
    ...(atStart !== undefined && { at_start: atStart }),
  };
}

function proposalMembers(body: EntryBody & { type: 'proposal' }): LeafMembers {
  const { type, proposer, environment, known, draft } = body;
  const { kind, name, credential } = proposer;
  return {
    type,
    proposer: { kind, name: kind === 'agent' ? name : null, credential },
    environment,
    known,
    target: known ? draft.target : null,
    operation: known ? draft.operation : null,
    compensates: draft.compensates ?? null,
    ...(draft.steps === undefined ? {} : { steps: draft.steps.length }),
  };
}

function previewMembers(body: EntryBody & { type: 'preview' }): LeafMembers {
  const { plan, planDigest, blastRadius, risk } = body.assessment;
  return {
    type: body.type,
    plan_digest: planDigest,
    class: plan.class,
    records: blastRadius.records,
    deleted: blastRadius.recordsDeleted,
    resources: blastRadius.resources,
    recipients: blastRadius.recipients,
    values: blastRadius.value.length,
    value_complete: plan.valueComplete,
    reversible: plan.reversibility.kind,
    risk: { score: Math.round(risk.score), level: risk.level },
    warnings: plan.warnings.length,
  };
}

function decisionMembers(
  body: EntryBody & { type: 'decision' },
  binds: string | null,
): LeafMembers {
  const { type, result, decision, by } = body;
  return {
    type,
    result,
    code: decision.code,
    rule: decision.settledBy,
    by: by === 'policy' || by === 'clock' ? by : 'principal',
    plan_digest: decision.planDigest,
    policy_digest: decision.policyDigest,
    expires: decision.kind === 'wait' ? decision.expiresAt : null,
    duplicate_of: decision.kind === 'deny' ? decision.duplicateOf : null,
    binds,
  };
}

/**
 * Rebuilds an entry from its leaf and payloads. Problem `ledger-inconsistent` where the leaf is
 * not one, or a payload is missing or not the one that the leaf commits to.
 */
export function openEntry(leaf: Uint8Array, payloads: readonly Payload[]): EntryBody {
  const parsed = parseLeaf(leaf);
  if (parsed.kind !== 'leaf') {
    throw new Problem(
      'ledger-inconsistent',
      `expected a leaf, found bytes that are ${parsed.kind}`,
    );
  }
  const { id, type, payloads: commitments } = parsed.leaf;
  const label = payloadLabel(type);
  if (label === null) return openLeaf(parsed.leaf, null);
  const payload = payloads.find((each) => each.label === label);
  if (payload === undefined) {
    throw new Problem('ledger-inconsistent', `entry ${id} has no payload \`${label}\``);
  }
  if (commitmentOf(label, payload.nonce, payload.value) !== commitments[label]) {
    throw new Problem(
      'ledger-inconsistent',
      `payload \`${label}\` of entry ${id} is not the one that its leaf commits to`,
    );
  }
  return openLeaf(parsed.leaf, payload.value);
}

/** Rebuilds an entry from its leaf and the payload that it commits to, which was checked. */
export function openLeaf(leaf: Leaf, value: Json): EntryBody {
  switch (leaf.type) {
    case 'genesis':
      return { type: leaf.type, origin: leaf.origin };
    case 'intent': {
      const { type, plan_digest: planDigest, attempt, deadline, reference } = leaf;
      const about = reference === undefined ? {} : { reference };
      return { type, planDigest, attempt, deadline, ...about };
    }
    case 'rollback':
      return { type: leaf.type, compensatedBy: leaf.compensated_by };
    default:
      assert(isJsonObject(value), 'a payload is an entry without its type');
      // The commitment holds, so this is what `payloadOf` made of an entry of this type.
      return withAbsent({ ...value, type: leaf.type } as unknown as EntryBody);
  }
}

/** Gives back the members that are undefined, which JSON leaves out. */
function withAbsent(body: EntryBody): EntryBody {
  if (body.type === 'proposal') {
    const { reason, idempotencyKey, run, compensates } = body.draft;
    return { ...body, draft: { ...body.draft, reason, idempotencyKey, run, compensates } };
  }
  if (body.type === 'credential') {
    const { holder } = body.credential;
    return {
      ...body,
      credential: {
        ...body.credential,
        revokedAt: body.credential.revokedAt,
        holder: holder.kind === 'agent' ? { ...holder, owner: holder.owner } : holder,
      },
    };
  }
  return body;
}

/** Reports whether a leaf says of its entry what the entry itself says. */
export function leafAgrees(leaf: Leaf, body: EntryBody): boolean {
  const members = leafMembers(body, 'binds' in leaf ? leaf.binds : null);
  const { v, id, act, step, prev, t, gw, payloads } = leaf;
  const common = { v, id, act, step, prev, t, gw, payloads };
  return canonicalJson(jsonOf({ ...common, ...members })) === canonicalJson(jsonOf(leaf));
}

/**
 * Takes plain data for JSON as it stands. Whoever writes it out leaves out the members that are
 * undefined, and refuses what is no plain data: `canonicalJson` does both.
 */
export function plainJson(value: object): Json {
  // Entries are made of records, lists, texts, numbers, booleans and null, all the way down.
  return value as Json;
}

/** Copies plain data into JSON; members that are undefined are left out. */
export function jsonOf(value: unknown): Json {
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return value;
  if (typeof value === 'number') return value;
  if (Array.isArray(value)) return value.map(jsonOf);
  assert(typeof value === 'object', `expected plain data, found a ${typeof value}`);
  const members = Object.entries(value).filter(([, member]) => member !== undefined);
  return Object.fromEntries(members.map(([key, member]) => [key, jsonOf(member)]));
}
