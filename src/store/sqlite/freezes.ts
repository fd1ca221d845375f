import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { Freeze } from '../../model/freeze.ts';
import type { TenantId } from '../../model/ids.ts';
import { anothers, parseFreeze } from '../state/records.ts';
import type { FreezeRows } from '../state/tables.ts';
import { integerOf, textOf } from './rows.ts';

export class FreezeTable implements FreezeRows {
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
    // What is on and what was released of late are two ranges of an index; an OR would be all of it.
    const ranges = ['released_at IS NULL', 'released_at >= :since'].flatMap((isInForce) => [
      `SELECT id, 1 AS own, record FROM freezes WHERE tenant = :tenant AND ${isInForce}`,
      `SELECT id, 0 AS own, record FROM freezes
       WHERE ${isOfAll} AND ${isInForce} AND tenant <> :tenant`,
    ]);
    this.#since = database.prepare(ranges.join(' UNION ALL '));
  }

  add(tenant: TenantId, freeze: Freeze): void {
    this.#add.run(tenant, freeze.id, freeze.releasedAt, JSON.stringify(freeze));
  }

  find(tenant: TenantId, id: string): Freeze | undefined {
    const row = this.#find.get(tenant, id);
    return row === undefined ? undefined : parseFreeze(textOf(row, 'record'));
  }

  save(tenant: TenantId, freeze: Freeze): void {
    this.#update.run(freeze.releasedAt, JSON.stringify(freeze), tenant, freeze.id);
  }

  inForce(tenant: TenantId): readonly Freeze[] {
    return this.since(tenant, Infinity);
  }

  /**
   * Every freeze that is on for the tenant, and those released at or after `since`; oldest first.
   * Of one for everything that another tenant made, who and why stay with that tenant.
   */
  since(tenant: TenantId, since: number): readonly Freeze[] {
    const found = this.#since.all({ tenant, since }).map((row) => {
      const freeze = parseFreeze(textOf(row, 'record'));
      return integerOf(row, 'own') === 1 ? freeze : anothers(freeze);
    });
    return found.toSorted((left, right) => (left.id < right.id ? -1 : 1));
  }
}
