/**
 * Whether the role of a session may take effects back with triggers off. Then nobody but us checks the
 * foreign keys, so that role must read, and partly lock, what they lead to; the server's own checks
 * need no such right, so where one is missing the inverse is run with triggers on.
 */
import type { Effect, Plan } from '../../../model/plan.ts';
import type { Session } from '../session/session.ts';
import { inBatches, type EffectSource } from './undo-source.ts';
import { readUndoTables, type KeyEnd, type UndoTable } from './undo-tables.ts';

/** What the inverse does to the rows of one table. */
interface Need {
  removes: boolean;
  putsBack: boolean;
  /** Columns in which an update differs. */
  readonly changed: Set<string>;
}

/** Says what the role lacks, in a clause; null where it may do all of it. */
export async function lackingFor(
  session: Session,
  inverse: {
    readonly effects: readonly Effect[] | EffectSource;
    readonly partOf: Plan['partOf'];
  },
): Promise<string | null> {
  await session.reset();
  const { rows } = await session.client.query<{ readonly may: boolean }>(
    `SELECT has_parameter_privilege('session_replication_role', 'SET') AS may`,
  );
  if (rows[0]?.may !== true) return 'the undo role may not turn triggers off';
  const needs = await needsOf(inverse.effects);
  if (needs.size === 0) return null;
  const tables = await readUndoTables(session, [...needs.keys()], inverse.partOf);
  for (const [resource, need] of needs) {
    const table = tables.get(resource);
    const lacking = table === undefined ? null : lackingOn(table, need);
    if (lacking !== null) return lacking;
  }
  return null;
}

async function needsOf(
  effects: readonly Effect[] | EffectSource,
): Promise<ReadonlyMap<string, Need>> {
  const needs = new Map<string, Need>();
  for await (const batch of inBatches(effects)) {
    for (const { resource, kind, before, after } of batch) {
      const need = needs.get(resource) ?? { removes: false, putsBack: false, changed: new Set() };
      needs.set(resource, need);
      if (kind === 'create') need.removes = true;
      else if (kind === 'delete') need.putsBack = true;
      else {
        for (const name of Object.keys(before ?? {})) {
          if (before?.[name] !== after?.[name]) need.changed.add(name);
        }
      }
    }
  }
  return needs;
}

function lackingOn(table: UndoTable, { removes, putsBack, changed }: Need): string | null {
  // As the inverse does it: a row of which a unique column changed goes, and is put back.
  const isKeyed = table.columns.some(
    ({ name, isIdentity }) => changed.has(name) && (isIdentity || table.unique.includes(name)),
  );
  const verbs = [
    table.may.select ? '' : 'SELECT',
    !table.may.insert && (putsBack || isKeyed) ? 'INSERT' : '',
    !table.may.update && changed.size > 0 ? 'UPDATE' : '',
    !table.may.delete && (removes || isKeyed) ? 'DELETE' : '',
  ].filter((verb) => verb !== '');
  if (verbs.length > 0) return `the undo role lacks ${verbs.join(', ')} on \`${table.resource}\``;
  const touches = ({ columns }: KeyEnd): boolean => columns.some(({ name }) => changed.has(name));
  for (const { name, from, to, isPeriod } of table.outbound) {
    if (!putsBack && !isKeyed && !touches(from)) continue;
    if (isPeriod) return `the foreign key \`${name}\` goes by periods`;
    if (!to.mayRead || !to.mayLock) return `the undo role may not lock rows of \`${to.resource}\``;
  }
  for (const { name, from, to, isPeriod } of table.inbound) {
    if (!removes && !touches(to)) continue;
    if (isPeriod) return `the foreign key \`${name}\` goes by periods`;
    const closed = [from, to].find(({ mayRead }) => !mayRead);
    if (closed !== undefined) return `the undo role may not read \`${closed.resource}\``;
  }
  return null;
}
