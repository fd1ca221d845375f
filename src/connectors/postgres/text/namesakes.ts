/** The SQL that asks whether a name of a statement could call code of the database's users. */

/** Types beside composite ones, and domains over them, that a whole row may be handed in as. */
const TAKE_A_ROW =
  "'{any,record,anyelement,anynonarray,anycompatible,anycompatiblenonarray}'::text[]";

/**
 * A JSON list, or null. `$2` functions, `$3` operators, `$4` fields that the statement names; `$6` the
 * fields that no allowed function is called like; `path` a CTE with the oids of the governed schemas.
 */
export const NAMESAKES: string = `(
    SELECT json_agg(DISTINCT found.name) FROM (
      SELECT 'function ' || p.proname AS name, p.oid, 'pg_proc'::regclass AS class FROM pg_proc p
      WHERE p.pronamespace IN (SELECT oid FROM path) AND p.proname = ANY ($2::text[])
        OR (p.pronamespace IN (SELECT oid FROM path) AND p.proname = ANY ($4::text[])
          OR p.pronamespace = 'pg_catalog'::regnamespace AND p.proname = ANY ($6::text[]))
        AND p.pronargs > 0 AND EXISTS (
          SELECT FROM pg_type y WHERE y.oid IN (p.proargtypes[0], p.provariadic)
            AND (y.typtype IN ('c', 'd') OR y.typname = ANY (${TAKE_A_ROW})))
      UNION ALL
      SELECT 'operator ' || o.oprname, o.oid, 'pg_operator'::regclass FROM pg_operator o
      WHERE o.oprnamespace IN (SELECT oid FROM path) AND o.oprname = ANY ($3::text[])
    ) AS found
    WHERE NOT EXISTS (SELECT FROM pg_depend d
      WHERE d.classid = found.class AND d.objid = found.oid AND d.deptype = 'e'))`;
