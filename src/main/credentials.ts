/**
 * Credentials of agents and people: `wga_<credential id>_<secret>` and `wgp_…`.
 *
 * 1. The store keeps the SHA-256 of the secret's text, never the secret; it is shown once.
 * 2. A credential proves a name. What the name may do, and whether it still may, is read from the
 *    policy in force at each call: a name that the file no longer has is nobody.
 * 3. The letter in the prefix only helps people; the kind is the stored one, and both must agree.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { CredentialBody, CredentialPage, CredentialView } from '../model/api.ts';
import { credentialId, newCredentialId, type CredentialId, type TenantId } from '../model/ids.ts';
import type { Configuration } from '../model/policy.ts';
import type { Clock, Random, Store } from '../model/ports.ts';
import type { Credential, PersonPrincipal, Principal } from '../model/principal.ts';
import { Problem } from '../model/problem.ts';
import type { CredentialPort } from '../server/auth.ts';

const TOKEN = /^wg([ap])_(cred_[0-9a-hjkmnp-tv-z]{26})_([A-Za-z0-9_-]{43})$/;
const SECRET_BYTES = 32;
const COMMIT_TRIES_MAX = 5;

export interface CredentialPorts {
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  readonly tenant: TenantId;
  /** The configuration in force. */
  readonly configuration: () => Configuration;
  /**
   * Makes that the one which the ledger has in force now, and says how far the ledger's own act is;
   * absent: nobody else brings one into force.
   */
  readonly follow?: () => Promise<number>;
}

/** Opens the credentials of one tenant, as the server sees them. */
export function openCredentials(ports: CredentialPorts): CredentialPort {
  return {
    authenticate: (token) => authenticate(ports, token),
    issue: async (by, holder) => {
      await checkIssuer(ports, by, holder);
      return issue(ports, by.name, holder);
    },
    list: () => list(ports),
    revoke: (by, id) => revoke(ports, by.name, id),
  };
}

async function authenticate(ports: CredentialPorts, token: string): Promise<Principal | undefined> {
  const match = TOKEN.exec(token);
  const [, letter, idText = '', secret = ''] = match ?? [];
  const id = credentialId(idText);
  const [found] = await Promise.all([
    id === undefined ? undefined : ports.store.credential(id),
    // Roles and names are those in force when the call came, whichever gateway brought them in.
    ports.follow?.(),
  ]);
  // The comparison runs for unknown ids too: time must not tell which ids exist.
  const isSecret = isSameDigest(secretDigest(secret), found?.credential.secretDigest);
  if (found === undefined || !isSecret) return undefined;
  const { credential, tenant } = found;
  const isKind = (letter === 'a') === (credential.holder.kind === 'agent');
  if (tenant !== ports.tenant || credential.revokedAt !== undefined || !isKind) return undefined;
  return principalOf(ports, credential);
}

function principalOf(ports: CredentialPorts, credential: Credential): Principal | undefined {
  const { policy, environment } = ports.configuration();
  const { id, holder } = credential;
  const common = { tenant: ports.tenant, environment, name: holder.name, credential: id };
  if (holder.kind === 'agent') {
    const agent = policy.agents.get(holder.name);
    if (agent === undefined) return undefined;
    return { kind: 'agent', ...common, owner: agent.owner ?? undefined };
  }
  const person = policy.people.get(holder.name);
  if (person === undefined) return undefined;
  return { kind: 'person', ...common, roles: person.roles, groups: person.groups };
}

/**
 * An operator makes the first credential of whoever may let a weaker policy in, and no further one:
 * else being an operator would be having that role. A revoked one counts, as it is theirs to revoke.
 */
async function checkIssuer(
  { configuration, store, tenant }: CredentialPorts,
  by: PersonPrincipal,
  { kind, name }: CredentialBody['holder'],
): Promise<void> {
  const { policy } = configuration();
  const mayWeaken = kind === 'person' && policy.people.get(name)?.roles.includes('policy') === true;
  if (!mayWeaken || by.roles.includes('policy')) return;
  const earlier = await store.credentials(tenant);
  const isFirst = !earlier.some(({ holder }) => holder.kind === kind && holder.name === name);
  if (isFirst) return;
  throw new Problem(
    'role-missing',
    `\`${name}\` has the role \`policy\` and had a credential before; another is made by somebody with that role, and \`${by.name}\` has it not`,
  );
}

