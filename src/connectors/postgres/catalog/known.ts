/**
 * What the catalog said about sealed tables, kept between writes.
 *
 * K1 What is kept holds only while its stamp is what the stamp was when the catalog was read. The stamp is
 *    read in the transaction of the write, after the write took its lock: whatever could change
 *    what the write does has committed before, and shows, or waits for the transaction's end.
 * K2 A stamp is read before the catalog that it stands for, so that a change in between makes it differ.
 * K3 The stamp holds versions (`xmin`) of catalog rows: none changes without another version. `VACUUM` and
 *    `ANALYZE` write none; what they find out, and views that were made since, may be `ageMaxMs` old.
 */
import { readCatalog, quoted, type Catalog, type Subject } from './catalog.ts';
import { runPipeline, type Step } from '../session/pipeline.ts';
import type { TextRow } from '../session/rows.ts';
import type { Session } from '../session/session.ts';
import type { PostgresSettings } from '../settings.ts';

export const KNOWN_BOUNDS = { subjectsMax: 1_000, ageMaxMs: 30_000, looksMax: 3 } as const;

/** A sealed table as the catalog has it, and how to see that it still does. */
export interface SealedTable {
  readonly catalog: Catalog;
  readonly stamp: string;
  /** Reads the counters, the transaction's id and the stamp; see `readGuard`. */
  readonly guard: Step;
}

/** The counters of the open transaction, and the stamp of now. */
export interface Guard {
  readonly created: number;
  readonly updated: number;
  readonly deleted: number;
  /** The transaction's id; null where it has none. */
  readonly transaction: string | null;
  readonly stamp: string;
}

/** What is kept for one target. */
export interface Known {
  /**
   * Looks the statement's tables up, outside of any transaction where they are not known: null where the
   * target is not sealed. Throws `Refused` as `readCatalog` does.
   */
  find(session: Session, subject: Subject): Promise<SealedTable | null>;
  /** Drops what no longer holds. */
  forget(subject: Subject): void;
}

interface Kept {
  readonly sealed: SealedTable | null;
  /** By `performance.now()`. */
  readonly until: number;
}

export function openKnown(settings: PostgresSettings): Known {
  const kept = new Map<string, Kept>();
  return {
    async find(session, subject) {
      const name = nameOf(subject);
      const found = kept.get(name);
      if (found !== undefined && found.until > performance.now()) return found.sealed;
      const sealed = await look(session, subject, settings);
      kept.delete(name);
      const oldest = kept.keys().next();
      if (kept.size >= KNOWN_BOUNDS.subjectsMax && oldest.done === false) kept.delete(oldest.value);
      kept.set(name, { sealed, until: performance.now() + KNOWN_BOUNDS.ageMaxMs });
      return sealed;
    },
    forget(subject) {
      kept.delete(nameOf(subject));
    },
  };
}

const names = new WeakMap<Subject, string>();

function nameOf(subject: Subject): string {
  const known = names.get(subject);
  if (known !== undefined) return known;
  const { target, reads, functions, operators, fields, types = [] } = subject;
  const lists = [functions, operators, fields, types.map(quoted)];
  const name = JSON.stringify([quoted(target), reads.map(quoted), ...lists]);
  names.set(subject, name);
  return name;
}

/** Reads stamp and catalog until they belong together (K2). */
async function look(
  session: Session,
  subject: Subject,
  settings: PostgresSettings,
): Promise<SealedTable | null> {
  let shape = await readCatalog(session, subject, settings);
  for (let looks = 0; looks < KNOWN_BOUNDS.looksMax; looks += 1) {
    if (shape.unsealed !== null) return null;
    const guard = guardOf(subject, shape, settings);
    const [answer] = await runPipeline(session.client, [guard]);
    const { stamp } = readGuard(answer?.rows[0]);
    const catalog = await readCatalog(session, subject, settings);
    // What the guard asks hangs on what the catalog said before.
    if (JSON.stringify(guardOf(subject, catalog, settings)) === JSON.stringify(guard)) {
      return catalog.unsealed === null ? { catalog, stamp, guard } : null;
    }
    shape = catalog;
  }
  return null;
}

