/** Says of every changed row how it came to change: directly, by cascade, trigger, rule, or indirectly. */
import { strict as assert } from 'node:assert';
import type { Cause, Effect, ResourceCount } from '../../../model/plan.ts';
import { quoted } from '../catalog/catalog.ts';
import type { Footprint, Touched } from './footprint.ts';
import { lookUp } from '../session/look-up.ts';
import type { Session } from '../session/session.ts';
import type { Counted } from './tally.ts';
import type { RelationName } from '../text/tree.ts';

/** What could have made indirect changes, and what the statement names to write. */
export interface Causes {
  readonly keys: readonly {
    readonly name: string;
    /** The table with the foreign key, and the one it points to. */
    readonly from: number;
    readonly to: number;
    /** `pg_constraint.confdeltype` and `confupdtype`: `c` cascade, `n` set null, `d` set default. */
    readonly onDelete: string;
    readonly onUpdate: string;
  }[];
  readonly triggers: readonly {
    readonly name: string;
    readonly on: number;
    /** `pg_trigger.tgtype`. */
    readonly type: number;
    /** The function that it calls, and whether it was called; null where that is not tracked. */
    readonly call: string;
    readonly ran: boolean | null;
  }[];
  readonly rules: readonly {
    readonly name: string;
    readonly on: number;
    /** `pg_rewrite.ev_type`: 2 update, 3 insert, 4 delete. */
    readonly event: string;
    readonly instead: boolean;
  }[];
  /** Relations that the statement names to write, their parts, and the tables below where it is a view. */
  readonly written: readonly number[];
}

const CAUSES = `
WITH RECURSIVE written AS (
  SELECT to_regclass(name)::oid AS oid FROM unnest($2::text[]) AS n(name)
  UNION
  SELECT next.oid FROM written w, LATERAL (
    SELECT i.inhrelid AS oid FROM pg_inherits i WHERE i.inhparent = w.oid
    UNION ALL
    SELECT d.refobjid FROM pg_rewrite r JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass
      AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> w.oid
    WHERE r.ev_class = w.oid AND r.ev_type = '1'
      AND NOT EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = w.oid AND g.tgtype & 64 = 64)
      AND NOT EXISTS (SELECT FROM pg_rewrite o WHERE o.ev_class = w.oid AND o.is_instead
        AND o.ev_type <> '1')) AS next
)
SELECT json_build_object(
  'keys', coalesce((SELECT json_agg(json_build_object('name', conname, 'from', conrelid::int8,
      'to', confrelid::int8, 'onDelete', confdeltype, 'onUpdate', confupdtype) ORDER BY conname)
    FROM pg_constraint WHERE contype = 'f' AND conrelid = ANY ($1::oid[])), '[]'),
  'triggers', coalesce((SELECT json_agg(json_build_object('name', g.tgname, 'on', g.tgrelid::int8,
      'type', g.tgtype, 'call', s.nspname || '.' || p.proname,
      'ran', CASE WHEN current_setting('track_functions') IN ('pl', 'all')
        AND (l.lanname <> 'c' OR current_setting('track_functions') = 'all')
        THEN coalesce(pg_stat_get_xact_function_calls(p.oid), 0) > 0 END) ORDER BY g.tgname)
    FROM pg_trigger g JOIN pg_proc p ON p.oid = g.tgfoid JOIN pg_namespace s ON s.oid = p.pronamespace
      JOIN pg_language l ON l.oid = p.prolang
    WHERE NOT g.tgisinternal AND g.tgenabled <> 'D' AND g.tgrelid = ANY ($1::oid[])), '[]'),
  'rules', coalesce((SELECT json_agg(json_build_object('name', rulename, 'on', ev_class::int8,
      'event', ev_type, 'instead', is_instead) ORDER BY rulename)
    FROM pg_rewrite WHERE ev_type <> '1' AND ev_class = ANY ($1::oid[])), '[]'),
  'written', coalesce((SELECT json_agg(oid::int8) FROM written WHERE oid IS NOT NULL), '[]')
) AS answer`;

/** Reads what could have changed rows among the relations that were touched. */
export async function readCauses(
  session: Session,
  footprint: Footprint,
  written: readonly RelationName[],
): Promise<Causes> {
  const oids = footprint.relations.map(({ oid }) => String(oid));
  const [row] = await lookUp(session, CAUSES, [oids, written.map(quoted)]);
  const text = row?.[0] ?? null;
  assert(text !== null, 'the look-up of causes gave no row');
  // The query makes this shape.
  return JSON.parse(text) as Causes;
}

/** Of `pg_trigger.tgtype`. */
const PER_ROW = 1;
const EVENTS = { created: 4, deleted: 8, updated: 16 } as const;
const INSTEAD = 64;
const RULE_EVENTS = { created: '3', updated: '2', deleted: '4' } as const;
const CHANGES = ['created', 'updated', 'deleted'] as const;

/** Answers for one footprint. */
export class Attribution {
  readonly #causes: Causes;
  readonly #footprint: Footprint;
  readonly #written: ReadonlySet<number>;
  readonly #known = new Map<string, Cause>();

  constructor(causes: Causes, footprint: Footprint) {
    this.#causes = causes;
    this.#footprint = footprint;
    this.#written = new Set(causes.written);
  }

