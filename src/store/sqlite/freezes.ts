import { strict as assert } from 'node:assert';
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { Freeze } from '../../model/freeze.ts';
import type { TenantId } from '../../model/ids.ts';
import { textOf } from './rows.ts';

/** Freezes as their `freeze` and `release` entries fold to. */
export class FreezeTable {
  readonly #add: StatementSync;
  readonly #find: StatementSync;
  readonly #release: StatementSync;
  readonly #since: StatementSync;

  constructor(database: DatabaseSync) {
    this.#add = database.prepare(
      'INSERT INTO freezes (tenant, id, released_at, record) VALUES (?, ?, ?, ?)',
    );
    this.#find = database.prepare('SELECT record FROM freezes WHERE tenant = ? AND id = ?');
    this.#release = database.prepare(
      'UPDATE freezes SET released_at = ?, record = ? WHERE tenant = ? AND id = ?',
    );
    this.#since = database.prepare(`
      SELECT record FROM freezes
      WHERE tenant = ? AND (released_at IS NULL OR released_at >= ?) ORDER BY id`);
  }

  add(tenant: TenantId, freeze: Freeze): void {
    this.#add.run(tenant, freeze.id, freeze.releasedAt, JSON.stringify(freeze));
  }

  release(tenant: TenantId, id: string, at: number): void {
    const row = this.#find.get(tenant, id);
    assert(row !== undefined, 'a release names a freeze of the tenant');
    const freeze = parseFreeze(textOf(row, 'record'));
    assert(freeze.releasedAt === null, 'a freeze is released once');
    this.#release.run(at, JSON.stringify({ ...freeze, releasedAt: at }), tenant, id);
  }

  /** Every freeze that is on, and those released at or after `since`; oldest first. */
  since(tenant: TenantId, since: number): readonly Freeze[] {
    return this.#since.all(tenant, since).map((row) => parseFreeze(textOf(row, 'record')));
  }
}

function parseFreeze(text: string): Freeze {
  // Written by the class above and by nothing else.
  return JSON.parse(text) as Freeze;
}
