import { strict as assert } from 'node:assert';
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { EntryBody } from '../../model/entry.ts';
import type { Freeze } from '../../model/freeze.ts';
import type { TenantId } from '../../model/ids.ts';
import { integerOf, textOf } from './rows.ts';

/** Freezes as their `freeze` and `release` entries fold to. */
export class FreezeTable {
  readonly #add: StatementSync;
  readonly #find: StatementSync;
  readonly #update: StatementSync;
  readonly #since: StatementSync;

  constructor(database: DatabaseSync) {
    this.#add = database.prepare(
      'INSERT INTO freezes (tenant, id, released_at, record) VALUES (?, ?, ?, ?)',
    );
    this.#find = database.prepare('SELECT record FROM freezes WHERE tenant = ? AND id = ?');
    this.#update = database.prepare(
      'UPDATE freezes SET released_at = ?, record = ? WHERE tenant = ? AND id = ?',
    );
    const isOfAll = "json_extract(record, '$.scope.kind') = 'all'";
    const isInForce = '(released_at IS NULL OR released_at >= :since)';
    this.#since = database.prepare(`
      SELECT id, 1 AS own, record FROM freezes WHERE tenant = :tenant AND ${isInForce}
      UNION ALL
      SELECT id, 0 AS own, record FROM freezes
      WHERE ${isOfAll} AND tenant <> :tenant AND ${isInForce}
      ORDER BY id`);
  }

  add(tenant: TenantId, freeze: Freeze): void {
    this.#add.run(tenant, freeze.id, freeze.releasedAt, JSON.stringify(freeze));
  }

  /** Adds a voice; with the last one the freeze is released. */
  speak(tenant: TenantId, entry: EntryBody & { type: 'release' }, at: number): void {
    const { freezeId: id, by, source, missing } = entry;
    const row = this.#find.get(tenant, id);
    assert(row !== undefined, 'a release names a freeze of the tenant');
    const freeze = parseFreeze(textOf(row, 'record'));
    assert(freeze.releasedAt === null, 'a freeze is released once');
    const voice = { by, ...(source === undefined ? {} : { source }), at };
    const releasedAt = missing === undefined ? at : null;
    const spoken = { ...freeze, releasedAt, voices: [...(freeze.voices ?? []), voice] };
    this.#update.run(releasedAt, JSON.stringify(spoken), tenant, id);
  }

  /**
   * Every freeze that is on for the tenant, and those released at or after `since`; oldest first.
   * Of one for everything that another tenant made, who and why stay with that tenant.
   */
  since(tenant: TenantId, since: number): readonly Freeze[] {
    return this.#since.all({ tenant, since }).map((row) => {
      const freeze = parseFreeze(textOf(row, 'record'));
      return integerOf(row, 'own') === 1 ? freeze : anothers(freeze);
    });
  }
}

function anothers({ id, scope, at, releasedAt }: Freeze): Freeze {
  return { id, scope, reason: 'stopped by another tenant', by: 'another tenant', at, releasedAt };
}

function parseFreeze(text: string): Freeze {
  // Written by the class above and by nothing else.
  return JSON.parse(text) as Freeze;
}
