/** What has to be known and checked of a statement before it is carried out. */
import type { CarryContext } from './carry.ts';
import { readCatalog, type Catalog, type Table } from '../catalog/catalog.ts';
import { checkAmountsKnown } from './conclude.ts';
import { runCopy } from '../proposed/copy.ts';
import type { DirectRows } from './direct.ts';
import type { Guarded } from './guards.ts';
import { masksOfStatement } from './masks.ts';
import { namedOf } from './named.ts';
import { checkPermitted } from './permitted.ts';
import type { ProposedWrite } from '../proposed/proposed.ts';
import type { Doing } from './run.ts';
import type { Teacher } from './teacher.ts';
import type { Statement } from '../text/statement.ts';
import type { RelationName } from '../text/tree.ts';
import { runStatement, type Lane, type Taking } from './write.ts';

export interface Preparing {
  readonly context: CarryContext;
  readonly teacher: Teacher;
  /** Rows of the receipt table that this transaction has written itself. */
  readonly receipts: number;
}

export async function prepareStatement(
  lane: Lane,
  write: ProposedWrite,
  { context, teacher, receipts }: Preparing,
): Promise<Doing> {
  const { statement } = write;
  const catalog = await readCatalog(lane.session, statement, context.settings);
  checkPermitted(catalog, context.permits);
  const masks = teacher.masksOf(masksOfStatement(statement, catalog));
  checkAmountsKnown(catalog, masks, context.settings);
  return {
    catalog,
    written: statement.written,
    run: (own, take, isAgain) => runProposed(own, catalog, write, { take, isAgain }),
    receipts,
    gathering: { catalog, masks, guarded: guardedOf(statement, catalog), sampled: true },
  };
}

/** What the statement names, for who judges what it does. */
export function guardedOf(statement: Statement, catalog: Catalog): Guarded {
  const tableOf = (relation: RelationName): Table | undefined => {
    const at = statement.written.findIndex(
      ({ schema, name }) => schema === relation.schema && name === relation.name,
    );
    return catalog.written[at];
  };
  return { kind: 'agent', named: namedOf(statement.writes, tableOf) };
}

/** The rows of a file do not come back from COPY: they are found like any others. */
export async function runProposed(
  lane: Lane,
  catalog: Catalog,
  write: ProposedWrite,
  taking: Taking,
): Promise<DirectRows | null> {
  if (write.copy === undefined) return runStatement(lane, catalog, write, taking);
  await runCopy(lane.session, catalog.target, write.copy);
  return null;
}
