import type { CredentialId, TenantId } from './ids.ts';

/** What a credential was made for. One credential has one kind, and no kind stands in for another. */
export type Principal = AgentPrincipal | PersonPrincipal;

/** An agent. Tenant, environment and owner come from its credential, never from arguments. */
export interface AgentPrincipal {
  readonly kind: 'agent';
  readonly tenant: TenantId;
  readonly environment: string;
  /** The agent's name in `writegate.yaml`. */
  readonly name: string;
  /** The person who answers for the agent; may not approve what it proposes. */
  readonly owner: string | undefined;
  readonly credential: CredentialId;
}

/**
 * A role gives routes, not decisions: an operator does not approve by virtue of being one. `policy`
 * lets a weaker policy come into force, which no other role includes.
 */
export type Role = 'operator' | 'approver' | 'auditor' | 'policy';

/** Every role. */
export const ROLES: readonly Role[] = ['operator', 'approver', 'auditor', 'policy'];

/** A human with a credential of their own. */
export interface PersonPrincipal {
  readonly kind: 'person';
  readonly tenant: TenantId;
  readonly environment: string;
  readonly name: string;
  readonly roles: readonly Role[];
  readonly groups: readonly string[];
  readonly credential: CredentialId;
}

/** A credential as the store keeps it: the secret's SHA-256 in hex, never the secret. */
export interface Credential {
  readonly id: CredentialId;
  readonly secretDigest: string;
  readonly createdAt: number;
  readonly revokedAt: number | undefined;
  readonly holder:
    | { readonly kind: 'agent'; readonly name: string; readonly owner: string | undefined }
    | {
        readonly kind: 'person';
        readonly name: string;
        readonly roles: readonly Role[];
        readonly groups: readonly string[];
      };
}