  /** Whether the statement names the relation, or what it is below or a part of, to write to it. */
  isWritten(oid: number): boolean {
    return this.#written.has(oid);
  }

  /** What made changes of this kind in a relation, other than the statement itself. */
  causeOf(oid: number, kind: Effect['kind']): Cause {
    const known = this.#known.get(`${oid} ${kind}`) ?? this.#find(oid, kind);
    this.#known.set(`${oid} ${kind}`, known);
    return known;
  }

  /** Whether a default that a cascade sets may differ from one run to the next. */
  setsDefault(oid: number): boolean {
    return this.#causes.keys.some(
      (key) => key.from === oid && (key.onDelete === 'd' || key.onUpdate === 'd'),
    );
  }

  #find(oid: number, kind: Effect['kind']): Cause {
    // A cascade that changes a row's own key shows as one row gone and another come: by the count it is
    // an update all the same.
    const own = this.#relation(oid);
    const isUpdate = own !== undefined && own.created === 0 && own.deleted === 0;
    const change = isUpdate ? 'update' : kind;
    const keys = change === 'create' ? [] : this.#cascades(oid, change);
    if (keys.length > 0) return { attribution: 'cascade', via: joined(keys) };
    const triggers = this.#triggers(oid);
    const rules = this.#rules();
    const via = joined([...triggers, ...rules]);
    if (triggers.length > 0 && rules.length > 0) return { attribution: 'indirect', via };
    if (triggers.length > 0) return { attribution: 'trigger', via };
    return { attribution: rules.length > 0 ? 'rule' : 'indirect', via };
  }

  /** The foreign keys of a table that hand on this change from a table that was itself changed. */
  #cascades(oid: number, kind: 'update' | 'delete'): readonly string[] {
    return this.#causes.keys.flatMap((key) => {
      const source = this.#relation(key.to);
      if (key.from !== oid || source === undefined) return [];
      const sets = kind === 'delete' ? 'c' : 'nd';
      const byDelete = source.deleted > 0 && sets.includes(key.onDelete);
      const byUpdate = kind === 'update' && source.updated > 0 && 'cnd'.includes(key.onUpdate);
      return byDelete || byUpdate ? [key.name] : [];
    });
  }

  /** Triggers that were set off; those of the table itself only where something had changed it first. */
  #triggers(oid: number): readonly string[] {
    const fired = this.#causes.triggers.filter(({ on, type, ran }) => {
      const relation = this.#relation(on);
      return relation !== undefined && ran !== false && isSetOff(relation, type);
    });
    const others = fired.filter((trigger) => trigger.on !== oid || this.isWritten(oid));
    return (others.length > 0 ? others : fired).map(({ name, call, ran }) =>
      ran === true ? call : name,
    );
  }

  #rules(): readonly string[] {
    return this.#causes.rules.flatMap(({ name, on, event }) => {
      const relation = this.#relation(on);
      if (relation === undefined) return [];
      // An INSTEAD rule leaves no count behind; that it is locked for writing says it was rewritten.
      const changed = CHANGES.some((each) => relation[each] > 0 && RULE_EVENTS[each] === event);
      return changed || (total(relation) === 0 && isLockedForWrites(relation)) ? [name] : [];
    });
  }

  #relation(oid: number): Touched | undefined {
    return this.#footprint.relations.find((relation) => relation.oid === oid);
  }
}

function isSetOff(relation: Touched, type: number): boolean {
  // Per statement, and instead of it, a trigger runs without a count on its own relation.
  if ((type & PER_ROW) === 0 || (type & INSTEAD) !== 0) return isLockedForWrites(relation);
  return CHANGES.some((change) => relation[change] > 0 && (type & EVENTS[change]) !== 0);
}

function isLockedForWrites({ modes }: Touched): boolean {
  return modes.includes('RowExclusiveLock');
}

function total({ created, updated, deleted }: Touched): number {
  return created + updated + deleted;
}

function joined(names: readonly string[]): string | null {
  return names.length === 0 ? null : [...new Set(names)].join(', ');
}

/** One line for each resource and attribution: direct ones first, by resource within each. */
export function resourceCounts(
  counted: readonly (Omit<Counted, 'table'> & { readonly resource: string })[],
): readonly ResourceCount[] {
  const lines = new Map<string, Omit<ResourceCount, 'via'> & { readonly via: Set<string> }>();
  for (const { resource, by, created, updated, deleted } of counted) {
    if (created + updated + deleted === 0) continue;
    const attribution = by?.attribution ?? 'direct';
    const name = `${attribution === 'direct' ? 0 : 1} ${resource} ${attribution}`;
    const via = lines.get(name)?.via ?? new Set<string>();
    for (const each of by?.via?.split(', ') ?? []) via.add(each);
    lines.set(name, {
      resource,
      attribution,
      via,
      created: (lines.get(name)?.created ?? 0) + created,
      updated: (lines.get(name)?.updated ?? 0) + updated,
      deleted: (lines.get(name)?.deleted ?? 0) + deleted,
    });
  }
  return [...lines]
    .toSorted(([left], [right]) => (left < right ? -1 : 1))
    .map(([, { resource, attribution, via, created, updated, deleted }]) => {
      return { resource, attribution, via: joined([...via]), created, updated, deleted };
    });
}
