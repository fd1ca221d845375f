/** The shape of a leaf, closed: `docs/spec/ledger.md` says what each member means. */
import { z } from 'zod';
import { canonicalJson, type Digest } from '../lib/canonical.ts';
import { textOfUtf8 } from '../lib/bytes.ts';
import type { Json } from '../lib/json.ts';
import { REFERENCE_LENGTH_MAX, type EntryBody, type OutcomeEntry } from '../model/entry.ts';
import { FREEZE_SCOPES } from '../model/freeze.ts';
import { EFFECT_CLASSES, type EffectClass, type Reversibility, type Risk } from '../model/plan.ts';

/** An entry bundle gives a leaf's length in 16 bits. */
export const LEAF_BYTES_MAX = 65_535;

/** What every leaf has. */
export interface LeafCommon {
  readonly v: 1;
  readonly id: string;
  readonly act: string;
  readonly step: number;
  /** Leaf hash (hex) of the act's previous entry; null for its first. */
  readonly prev: string | null;
  /** The gateway's clock, milliseconds since the epoch. */
  readonly t: number;
  readonly gw: { readonly id: string; readonly config: string | null };
  /** Commitment by label. */
  readonly payloads: Readonly<Record<string, string>>;
}

type BodyOf<Type extends EntryBody['type']> = Extract<EntryBody, { readonly type: Type }>;

/** What a leaf has by its type: ids, names from the configuration, enumerations, integers, digests. */
export type LeafMembers =
  | { readonly type: 'genesis'; readonly origin: string }
  | {
      readonly type: 'proposal';
      readonly proposer: {
        readonly kind: 'agent' | 'person';
        /** Null for a person: the credential is the pseudonym. */
        readonly name: string | null;
        readonly credential: string;
      };
      readonly environment: string;
      readonly known: boolean;
      /** Null, like `operation`, where the configuration does not name it. */
      readonly target: string | null;
      readonly operation: string | null;
      readonly compensates: string | null;
      /** How many steps a chain has; absent where it is none. */
      readonly steps?: number;
    }
  | {
      readonly type: 'preview';
      readonly plan_digest: Digest;
      readonly class: EffectClass;
      readonly records: number;
      readonly deleted: number;
      readonly resources: number;
      readonly recipients: number;
      /** In how many currencies. */
      readonly values: number;
      readonly value_complete: boolean;
      readonly reversible: Reversibility['kind'];
      readonly risk: { readonly score: number; readonly level: Risk['level'] };
      readonly warnings: number;
    }
  | {
      readonly type: 'decision';
      readonly result: BodyOf<'decision'>['result'];
      readonly code: string;
      readonly rule: string;
      readonly by: 'policy' | 'clock' | 'principal';
      readonly plan_digest: Digest | null;
      readonly policy_digest: Digest;
      readonly expires: number | null;
      readonly duplicate_of: string | null;
      readonly binds: string | null;
    }
  | {
      readonly type: 'approval';
      readonly verdict: 'approve' | 'deny';
      readonly credential: string;
      readonly plan_digest: Digest;
      readonly binds: string | null;
    }
  | {
      readonly type: 'intent';
      readonly plan_digest: Digest;
      readonly attempt: number;
      readonly deadline: number;
      /** Absent where the target keeps receipts. */
      readonly reference?: string;
      readonly binds: string | null;
    }
  | {
      readonly type: 'outcome';
      readonly status: OutcomeEntry['status'];
      readonly code: string;
      readonly resolved: OutcomeEntry['resolved'];
      readonly attempt: number;
      readonly plan_digest: Digest | null;
      readonly conflicts: number;
      /** For `person`: of the person who said how it ended; absent in other entries. */
      readonly credential?: string;
      readonly binds: string | null;
    }
  | { readonly type: 'rollback'; readonly compensated_by: string }
  | {
      readonly type: 'freeze';
      readonly freeze: string;
      readonly scope: (typeof FREEZE_SCOPES)[number];
      /** Absent where a person made it. */
      readonly source?: 'file';
    }
  | {
      readonly type: 'release';
      readonly freeze: string;
      /** Absent where a person spoke. */
      readonly source?: 'file';
      /** Absent where the file spoke, and in entries written before it was kept. */
      readonly credential?: string;
      /** Absent in entries written before there was a quorum. */
      readonly quorum?: number;
      /** Absent where the freeze is released by this entry. */
      readonly missing?: number;
    }
  | {
      readonly type: 'policy';
      readonly digest: Digest;
      readonly mode: 'active' | 'observe';
      /** Absent where it came into force by itself. */
      readonly by?: 'person' | 'host';
      /** Of the person. */
      readonly credential?: string;
      readonly weakens?: number;
      readonly at_start?: true;
    }
  | {
      readonly type: 'credential';
      readonly change: 'added' | 'revoked';
      readonly credential: string;
      readonly holder: 'agent' | 'person';
    };

export type Leaf = LeafCommon & LeafMembers;
export type LeafOf<Type extends EntryBody['type']> = Extract<Leaf, { readonly type: Type }>;

const id = z.string().regex(/^[A-Za-z0-9_.-]{1,64}$/);
const name = z.string().max(1_024);
const code = z.string().regex(/^[a-z][a-z0-9-]{0,63}$/);
const hash = z.string().regex(/^[0-9a-f]{64}$/);
const digest = z.templateLiteral(['sha256:', hash]);
const reference = z.string().regex(new RegExp(`^[A-Za-z0-9:/._-]{1,${REFERENCE_LENGTH_MAX}}$`));
const count = z.int().min(0);
const binds = hash.nullable();

