/** Says row by row what stands in the way of an inverse, with three values for each column. */
import type { Conflict } from '../../../model/entry.ts';
import type { Image } from '../../../model/plan.ts';
import { danglingRows, missingParents } from './foreign-keys.ts';
import type { Session } from '../session/session.ts';
import { ownColumns, present, type Step } from './undo-sql.ts';

/** What became of steps that found their rows not as the write left them. */
export interface Missed {
  readonly conflicts: readonly Conflict[];
  /**
   * Steps whose rows this very transaction has changed in between, by a foreign key's own action or a
   * trigger: to be tried once more from what they are now.
   */
  readonly again: readonly Step[];
}

/** Reads the rows of such steps; those that are back already, by a foreign key's own action, are done. */
export async function missedBy(session: Session, steps: readonly Step[]): Promise<Missed> {
  const isPutBack = steps[0]?.kind === 'put-back';
  const now = await presentRows(session, steps, isPutBack ? 'before' : 'after');
  // A key that a foreign key's action has moved back already is found where it was before.
  const lost = steps.filter((step) => step.kind === 'restore' && !now.has(step));
  const moved = await presentRows(session, lost, 'before');
  const conflicts: Conflict[] = [];
  const again: Step[] = [];
  for (const step of steps) {
    const back = moved.get(step);
    const found = now.get(step) ?? (back !== undefined && isKnown(step, back) ? back : undefined);
    if (found !== undefined && step.kind === 'restore' && isBack(step, found.image)) continue;
    if (found?.isOwn === true && !isPutBack) {
      again.push({ ...step, effect: { ...step.effect, after: found.image } });
    } else {
      conflicts.push(conflictOf(step, found?.image));
    }
  }
  return { conflicts, again };
}

/** A row under the key of before that nobody is known to have moved back is another row. */
function isKnown(step: Step, found: Found): boolean {
  return found.isOwn || isBack(step, found.image);
}

function isBack({ table, effect: { before } }: Step, found: Image): boolean {
  return (
    before !== null && ownColumns(table, before).every(({ name }) => before[name] === found[name])
  );
}

interface Found {
  readonly image: Image;
  /** Whether this transaction wrote the row. */
  readonly isOwn: boolean;
}

async function presentRows(
  session: Session,
  steps: readonly Step[],
  side: 'before' | 'after',
): Promise<ReadonlyMap<Step, Found>> {
  const found = new Map<Step, Found>();
  const [first] = steps;
  if (first === undefined || first.table.key.length === 0) return found;
  const { table } = first;
  const { rows } = await session.client.query<(string | null)[]>({
    ...present(table, steps, side),
    rowMode: 'array',
  });
  for (const [place, isOwn, ...row] of rows) {
    const step = steps[Number(place) - 1];
    if (step === undefined) continue;
    const image = Object.fromEntries(table.columns.map(({ name }, at) => [name, row[at] ?? null]));
    found.set(step, { image, isOwn: isOwn === 'true' });
  }
  return found;
}

function conflictOf(step: Step, found: Image | undefined): Conflict {
  const { kind, table, effect } = step;
  const { before, after } = effect;
  const { resource } = effect;
  const key = table.key.map((name) => (kind === 'put-back' ? before : after)?.[name] ?? null);
  const columns = ownColumns(table, after ?? before);
  const three = columns.flatMap(({ name }) => {
    const [expected, now] = [after?.[name] ?? null, found?.[name] ?? null];
    if (expected === now) return [];
    return [{ column: name, before: before?.[name] ?? null, expected, found: now }];
  });
  if (kind === 'put-back') {
    return { resource, key, problem: 'row-exists', columns: found === undefined ? [] : three };
  }
  if (found === undefined) return { resource, key, problem: 'row-missing', columns: [] };
  return { resource, key, problem: 'row-changed', columns: three };
}

/** What the database’s own constraints hold against a step, after it was refused. */
export async function refusedBy(session: Session, step: Step): Promise<readonly Conflict[]> {
  const { table, effect } = step;
  const found: Conflict[] = [];
  if (effect.before !== null && step.kind !== 'remove') {
    // What the role may not look at, the server refuses all the same: it is only not named.
    const outbound = table.outbound.filter(({ to }) => to.mayRead && to.mayLock);
    found.push(...(await missingParents(session, { ...table, outbound }, [effect.before])));
  }
  if (effect.after !== null && step.kind !== 'put-back') {
    const inbound = table.inbound.flatMap((each) =>
      each.from.mayRead ? [{ ...each, isSilent: true }] : [],
    );
    const options = { isBefore: true, fresh: null };
    found.push(...(await danglingRows(session, { ...table, inbound }, [effect.after], options)));
  }
  if (found.length > 0) return found;
  const [conflict] = (await missedBy(session, [step])).conflicts;
  if (conflict !== undefined) return [conflict];
  const key = table.key.map((name) => effect.before?.[name] ?? effect.after?.[name] ?? null);
  return [{ resource: effect.resource, key, problem: 'row-exists', columns: [] }];
}