/** Counters first, then the parts of the stamp. */
const COUNTERS = [
  'pg_stat_get_xact_tuples_inserted($1)',
  'pg_stat_get_xact_tuples_updated($1)',
  'pg_stat_get_xact_tuples_deleted($1)',
  'pg_current_xact_id_if_assigned()::text',
  // The counters of this transaction are flushed at its end, so that the next begins at nothing.
  'pg_stat_force_next_flush()::text',
] as const;

/**
 * Of the target's own rows these are enough. A check, a rule, a first trigger, a part, row security and
 * another storage each write the row of `pg_class`; a parent, a default and a name that of the column; a
 * primary key and its end that of an index.
 */
const OF_THE_TARGET = [
  'array(SELECT a.xmin FROM pg_attribute a WHERE a.attrelid = $1 AND a.attnum > 0)',
  'array(SELECT i.xmin FROM pg_index i WHERE i.indrelid = $1)',
] as const;

/** Where there are triggers already (foreign keys are some), another does not show in `pg_class`. */
const OF_TRIGGERS = 'array(SELECT g.xmin FROM pg_trigger g WHERE g.tgrelid = $1)';

/** The look-up of counters and stamp for one statement; only what it names is asked for. */
function guardOf(subject: Subject, catalog: Catalog, settings: PostgresSettings): Step {
  const values: (number | string | readonly (string | number)[])[] = [catalog.target.oid];
  const given = (value: (typeof values)[number], type: string): string => {
    values.push(value);
    return `$${values.length}::${type}`;
  };
  const parts: string[] = [...COUNTERS];
  for (const name of [subject.target, ...subject.reads]) {
    const oid = `to_regclass(${given(quoted(name), 'text')})`;
    parts.push(`(SELECT concat(c.oid, '.', c.xmin) FROM pg_class c WHERE c.oid = ${oid})`);
  }
  parts.push(...OF_THE_TARGET);
  if (catalog.hasTriggers) parts.push(OF_TRIGGERS);
  parts.push('array(SELECT k.oid FROM pg_cast k WHERE k.oid >= 16384)');
  const called = [...new Set([...subject.functions, ...subject.fields])];
  if (called.length > 0) {
    const schemas = given(settings.schemas, 'text[]');
    parts.push(`array(SELECT concat(p.oid, '.', p.xmin) FROM pg_proc p
      WHERE p.proname = ANY (${given(called, 'text[]')}) AND p.pronamespace = ANY (
        array(SELECT s.oid FROM pg_namespace s WHERE s.nspname = ANY (${schemas}))))`);
  }
  if (subject.operators.length > 0) {
    parts.push(`array(SELECT o.xmin FROM pg_operator o
      WHERE o.oid >= 16384 AND o.oprname = ANY (${given(subject.operators, 'text[]')}))`);
  }
  if (catalog.domains.length > 0) {
    const list = given(catalog.domains, 'oid[]');
    parts.push(`array(SELECT k.xmin FROM pg_constraint k WHERE k.contypid = ANY (${list}))`);
    parts.push(`array(SELECT y.xmin FROM pg_type y WHERE y.oid = ANY (${list}))`);
  }
  for (const type of subject.types ?? []) {
    parts.push(`to_regtype(${given(quoted(type), 'text')})::oid`);
  }
  return { name: 'guard', text: `SELECT ${parts.join(', ')}`, values };
}

/** Reads what `SealedTable.guard` gave. */
export function readGuard(row: TextRow | undefined): Guard {
  if (row === undefined) throw new Error('the guard gave no row');
  const [created, updated, deleted, transaction, , ...stamp] = row;
  return {
    created: Number(created),
    updated: Number(updated),
    deleted: Number(deleted),
    transaction: transaction ?? null,
    stamp: JSON.stringify(stamp),
  };
}
