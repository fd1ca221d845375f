/**
 * What every changed row is held to while it is measured: the scope column, the operations and columns
 * of its table, and the hard limits. Judged on what changed, never on the text of the statement.
 */
import { strict as assert } from 'node:assert';
import type { ResourceCount } from '../../../model/plan.ts';
import { Refused } from '../../connector.ts';
import { imageBytes, type Change } from './change.ts';
import type { DirectCount } from './direct.ts';
import type { Named } from './named.ts';
import { openRights, type Rights } from './rights.ts';
import { openScope, type Scope } from './scope.ts';
import type { PostgresSettings } from '../settings.ts';

/** Whose write is judged: what an agent's statement names, or the gate's own, which takes one back. */
export type Guarded =
  | { readonly kind: 'agent'; readonly named: readonly Named[] }
  | { readonly kind: 'inverse' };

/** Judges the rows of one write; throws `Refused` as soon as it is known. */
export interface Guards {
  /**
   * Takes one changed row, in any order, direct ones before those they led to. What is refused for its
   * scope may be told a little later, so that a write far over a limit is told that.
   */
  add(change: Change): void;
  /**
   * Judges what only the whole can tell; must be called once, when every row was taken. `unseen` are
   * tables with changed rows that had no image: a scope cannot be kept to where nobody saw the row.
   */
  finish(counts: readonly ResourceCount[], unseen?: readonly string[]): void;
}

/** How many more rows are looked at for a limit, once a row is known to be out of scope. */
const HELD_ROWS_MAX = 10_000;

/**
 * Opens the guards for one write. The policy's own limit is not among them: the gate judges that with all
 * figures. Throws `not-permitted` where the statement names an operation or a column that it may not.
 */
export function openGuards(
  settings: PostgresSettings,
  guarded: Guarded = { kind: 'agent', named: [] },
): Guards {
  return new Watch(settings, guarded);
}

class Watch implements Guards {
  readonly #rowsMax: number;
  readonly #bytesMax: number;
  readonly #scope: Scope;
  readonly #rights: Rights | null;
  /** Changed rows by table. */
  readonly #seen = new Map<string, DirectCount>();
  #rows = 0;
  #bytes = 0;
  #held: Refused | null = null;
  #heldRows = 0;
  #isFinished = false;

  constructor(settings: PostgresSettings, guarded: Guarded) {
    // What was once let through can be taken back: the inverse may write a row twice to get there, and
    // how much it does is for the policy to judge.
    this.#rowsMax = guarded.kind === 'agent' ? (settings.limits.rows ?? Infinity) : Infinity;
    this.#bytesMax = settings.limits.imageBytes;
    this.#scope = openScope(settings);
    this.#rights = guarded.kind === 'agent' ? openRights(settings, guarded.named) : null;
  }

  add(change: Change): void {
    assert(!this.#isFinished, 'no row comes after the last');
    if (change.by !== undefined) this.#tellHeld();
    this.#rights?.check(change);
    this.#hold(this.#scope.violation(change));
    this.#count(change);
    if (this.#rows > this.#rowsMax) {
      throw overRows(`more than ${this.#rowsMax}`, this.#rowsMax);
    }
    this.#bytes += imageBytes(change.before) + imageBytes(change.after);
    if (this.#bytes > this.#bytesMax) throw overBytes(this.#bytesMax);
    if (this.#held === null) return;
    this.#heldRows += 1;
    if (this.#rowsMax === Infinity || this.#heldRows > HELD_ROWS_MAX) this.#tellHeld();
  }

  finish(counts: readonly ResourceCount[], unseen: readonly string[] = []): void {
    this.#isFinished = true;
    this.#tellHeld();
    for (const count of counts) this.#rights?.checkCount(count);
    const hidden = unseen.find((resource) => this.#scope.mayBind(resource));
    if (hidden !== undefined) {
      throw new Refused(
        'effect-unmeasurable',
        `rows of \`${hidden}\` changed that could not be seen, so whether they are in scope is not ` +
          'known; propose a write without that consequence, or ask the operator for an evidence role',
      );
    }
    const rows = rowsOf(counts, this.#seen);
    if (rows > this.#rowsMax) throw overRows(String(rows), this.#rowsMax);
  }

  #hold(violation: Refused | null): void {
    this.#held ??= violation;
  }

  #tellHeld(): void {
    if (this.#held !== null) throw this.#held;
  }

  /** A row that moved to another partition is deleted there and created here: two rows. */
  #count({ before, after, kind }: Change): void {
    if (before !== null && after !== null && before.table.oid !== after.table.oid) {
      this.#countOne(before.table.resource, 'delete');
      this.#countOne(after.table.resource, 'create');
      return;
    }
    const resource = (after ?? before)?.table.resource;
    assert(resource !== undefined, 'a changed row has an image');
    this.#countOne(resource, kind);
  }

  #countOne(resource: string, kind: Change['kind']): void {
    let seen = this.#seen.get(resource);
    if (seen === undefined)
      this.#seen.set(resource, (seen = { created: 0, updated: 0, deleted: 0 }));
    this.#rows -= rowsAtLeast(seen);
    seen[`${kind}d`] += 1;
    this.#rows += rowsAtLeast(seen);
  }
}

/** A row whose key changed may come as one gone and one new, before the counters say that it is one. */
function rowsAtLeast({ created, updated, deleted }: Readonly<DirectCount>): number {
  return updated + Math.max(created, deleted);
}

/** Rows of all tables together; of each the larger of images and counts, which see work done twice. */
function rowsOf(
  counts: readonly ResourceCount[],
  seen: ReadonlyMap<string, Readonly<DirectCount>>,
): number {
  const rows = new Map<string, number>();
  for (const { resource, created, updated, deleted } of counts) {
    rows.set(resource, (rows.get(resource) ?? 0) + created + updated + deleted);
  }
  for (const [resource, images] of seen) {
    rows.set(resource, Math.max(rows.get(resource) ?? 0, rowsAtLeast(images)));
  }
  return [...rows.values()].reduce((sum, each) => sum + each, 0);
}

function overRows(found: string, max: number): Refused {
  return new Refused(
    'limit-exceeded',
    `the write changes ${found} rows, those by cascade and trigger counted; expected at most ` +
      `${max}; propose a narrower write`,
  );
}

function overBytes(max: number): Refused {
  return new Refused(
    'limit-exceeded',
    `the changed rows have more than ${max} bytes; propose the write in parts`,
  );
}
