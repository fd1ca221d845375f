import { strict as assert } from 'node:assert';
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { tenantId, type CredentialId, type TenantId } from '../../model/ids.ts';
import type { Credential } from '../../model/principal.ts';
import { textOf } from './rows.ts';

/** A credential and the tenant that it belongs to; its id is unique over all tenants. */
export interface TenantCredential {
  readonly tenant: TenantId;
  readonly credential: Credential;
}

/** Credentials as their `credential` entries fold to. */
export class CredentialTable {
  readonly #add: StatementSync;
  readonly #revoke: StatementSync;
  readonly #find: StatementSync;
  readonly #all: StatementSync;

  constructor(database: DatabaseSync) {
    this.#add = database.prepare('INSERT INTO credentials (id, tenant, record) VALUES (?, ?, ?)');
    this.#revoke = database.prepare('UPDATE credentials SET record = ? WHERE id = ?');
    this.#find = database.prepare('SELECT tenant, record FROM credentials WHERE id = ?');
    this.#all = database.prepare('SELECT record FROM credentials WHERE tenant = ? ORDER BY id');
  }

  add(tenant: TenantId, credential: Credential): void {
    this.#add.run(credential.id, tenant, JSON.stringify(credential));
  }

  revoke(tenant: TenantId, id: CredentialId, at: number): void {
    const found = this.find(id);
    assert(found?.tenant === tenant, 'a revocation names a credential of the tenant');
    this.#revoke.run(JSON.stringify({ ...found.credential, revokedAt: at }), id);
  }

  find(id: CredentialId): TenantCredential | undefined {
    const row = this.#find.get(id);
    if (row === undefined) return undefined;
    const tenant = tenantId(textOf(row, 'tenant'));
    assert(tenant !== undefined, 'a stored tenant is a tenant');
    return { tenant, credential: parseCredential(textOf(row, 'record')) };
  }

  /** Revoked ones too, oldest first. */
  all(tenant: TenantId): readonly Credential[] {
    return this.#all.all(tenant).map((row) => parseCredential(textOf(row, 'record')));
  }
}

function parseCredential(text: string): Credential {
  // Written by the class above and by nothing else.
  const stored = JSON.parse(text) as Credential;
  const { holder, revokedAt } = stored;
  // JSON leaves out members that are undefined; the type has them.
  return {
    ...stored,
    revokedAt,
    holder: holder.kind === 'agent' ? { ...holder, owner: holder.owner } : holder,
  };
}
