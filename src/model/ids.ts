/** Identifiers are branded strings with a prefix, made from clock and random (`gate/admit.ts`). */

declare const brand: unique symbol;
type Branded<Name extends string> = string & { readonly [brand]: Name };

/** The boundary of isolation; lower-case letters, digits and hyphens. */
export type TenantId = Branded<'TenantId'>;
/** `prop_` and 26 characters of Crockford base 32 (48 bit clock, 80 bit random), like a ULID. */
export type ProposalId = Branded<'ProposalId'>;
/** `prop_….2` and `prop_….2.back`: one segment of a chain, and its being taken back. */
export type SegmentKey = Branded<'SegmentKey'>;
/** What a target refuses a second effect of: the same for every attempt at one write. */
export type WriteKey = ProposalId | SegmentKey;
/** `frz_…`: one freeze that is on or was on. */
export type FreezeId = Branded<'FreezeId'>;
/** `cred_…`: one credential of an agent or a person; not the secret itself. */
export type CredentialId = Branded<'CredentialId'>;
/** `evi_…`: one file of row images. */
export type EvidenceId = Branded<'EvidenceId'>;

const TENANT = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

/** Brands a tenant name, or returns `undefined` where it is not one. */
export function tenantId(text: string): TenantId | undefined {
  // The pattern above is what the brand promises.
  return TENANT.test(text) ? (text as TenantId) : undefined;
}

const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';
const PREFIXED = /^(?:prop|frz|cred|evi)_[0-9a-hjkmnp-tv-z]{26}$/;

function prefixed(prefix: string, at: number, random: Uint8Array): string {
  if (random.length !== 10) throw new RangeError('an id takes 10 random bytes');
  let bits = BigInt(at);
  for (const byte of random) bits = (bits << 8n) | BigInt(byte);
  let text = '';
  for (let position = 0; position < 26; position += 1) {
    text = (ALPHABET[Number(bits & 31n)] ?? '') + text;
    bits >>= 5n;
  }
  return `${prefix}_${text}`;
}

/** Makes a proposal id from `at` (ms since epoch) and 10 random bytes; ids sort by time. */
export function newProposalId(at: number, random: Uint8Array): ProposalId {
  return prefixed('prop', at, random) as ProposalId;
}

/** The key of a chain's segment, counted from 1; `back` is that of taking it back. */
export function segmentKey(id: ProposalId, segment: number, way: 'there' | 'back'): SegmentKey {
  return `${id}.${segment}${way === 'back' ? '.back' : ''}` as SegmentKey;
}

/** Makes a freeze id; see `newProposalId`. */
export function newFreezeId(at: number, random: Uint8Array): FreezeId {
  return prefixed('frz', at, random) as FreezeId;
}

/** Makes a credential id; see `newProposalId`. */
export function newCredentialId(at: number, random: Uint8Array): CredentialId {
  return prefixed('cred', at, random) as CredentialId;
}

/** Makes an id of an evidence file; see `newProposalId`. */
export function newEvidenceId(at: number, random: Uint8Array): EvidenceId {
  return prefixed('evi', at, random) as EvidenceId;
}

/** Ms since the epoch: the clock that an id begins with. */
export function madeAt(id: ProposalId | FreezeId | CredentialId | EvidenceId): number {
  const digits = id.slice(id.indexOf('_') + 1);
  let bits = 0n;
  for (const digit of digits) bits = (bits << 5n) | BigInt(ALPHABET.indexOf(digit));
  return Number(bits >> 80n);
}

/** Brands the text of a proposal id, or returns `undefined` where it is not one. */
export function proposalId(text: string): ProposalId | undefined {
  return text.startsWith('prop_') && PREFIXED.test(text) ? (text as ProposalId) : undefined;
}

/** Brands the text of a freeze id, or returns `undefined` where it is not one. */
export function freezeId(text: string): FreezeId | undefined {
  return text.startsWith('frz_') && PREFIXED.test(text) ? (text as FreezeId) : undefined;
}

/** Brands the text of a credential id, or returns `undefined` where it is not one. */
export function credentialId(text: string): CredentialId | undefined {
  return text.startsWith('cred_') && PREFIXED.test(text) ? (text as CredentialId) : undefined;
}

/** Brands the text of an evidence file's id, or returns `undefined` where it is not one. */
export function evidenceId(text: string): EvidenceId | undefined {
  return text.startsWith('evi_') && PREFIXED.test(text) ? (text as EvidenceId) : undefined;
}
