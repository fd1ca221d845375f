/** Types that a statement names beside the built-in ones: enumerations, and what extensions bring. */
import pg from 'pg';
import { Refused } from '../../connector.ts';
import type { Session } from '../session/session.ts';
import type { PostgresSettings } from '../settings.ts';
import type { RelationName } from './tree.ts';

/**
 * Whether the type called `name` (an expression) may be cast to. A cast to a domain runs its checks, one
 * to a composite type may run a cast function of somebody's: so only what has no code of the database's
 * users behind it comes through. `schemas` is a parameter with those that are governed.
 */
export function knownTypeSql(name: string, schemas: string): string {
  return `EXISTS (SELECT FROM pg_type y
  WHERE y.oid = to_regtype(${name})
    AND y.typnamespace IN (SELECT oid FROM pg_namespace WHERE nspname = ANY (${schemas}::text[]))
    AND NOT EXISTS (SELECT FROM pg_cast k WHERE k.casttarget = y.oid AND k.castfunc >= 16384
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_cast'::regclass
        AND d.objid = k.oid AND d.deptype = 'e'))
    AND (y.typtype = 'e' OR y.typtype = 'b' AND EXISTS (SELECT FROM pg_depend d
      WHERE d.classid = 'pg_type'::regclass AND d.objid = y.oid AND d.deptype = 'e')))`;
}

const LOOK = `
SELECT n.place, ${knownTypeSql('n.name', '$2')} AS known
FROM unnest($1::text[]) WITH ORDINALITY AS n(name, place) ORDER BY n.place`;

/** Throws `statement-function` for a type that is neither; asks nothing where there is none to clear. */
export async function checkTypes(
  session: Session,
  types: readonly RelationName[],
  settings: Pick<PostgresSettings, 'schemas'>,
): Promise<void> {
  if (types.length === 0) return;
  const names = types.map(({ schema, name }) =>
    [...(schema === null ? [] : [schema]), name].map((each) => pg.escapeIdentifier(each)).join('.'),
  );
  const { rows } = await session.client.query<{ known: boolean }>({
    name: 'writegate_types',
    text: LOOK,
    values: [names, settings.schemas],
  });
  const type = types.find((_, place) => rows[place]?.known !== true);
  if (type === undefined) return;
  const spelled = type.schema === null ? type.name : `${type.schema}.${type.name}`;
  throw new Refused(
    'statement-function',
    `a cast to \`${spelled}\` is not allowed; expected a plain built-in type or an enumeration`,
  );
}
