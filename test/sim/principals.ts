/** Who calls, in a simulation. */
import { credentialId, tenantId, type CredentialId, type TenantId } from '../../src/model/ids.ts';
import type { AgentPrincipal, PersonPrincipal } from '../../src/model/principal.ts';
import { OWNER, PEOPLE, TENANT_NAME } from './policies.ts';

function need<Value>(value: Value | undefined): Value {
  if (value === undefined) throw new Error('a name of the simulation is not one');
  return value;
}

export const TENANT: TenantId = need(tenantId(TENANT_NAME));
const COMMON = { tenant: TENANT, environment: 'test' };
const NAMES = [...Object.keys(PEOPLE), 'bot', 'clerk', 'temp', 'ghost'];

/** Each has one of their own. */
export function credentialOf(name: string): CredentialId {
  const digit = '0123456789abcdef'[NAMES.indexOf(name)];
  return need(credentialId(`cred_${(digit ?? 'z').repeat(26)}`));
}

export const AGENTS: readonly string[] = ['bot', 'clerk', 'temp'];

export function agentOf(name: string): AgentPrincipal {
  return { kind: 'agent', name, owner: OWNER, ...COMMON, credential: credentialOf(name) };
}

export function personOf(name: string): PersonPrincipal {
  const roles = PEOPLE[name] ?? [];
  return { kind: 'person', name, roles, groups: [], ...COMMON, credential: credentialOf(name) };
}
