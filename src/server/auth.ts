/** Who is calling. Tenant, environment and agent come from the credential, never from arguments. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { CredentialBody, CredentialPage, CredentialView } from '../model/api.ts';
import type { CredentialId } from '../model/ids.ts';
import type { AgentPrincipal, PersonPrincipal, Principal } from '../model/principal.ts';
import { Problem } from '../model/problem.ts';

/** The credentials that the gateway has made; behind it are store and configuration. */
export interface CredentialPort {
  /** Resolves to `undefined` for a token that is unknown, revoked, or no longer configured. */
  authenticate(token: string): Promise<Principal | undefined>;
  /** Makes a credential; durable when it resolves. Throws `credential-holder-unknown`. */
  issue(by: PersonPrincipal, holder: CredentialBody['holder']): Promise<CredentialView>;
  /** Every credential that was made, revoked ones too, oldest first. */
  list(): Promise<CredentialPage>;
  /** Ends a credential; durable when it resolves. Throws `route-unknown` where there is none. */
  revoke(by: PersonPrincipal, id: CredentialId): Promise<void>;
}

/** Who may use a route. `holder` is any credential. */
export type Access = 'public' | 'holder' | 'agent' | 'person' | 'operator';

/** `wga_` for agents, `wgp_` for people; what follows is opaque here. */
const BEARER = /^Bearer +(wg[ap]_[A-Za-z0-9_-]{16,200})$/i;

/** Authenticates one request and holds it to what the route asks for. */
export async function authorize(
  credentials: CredentialPort,
  access: Exclude<Access, 'public'>,
  authorization: string | undefined,
): Promise<Principal> {
  if (authorization === undefined) {
    throw new Problem(
      'credential-missing',
      'send `Authorization: Bearer` and the token that `writegate agent add` printed',
    );
  }
  const token = BEARER.exec(authorization)?.[1];
  const principal = token === undefined ? undefined : await credentials.authenticate(token);
  if (principal === undefined) {
    throw new Problem(
      'credential-unknown',
      'the token is not one of this gateway, or was revoked; ask its operator for another',
    );
  }
  if (access === 'agent') asAgent(principal);
  if (access === 'person' || access === 'operator') asPerson(principal);
  if (access === 'operator' && !asPerson(principal).roles.includes('operator')) {
    throw new Problem(
      'role-missing',
      `\`${principal.name}\` is not an operator; only those may do that`,
    );
  }
  return principal;
}

export function asPerson(principal: Principal): PersonPrincipal {
  if (principal.kind === 'person') return principal;
  throw new Problem(
    'credential-kind',
    "this takes a person's own credential; an agent's never stands in for it",
  );
}

function asAgent(principal: Principal): AgentPrincipal {
  if (principal.kind === 'agent') return principal;
  throw new Problem('credential-kind', "this takes an agent's credential; people use `/v1`");
}

/**
 * Reports whether a request claims to come from a person. A claim, not proof: it only decides that
 * agents at the limit of requests do not lock out the person who wants to stop them.
 */
export function claimsPerson(request: FastifyRequest): boolean {
  return /^Bearer +wgp_/i.test(request.headers.authorization ?? '');
}

/** Adds the challenge of RFC 6750 to a 401, with the metadata document of RFC 9728. */
export function challenge(request: FastifyRequest, reply: FastifyReply, problem: Problem): void {
  if (problem.status !== 401) return;
  const document = resourceMetadataUrl(request, request.url.startsWith('/mcp') ? '/mcp' : '');
  const error = problem.code === 'credential-unknown' ? 'error="invalid_token", ' : '';
  reply.header(
    'www-authenticate',
    `Bearer realm="writegate", ${error}resource_metadata="${document}"`,
  );
}

export const RESOURCE_METADATA_PATH = '/.well-known/oauth-protected-resource';

function resourceMetadataUrl(request: FastifyRequest, resource: string): string {
  return `${ownUrl(request)}${RESOURCE_METADATA_PATH}${resource}`;
}

/**
 * RFC 9728. There is no authorization server: the operator hands tokens out. `resource` is the
 * path of what is protected, empty for the API.
 */
export function resourceMetadata(request: FastifyRequest, resource: string): object {
  return {
    resource: `${ownUrl(request)}${resource}`,
    resource_name: 'Writegate',
    bearer_methods_supported: ['header'],
  };
}

/** The address as the caller wrote it; `hosts.ts` has checked it. */
function ownUrl(request: FastifyRequest): string {
  return `${request.protocol}://${request.headers.host ?? ''}`;
}
