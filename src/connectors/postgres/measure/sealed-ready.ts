/** What a statement on a sealed table is sent as, put together once for all its turns. */
import { Refused } from '../../connector.ts';
import type { Catalog, Table } from '../catalog/catalog.ts';
import { copiedList, imageList, NEW, OLD } from './images.ts';
import type { SealedTable } from '../catalog/known.ts';
import { masksOfStatement, type Masks } from './masks.ts';
import { namedOf, type Named } from './named.ts';
import type { Session } from '../session/session.ts';
import type { PostgresSettings } from '../settings.ts';
import type { Statement } from '../text/statement.ts';
import { ValueSum } from './value.ts';
import type { StatementWrite } from './write.ts';

/** From this version on RETURNING gives the old row too. */
const RETURNS_OLD = 180_000;
/** A table with fewer is changed as fast without a COPY. */
const MANY_ROWS = 500;

/** What the lane takes on; anything else is the full lane's. */
export function isPlain(session: Session, { statement }: StatementWrite): boolean {
  if (!statement.isPlain || statement.kind === 'merge' || statement.written.length > 1)
    return false;
  return session.version >= RETURNS_OLD || !overwrites(statement);
}

function overwrites({ kind, updated }: Statement): boolean {
  return kind === 'update' || updated.length > 0;
}

/** What a statement on a sealed table always comes to, so that it is put together once. */
export interface Ready {
  readonly sealed: SealedTable;
  /** The statement as it was checked, with our RETURNING added. */
  readonly text: string;
  /** The same as a COPY, where it looks like many rows. */
  readonly copied: string | null;
  /** Whether each row has the image before and the one after. */
  readonly hasBoth: boolean;
  readonly masks: Masks;
  readonly named: readonly Named[];
}

const readies = new WeakMap<Statement, Ready>();

export function readied(
  session: Session,
  statement: Statement,
  sealed: SealedTable,
  settings: PostgresSettings,
): Ready {
  const known = readies.get(statement);
  const hasBoth = returnsBoth(session, statement);
  if (known?.sealed === sealed && known.hasBoth === hasBoth) return known;
  const { catalog } = sealed;
  const { target } = catalog;
  const masks = masksOfStatement(statement, catalog);
  checkAmountsKnown(catalog, masks, settings);
  const text = returning(statement, target, hasBoth, imageList);
  const copied = isMany(statement, catalog)
    ? `COPY (${returning(statement, target, hasBoth, copiedList)}) TO STDOUT`
    : null;
  const named = namedOf(statement.writes, () => target);
  const ready = { sealed, text, copied, hasBoth, masks, named };
  readies.set(statement, ready);
  return ready;
}

function returning(
  { text, alias }: Statement,
  target: Table,
  hasBoth: boolean,
  listOf: (target: Table, qualifier: string) => string,
): string {
  const list = hasBoth
    ? `WITH (OLD AS ${OLD}, NEW AS ${NEW}) ${listOf(target, OLD)}, ${listOf(target, NEW)}`
    : listOf(target, alias);
  // The new line ends a comment that the statement may end in.
  return `${text}\nRETURNING ${list}`;
}

/**
 * Whether it is likely to change so many rows that a COPY is worth more than what is prepared: nothing but
 * the time hangs on it. A COPY takes no `$n`.
 */
function isMany(statement: Statement, { target, rowsEstimated }: Catalog): boolean {
  if (statement.parameters > 0 || target.columns.length === 0) return false;
  if (statement.kind === 'insert') return statement.reads.length > 0;
  const { key } = target;
  const isByKey = key.length > 0 && key.every((name) => statement.fixed.includes(name));
  return !isByKey && (rowsEstimated ?? MANY_ROWS) >= MANY_ROWS;
}

function returnsBoth(session: Session, statement: Statement): boolean {
  return overwrites(statement) && session.version >= RETURNS_OLD;
}

/** A masked amount would pass every limit unseen. */
function checkAmountsKnown({ target }: Catalog, masks: Masks, settings: PostgresSettings): void {
  const value = new ValueSum(settings, new Map([[target.resource, target.partOf]]));
  const amount = value.amountAmong(target.resource, masks.of(target));
  if (amount === null) return;
  throw new Refused(
    'effect-unmeasurable',
    `the amount in \`${amount}\` would only be known at the commit, so no limit could judge it`,
  );
}
