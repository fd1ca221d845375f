/** Turns effects into the steps that take them back, and steps into statements of a thousand rows. */
import { strict as assert } from 'node:assert';
import type { Conflict } from '../../../model/entry.ts';
import type { Effect, Image } from '../../../model/plan.ts';
import { Refused } from '../../connector.ts';
import type { Session } from '../session/session.ts';
import { missedBy } from './undo-conflicts.ts';
import { inBatches, type EffectSource } from './undo-source.ts';
import { changedColumns, statementOf, type Step } from './undo-sql.ts';
import type { UndoTable } from './undo-tables.ts';

/** Rows of one statement; each is a handful of text arrays. */
const BATCH_ROWS = 1_000;

/** Which steps: of which effects, in which lane. */
export interface Steps {
  readonly effects: readonly Effect[] | EffectSource;
  readonly tables: ReadonlyMap<string, UndoTable>;
  readonly replica: boolean;
}

/** Runs one statement; returns the conflicts of the rows that were not as the write left them. */
export async function perform(
  session: Session,
  batch: readonly Step[],
): Promise<readonly Conflict[]> {
  const query = statementOf(batch);
  const result = await session.client.query<unknown[]>({ ...query, rowMode: 'array' });
  if (batch[0]?.kind === 'put-back') {
    if (result.rowCount === batch.length) return [];
    throw new Refused(
      'rollback-impossible',
      `the database does not take rows of \`${batch[0].table.resource}\` back in: a trigger or rule drops them`,
    );
  }
  if (result.rows.length === batch.length) return [];
  const done = new Set(result.rows.map(([place]) => Number(place) - 1));
  const missed = await missedBy(
    session,
    batch.filter((_, place) => !done.has(place)),
  );
  const conflicts = [...missed.conflicts];
  for await (const again of batched(onceOf(missed.again))) {
    const { rows } = await session.client.query<unknown[]>({
      ...statementOf(again),
      rowMode: 'array',
    });
    if (rows.length < again.length) conflicts.push(...again.map(changedInBetween));
  }
  return conflicts;
}

async function* onceOf(steps: readonly Step[]): AsyncIterable<readonly Step[]> {
  yield steps;
}

function changedInBetween({ table, effect }: Step): Conflict {
  const key = table.key.map((name) => effect.after?.[name] ?? null);
  return { resource: effect.resource, key, problem: 'row-changed', columns: [] };
}

export async function* stepsOf(
  { effects, tables, replica }: Steps,
  passes: (step: Step) => boolean,
): AsyncIterable<readonly Step[]> {
  const isHeld = !('batches' in effects);
  for await (const batch of inBatches(effects)) {
    const rows = isHeld && !replica ? paired(batch, tables) : batch;
    const steps = rows.flatMap((effect) => {
      const table = tables.get(effect.resource);
      assert(table !== undefined, 'every resource was looked up');
      // A row that goes back to another partition is moved by the whole.
      const isMoved = 'movedFrom' in effect && effect.movedFrom !== effect.resource;
      const at = isMoved ? { ...table, oid: table.root, sql: table.rootSql } : table;
      return stepsFor(effect, at, replica);
    });
    yield steps.filter(passes);
  }
}

function stepsFor(effect: Effect, table: UndoTable, replica: boolean): readonly Step[] {
  if (effect.kind === 'create') return [{ kind: 'remove', table, effect }];
  if (effect.kind === 'delete') return [{ kind: 'put-back', table, effect }];
  const changed = changedColumns(table, effect);
  if (changed.length === 0) return [];
  // Unique values may have gone round among rows; with all gone first, none is in another's way.
  const isKeyed = changed.some(({ name, isIdentity }) => isIdentity || table.unique.includes(name));
  if (replica && isKeyed) {
    return [
      { kind: 'remove', table, effect },
      { kind: 'put-back', table, effect },
    ];
  }
  return [{ kind: 'restore', table, effect }];
}

type Paired = Effect & { readonly movedFrom?: string };

/** A row that was deleted here and created there under the same key, in one whole, moved: it moves back. */
function paired(
  effects: readonly Effect[],
  tables: ReadonlyMap<string, UndoTable>,
): readonly Paired[] {
  const created = new Map<string, Effect>();
  const nameOf = (effect: Effect, image: Image | null): string | null => {
    const table = tables.get(effect.resource);
    if (table === undefined || table.key.length === 0) return null;
    return JSON.stringify([table.root, table.key.map((name) => image?.[name] ?? null)]);
  };
  for (const effect of effects) {
    const name = effect.kind === 'create' ? nameOf(effect, effect.after) : null;
    if (name !== null) created.set(name, effect);
  }
  const moved = new Set<Effect>();
  const result = effects.map((effect): Paired => {
    const name = effect.kind === 'delete' ? nameOf(effect, effect.before) : null;
    const other = name === null ? undefined : created.get(name);
    if (other === undefined) return effect;
    moved.add(other);
    return { ...other, kind: 'update', before: effect.before, movedFrom: effect.resource };
  });
  return result.filter((effect) => !moved.has(effect));
}

/** Steps that one statement can do: of one kind, one table, the same columns. */
export async function* batched(
  steps: AsyncIterable<readonly Step[]>,
): AsyncIterable<readonly Step[]> {
  const open = new Map<string, Step[]>();
  for await (const some of steps) {
    for (const step of some) {
      const { kind, table, effect } = step;
      const columns =
        kind === 'restore' ? changedColumns(table, effect).map(({ name }) => name) : [];
      const shape = Object.keys(effect.before ?? effect.after ?? {});
      const name = JSON.stringify([kind, table.oid, columns, shape]);
      const batch = open.get(name) ?? [];
      batch.push(step);
      open.set(name, batch);
      if (batch.length < BATCH_ROWS) continue;
      open.delete(name);
      yield batch;
    }
  }
  yield* open.values();
}
