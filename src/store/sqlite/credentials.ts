import { strict as assert } from 'node:assert';
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { tenantId, type CredentialId, type TenantId } from '../../model/ids.ts';
import type { Credential } from '../../model/principal.ts';
import { parseCredential } from '../state/records.ts';
import type { CredentialRows, TenantCredential } from '../state/tables.ts';
import { textOf } from './rows.ts';

export class CredentialTable implements CredentialRows {
  readonly #add: StatementSync;
  readonly #save: StatementSync;
  readonly #find: StatementSync;
  readonly #all: StatementSync;

  constructor(database: DatabaseSync) {
    this.#add = database.prepare('INSERT INTO credentials (id, tenant, record) VALUES (?, ?, ?)');
    this.#save = database.prepare('UPDATE credentials SET record = ? WHERE id = ?');
    this.#find = database.prepare('SELECT tenant, record FROM credentials WHERE id = ?');
    this.#all = database.prepare('SELECT record FROM credentials WHERE tenant = ? ORDER BY id');
  }

  add(tenant: TenantId, credential: Credential): void {
    this.#add.run(credential.id, tenant, JSON.stringify(credential));
  }

  save(_tenant: TenantId, credential: Credential): void {
    this.#save.run(JSON.stringify(credential), credential.id);
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