/** Makes a credential for a name of the policy; `by` goes into the ledger. */
export async function issue(
  ports: CredentialPorts,
  by: string,
  holder: CredentialBody['holder'],
): Promise<CredentialView> {
  for (let tries = 0; tries < COMMIT_TRIES_MAX; tries += 1) {
    const issued = await issueOnce(ports, by, { holder });
    if (issued !== undefined) return issued;
  }
  throw new Problem('too-many-requests', 'policies come into force too often; try again');
}

/** Undefined where another policy came into force meanwhile, or there is a credential of that id. */
export async function issueOnce(
  ports: CredentialPorts,
  by: string,
  { holder, ...asked }: { readonly holder: CredentialBody['holder']; readonly id?: CredentialId },
): Promise<CredentialView | undefined> {
  const logStep = await ports.follow?.();
  const { policy } = ports.configuration();
  const at = ports.clock.now();
  const secret = Buffer.from(ports.random.bytes(SECRET_BYTES)).toString('base64url');
  const id = asked.id ?? newCredentialId(at, ports.random.bytes(10));
  const named =
    holder.kind === 'agent' ? policy.agents.get(holder.name) : policy.people.get(holder.name);
  if (named === undefined) {
    throw new Problem(
      'credential-holder-unknown',
      `expected the name of ${holder.kind === 'agent' ? 'an agent' : 'a person'} in the configuration, found \`${holder.name}\`; add it under \`${holder.kind === 'agent' ? 'agents' : 'people'}\` first`,
    );
  }
  const credential: Credential = {
    id,
    secretDigest: secretDigest(secret).toString('hex'),
    createdAt: at,
    revokedAt: undefined,
    holder: holderOf(named),
  };
  const entry = { type: 'credential', change: 'added', credential, by } as const;
  if (!(await commitCredential(ports, entry, 0, logStep))) return undefined;
  const letter = holder.kind === 'agent' ? 'a' : 'p';
  const roles = 'roles' in named ? named.roles : [];
  return {
    id,
    holder: { kind: holder.kind, name: holder.name, roles },
    secret: `wg${letter}_${id}_${secret}`,
  };
}

type Named = NonNullable<
  | ReturnType<Configuration['policy']['agents']['get']>
  | ReturnType<Configuration['policy']['people']['get']>
>;

function holderOf(named: Named): Credential['holder'] {
  return 'roles' in named
    ? { kind: 'person', name: named.name, roles: named.roles, groups: named.groups }
    : { kind: 'agent', name: named.name, owner: named.owner ?? undefined };
}

async function list({ store, tenant }: CredentialPorts): Promise<CredentialPage> {
  const items = (await store.credentials(tenant)).map(({ id, holder, createdAt, revokedAt }) => ({
    id,
    holder: { kind: holder.kind, name: holder.name },
    createdAt,
    revokedAt: revokedAt ?? null,
  }));
  return { items };
}

async function revoke(ports: CredentialPorts, by: string, id: CredentialId): Promise<void> {
  for (let tries = 0; tries < COMMIT_TRIES_MAX; tries += 1) {
    const found = await ports.store.credential(id);
    if (found === undefined || found.tenant !== ports.tenant) {
      throw new Problem(
        'route-unknown',
        `there is no credential \`${id}\`; \`writegate agent add\` printed its id`,
      );
    }
    if (found.credential.revokedAt !== undefined) return;
    const credential = { ...found.credential, revokedAt: ports.clock.now() };
    const step = await ports.store.actStep(ports.tenant, id);
    const entry = { type: 'credential', change: 'revoked', credential, by } as const;
    if (await commitCredential(ports, entry, step)) return;
  }
  throw new Problem('store-unusable', `the credential \`${id}\` changes too often; try again`);
}

async function commitCredential(
  ports: CredentialPorts,
  entry: {
    readonly type: 'credential';
    readonly change: 'added' | 'revoked';
    readonly credential: Credential;
    readonly by: string;
  },
  expectStep: number,
  logStep?: number,
): Promise<boolean> {
  const commit = await ports.store.commit({
    tenant: ports.tenant,
    at: ports.clock.now(),
    acts: [{ act: entry.credential.id, expectStep, entries: [entry] }],
    ...(logStep !== undefined && { guard: { logStep } }),
  });
  return commit.kind === 'committed';
}

/** SHA-256 over the secret's text as it is sent. */
function secretDigest(secret: string): Buffer {
  return createHash('sha256').update(secret).digest();
}

function isSameDigest(digest: Buffer, storedHex: string | undefined): boolean {
  const stored = storedHex === undefined ? Buffer.alloc(32) : Buffer.from(storedHex, 'hex');
  return (
    stored.length === digest.length && timingSafeEqual(stored, digest) && storedHex !== undefined
  );
}