const common = {
  v: z.literal(1),
  id: z.string().regex(/^[0-9a-f]{32}$/),
  act: id,
  step: z.int().min(1),
  prev: hash.nullable(),
  t: count,
  gw: z.strictObject({ id: name, config: digest.nullable() }),
  payloads: z.record(z.string().regex(/^[a-z][a-z_]{0,31}$/), z.templateLiteral(['c1:', hash])),
};

const schema: z.ZodType<Leaf> = z.discriminatedUnion('type', [
  z.strictObject({ ...common, type: z.literal('genesis'), origin: name }),
  z.strictObject({
    ...common,
    type: z.literal('proposal'),
    proposer: z.strictObject({
      kind: z.enum(['agent', 'person']),
      name: name.nullable(),
      credential: id,
    }),
    environment: name,
    known: z.boolean(),
    target: name.nullable(),
    operation: name.nullable(),
    compensates: id.nullable(),
    steps: z.int().min(2).exactOptional(),
  }),
  z.strictObject({
    ...common,
    type: z.literal('preview'),
    plan_digest: digest,
    class: z.enum(EFFECT_CLASSES),
    records: count,
    deleted: count,
    resources: count,
    recipients: count,
    values: count,
    value_complete: z.boolean(),
    reversible: z.enum(['proved', 'conditional', 'one-way']),
    risk: z.strictObject({
      score: z.int().min(0).max(100),
      level: z.enum(['low', 'medium', 'high', 'critical']),
    }),
    warnings: count,
  }),
  z.strictObject({
    ...common,
    type: z.literal('decision'),
    result: z.enum(['allow', 'wait', 'deny', 'expired', 'cancelled']),
    code,
    rule: name,
    by: z.enum(['policy', 'clock', 'principal']),
    plan_digest: digest.nullable(),
    policy_digest: digest,
    expires: count.nullable(),
    duplicate_of: id.nullable(),
    binds,
  }),
  z.strictObject({
    ...common,
    type: z.literal('approval'),
    verdict: z.enum(['approve', 'deny']),
    credential: id,
    plan_digest: digest,
    binds,
  }),
  z.strictObject({
    ...common,
    type: z.literal('intent'),
    plan_digest: digest,
    attempt: z.int().min(1),
    deadline: count,
    reference: reference.exactOptional(),
    binds,
  }),
  z.strictObject({
    ...common,
    type: z.literal('outcome'),
    status: z.enum(['applied', 'refused', 'in_doubt', 'stale']),
    code,
    resolved: z.enum(['live', 'recovery', 'person']),
    attempt: count,
    plan_digest: digest.nullable(),
    conflicts: count,
    credential: id.exactOptional(),
    binds,
  }),
  z.strictObject({ ...common, type: z.literal('rollback'), compensated_by: id }),
  z.strictObject({
    ...common,
    type: z.literal('freeze'),
    freeze: id,
    scope: z.enum(FREEZE_SCOPES),
    source: z.literal('file').exactOptional(),
  }),
  z.strictObject({
    ...common,
    type: z.literal('release'),
    freeze: id,
    source: z.literal('file').exactOptional(),
    credential: id.exactOptional(),
    quorum: z.int().min(1).exactOptional(),
    missing: z.int().min(1).exactOptional(),
  }),
  z.strictObject({
    ...common,
    type: z.literal('policy'),
    digest,
    mode: z.enum(['active', 'observe']),
    by: z.enum(['person', 'host']).exactOptional(),
    credential: id.exactOptional(),
    weakens: count.exactOptional(),
    at_start: z.literal(true).exactOptional(),
  }),
  z.strictObject({
    ...common,
    type: z.literal('credential'),
    change: z.enum(['added', 'revoked']),
    credential: id,
    holder: z.enum(['agent', 'person']),
  }),
]);

/** A leaf's bytes as a leaf, or what is wrong with them. */
export type ParsedLeaf =
  | { readonly kind: 'leaf'; readonly leaf: Leaf }
  | { readonly kind: 'not-canonical' }
  | { readonly kind: 'not-a-leaf'; readonly reason: string };

/** Reads a leaf; only the canonical form of a leaf of the closed shape is one. */
export function parseLeaf(bytes: Uint8Array): ParsedLeaf {
  const text = textOfUtf8(bytes);
  if (text === undefined || bytes.length > LEAF_BYTES_MAX) return { kind: 'not-canonical' };
  const json = parseCanonical(text);
  if (json === undefined) return { kind: 'not-canonical' };
  const parsed = schema.safeParse(json);
  if (parsed.success) return { kind: 'leaf', leaf: parsed.data };
  return { kind: 'not-a-leaf', reason: placeOf(parsed.error) };
}

/** Where a JSON value is not of a leaf's closed shape; undefined where it is one. */
export function whyNoLeaf(json: Json): string | undefined {
  const parsed = schema.safeParse(json);
  return parsed.success ? undefined : placeOf(parsed.error);
}

function placeOf({ issues: [issue] }: z.ZodError): string {
  return `at \`/${issue?.path.join('/') ?? ''}\``;
}

/** Reads a text that is the canonical JSON of some value; undefined for any other text. */
export function parseCanonical(text: string): Json | undefined {
  try {
    // `JSON.parse` gives JSON and nothing else.
    const json = JSON.parse(text) as Json;
    return canonicalJson(json) === text ? json : undefined;
  } catch {
    // Not JSON, a lone surrogate, or nested more deeply than the stack: none of it is canonical.
    return undefined;
  }
}
