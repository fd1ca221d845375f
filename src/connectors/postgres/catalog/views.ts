/** What writes through the governed views need: which ones take them, and what lies below those. */
import { quoted, type Ask, type Verb } from '../session/ask.ts';

export interface ViewFacts {
  readonly oid: number;
  /** Quoted for SQL. */
  readonly sql: string;
  /** What the server carries out through it: by itself, by a rule, or by an INSTEAD OF trigger. */
  readonly verbs: readonly Verb[];
}

/** What is reached through the views that take writes. */
export interface BelowViews {
  /** Tables, by oid; not governed for that alone. */
  readonly tables: readonly number[];
  /** Trigger functions of the views, by the view's oid. */
  readonly calls: ReadonlyMap<
    number,
    readonly { readonly via: string; readonly function: number }[]
  >;
}

/** Bits of `pg_relation_is_updatable`: 1 << the command's number. */
const VERBS: readonly (readonly [bit: number, verb: Verb])[] = [
  [8, 'INSERT'],
  [4, 'UPDATE'],
  [16, 'DELETE'],
];

/** Makes the facts of one view; `updatable` is what `pg_relation_is_updatable` says. */
export function viewOf(oid: number, schema: string, name: string, updatable: number): ViewFacts {
  const verbs = VERBS.flatMap(([bit, verb]) => ((updatable & bit) === 0 ? [] : [verb]));
  return { oid, sql: quoted(schema, name), verbs };
}

/** Reads what lies below those views that take writes. */
export async function readBelow(ask: Ask, views: readonly ViewFacts[]): Promise<BelowViews> {
  const oids = views.filter(({ verbs }) => verbs.length > 0).map(({ oid }) => oid);
  if (oids.length === 0) return { tables: [], calls: new Map() };
  const tables = await ask(BELOW, [oids]);
  const calls = new Map<number, { readonly via: string; readonly function: number }[]>();
  for (const [view, name, called] of await ask(CALLS, [oids])) {
    const of = calls.get(Number(view)) ?? [];
    calls.set(Number(view), [...of, { via: `trigger ${String(name)}`, function: Number(called) }]);
  }
  return { tables: tables.map(([oid]) => Number(oid)), calls };
}

/** What views select from and what their rules write to, through further views. */
const BELOW = `
WITH RECURSIVE below AS (
  SELECT unnest($1::int8[])::oid AS oid
  UNION
  SELECT d.refobjid FROM below b JOIN pg_class v ON v.oid = b.oid AND v.relkind = 'v'
    JOIN pg_rewrite w ON w.ev_class = b.oid
    JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid
      AND d.refclassid = 'pg_class'::regclass
)
SELECT c.oid::int8 FROM below b JOIN pg_class c ON c.oid = b.oid
  JOIN pg_namespace s ON s.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'f') AND s.nspname !~ '^pg_' AND s.nspname <> 'information_schema'`;

const CALLS = `
SELECT g.tgrelid::int8, g.tgname, g.tgfoid::int8 FROM pg_trigger g
WHERE g.tgrelid = ANY ($1::int8[]) AND NOT g.tgisinternal AND g.tgenabled <> 'D'`;
