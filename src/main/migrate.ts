/**
 * Moves the store of a data folder into PostgreSQL: `store migrate`.
 *
 * 1. There is never a moment at which both stores may be written. A note in the data folder forbids the
 *    old one before anything is copied, and stays until somebody has seen that the new one is empty.
 * 2. Rows go in one transaction, so the new store has all of them or none; files go before, and are
 *    gone on with. A crash at any point is mended by running it again.
 * 3. Nothing is believed: trees, counts and leaf hashes are compared, each file is read back, and each
 *    record is folded from its entries again, through the new store, before the old one is retired.
 */
import { rename } from 'node:fs/promises';
import pg from 'pg';
import { createSequencer } from '../ledger/sequencer.ts';
import { rootOf } from '../ledger/tree.ts';
import { bytesOfHex, hexOf } from '../lib/bytes.ts';
import type { TenantId } from '../model/ids.ts';
import type { Store, TreeState } from '../model/ports.ts';
import { Problem } from '../model/problem.ts';
import { moveToPostgres } from '../store/move.ts';
import { beginSql, openPool, placeOf, quoted, transaction } from '../store/postgres/connect.ts';
import { storageProblem } from '../store/postgres/problem.ts';
import { openSqliteStore } from '../store/sqlite.ts';
import { loadConfiguration } from './configuration.ts';
import { dataFolder, exists, writePrivate, type DataFolder } from './folder.ts';
import { checkFold } from './fold-check.ts';
import { LONE_GATEWAY } from './gateway-name.ts';
import { tenantOf, type GroundOptions } from './ground.ts';
import { openEvidenceKey, openLedgerKey } from './keys.ts';
import { countsOf, filesToMove, moveFiles, type FileCounts } from './move-files.ts';
import { readMove, removeMove, writeMove } from './moved.ts';
import { openStorage, type Storage } from './storage.ts';
import { chooseStore, type StoreChoice } from './store-choice.ts';
import { systemRandom, wallClock } from './world.ts';

export interface MigrateOptions extends GroundOptions {
  /** Told how far it is: what, and how much of how much; `of` is null where that is not known. */
  readonly progress: (what: string, done: number, of: number | null) => void;
}

export interface MigrateReport {
  /** `ready`: it was only looked at, and nothing stands in the way. */
  readonly state: 'moved' | 'ready';
  readonly from: string;
  readonly to: string;
  readonly tenants: readonly {
    readonly tenant: string;
    readonly entries: number;
    /** Lower-case hex. */
    readonly root: string;
  }[];
  readonly files: FileCounts;
  /** How many records were folded again; null where it was only looked at. */
  readonly proposals: number | null;
}

/** How long a look at the new store waits for a move that is under way there. */
const LOOK_LIMIT_MS = 3_000;

const LOCK_NOT_AVAILABLE = '55P03';

/** Nothing is sealed here; a store does not open without. */
const SEALING = {
  sequencer: createSequencer({ gateway: { id: LONE_GATEWAY } }),
  random: systemRandom,
};

/** A tenant's log as it was found under the lock of the old store. */
interface Head {
  readonly tenant: TenantId;
  readonly tree: TreeState;
  readonly lastLeafHash: string | undefined;
}

interface Moving {
  readonly options: MigrateOptions;
  readonly folder: DataFolder;
  readonly choice: StoreChoice & { kind: 'postgres' };
  readonly tenant: TenantId;
  readonly heads: readonly Head[];
}

/**
 * Moves it. Problems: `store-locked` while a gateway runs, `store-moved` where it was moved before,
 * `key-differs`, `store-unusable` where the other store has something else, or came out other.
 */
export async function migrateStore(options: MigrateOptions): Promise<MigrateReport> {
  const moving = await prepare(options);
  const { folder } = moving;
  const isFirst = (await readMove(folder)) === undefined;
  if (isFirst) await note(moving, 'moving');
  const files = await filesToMove(folder);
  const proposals = await carryOver(moving, files, async () => {
    // Nothing was asked of the new store that could still come about.
    if (isFirst) await removeMove(folder);
  });
  // The stops that the file has made are this gateway's to lift, under the name that it had.
  if (!(await exists(folder.gatewayId))) await writePrivate(folder.gatewayId, `${LONE_GATEWAY}\n`);
  await note(moving, 'moved');
  await rename(folder.store, `${folder.store}.moved`);
  return { state: 'moved', ...reportOf(moving, files), proposals };
}

/** Says whether it could be moved, and what; changes nothing but the version of the old store's schema. */
export async function checkMigration(options: MigrateOptions): Promise<MigrateReport> {
  const moving = await prepare(options);
  const found = await lookAt(moving);
  if (found === 'all') throw whole(moving.choice.where);
  if (found === 'other') throw occupied(moving.choice.where);
  return { state: 'ready', ...reportOf(moving, await filesToMove(moving.folder)), proposals: null };
}

/**
 * Takes the note of an unfinished move back, so that the old store may be used again. Problems:
 * `store-unusable` where the new one has it, `store-locked` where it may still come to have it.
 */
export async function abandonMigration(options: MigrateOptions): Promise<{ readonly to: string }> {
  const moving = await prepare(options);
  const { folder, choice } = moving;
  if ((await lookAt(moving)) === 'all') throw whole(choice.where);
  await removeMove(folder);
  return { to: choice.where };
}

async function prepare(options: MigrateOptions): Promise<Moving> {
  const configuration = await loadConfiguration(options.configPath);
  const tenant = tenantOf(configuration);
  const folder = dataFolder(options.dataFolder);
  const choice = await chooseStore(options, configuration, folder);
  if (choice.kind !== 'postgres') {
    throw new Problem(
      'configuration-invalid',
      "expected a PostgreSQL to move the store to, found none; name it with --store '${env:NAME}', $WRITEGATE_STORE, or `store` of writegate.yaml",
      { at: '--store' },
    );
  }
  const move = await readMove(folder);
  if (move?.state === 'moved' || (move !== undefined && move.to !== choice.where)) {
    const how = move.state === 'moved' ? 'was moved' : 'is being moved';
    throw new Problem('store-moved', `the store of \`${folder.path}\` ${how} to ${move.to}`);
  }
  if (!(await exists(folder.store)) || !(await exists(folder.ledgerKey))) {
    throw new Problem(
      'store-unusable',
      `no gateway ever ran on \`${folder.path}\`: there is nothing to move; name another with --dir`,
    );
  }
  return { options, folder, choice, tenant, heads: await headsOf(folder.store) };
}

/** The lock that opening takes says that no gateway runs. */
async function headsOf(path: string): Promise<readonly Head[]> {
  const store = await openSqliteStore({ path, ...SEALING });
  try {
    const heads: Head[] = [];
    for (const tenant of await store.tenants()) {
      const tree = await store.tree(tenant);
      const lastLeafHash = await store.leafHash(tenant, tree.size - 1);
      if (tree.size > 0) heads.push({ tenant, tree, lastLeafHash });
    }
    return heads;
  } finally {
    await store.close();
  }
}

type Files = Awaited<ReturnType<typeof filesToMove>>;

/** Copies files and rows and checks both; returns how many records were folded. */
async function carryOver(
  moving: Moving,
  files: Files,
  nothingBegun: () => Promise<void>,
): Promise<number> {
  const { options, folder, choice, tenant } = moving;
  const clock = wallClock(options.now);
  const ports = { ...SEALING, folder, tenant, clock };
  const storage = await openStorage(choice, ports).catch(async (error: unknown) => {
    await nothingBegun();
    throw error;
  });
  try {
    const isThere = await carryFiles(moving, storage, files).catch(async (error: unknown) => {
      await nothingBegun();
      throw error;
    });
    if (!isThere) await carryRows(moving);
    return await check(storage.store, moving);
  } finally {
    await storage.close();
  }
}

/** Notes the keys and copies the files; returns whether the rows are there already. */
async function carryFiles(moving: Moving, storage: Storage, files: Files): Promise<boolean> {
  const { options, folder, choice, tenant } = moving;
  const keys = {
    folder,
    tenant,
    random: systemRandom,
    shared: storage.shared,
    where: choice.where,
  };
  await openLedgerKey(keys);
  const hasEvidence = files.some(({ kind }) => kind === 'evidence');
  if (hasEvidence || (await exists(folder.evidenceKey))) {
    await openEvidenceKey(keys, () => Promise.resolve(hasEvidence));
  }
  const isThere = await isMoved(storage.store, moving);
  const place = placeOf(choice);
  const pool = openPool(place, 2);
  try {
    await moveFiles(files, { pool, schema: quoted(place), tenant }, (done, of) =>
      options.progress('files', done, of),
    );
  } finally {
    await pool.end();
  }
  return isThere;
}

async function carryRows({ options, folder, choice }: Moving): Promise<void> {
  let rows = 0;
  await moveToPostgres({
    from: folder.store,
    to: { ...choice, ...SEALING },
    progress: (done) => {
      rows += done.rows;
      options.progress('rows', rows, null);
    },
  });
}

/** Whether the new store has all of it, which a run before this one has seen to. */
async function isMoved(store: Store, { heads, choice }: Moving): Promise<boolean> {
  const found = await Promise.all(heads.map((head) => partOf(store, head)));
  if (found.every((part) => part === 'all')) return true;
  if (found.every((part) => part === 'none')) return false;
  throw occupied(choice.where);
}

/** What a store has of a log; rows go in one transaction, so it is never a piece. */
type Part = 'all' | 'none' | 'other';

async function partOf(store: Store, { tenant, tree, lastLeafHash }: Head): Promise<Part> {
  const { size } = await store.tree(tenant);
  if (size === 0) return 'none';
  // Gateways may run on it by now: then what was moved is what it begins with.
  const hash = await store.leafHash(tenant, tree.size - 1);
  return hash === lastLeafHash ? 'all' : 'other';
}

async function check(store: Store, moving: Moving): Promise<number> {
  const { heads, options } = moving;
  let proposals = 0;
  for (const head of heads) {
    if ((await partOf(store, head)) !== 'all') throw occupied(moving.choice.where);
    const before = proposals;
    proposals += await checkFold(store, head.tenant, (done) =>
      options.progress('records checked', before + done, null),
    );
  }
  return proposals;
}

function whole(where: string): Problem {
  return new Problem(
    'store-unusable',
    `the store at ${where} has all of it already; run \`writegate store migrate\` again, without --check and --abandon, which ends the move`,
  );
}

function occupied(where: string): Problem {
  return new Problem(
    'store-unusable',
    `the store at ${where} has a log already, and not this one; name another database, or another \`schema\` under \`store\` of writegate.yaml`,
  );
}

function note({ folder, choice, options }: Moving, state: 'moving' | 'moved'): Promise<void> {
  const at = wallClock(options.now).now();
  return writeMove(folder, { state, to: choice.where, at });
}

function reportOf(
  { folder, choice, heads }: Moving,
  files: Files,
): Pick<MigrateReport, 'from' | 'to' | 'tenants' | 'files'> {
  return {
    from: folder.store,
    to: choice.where,
    tenants: heads.map(({ tenant, tree }) => ({
      tenant,
      entries: tree.size,
      root: rootText(tree),
    })),
    files: countsOf(files),
  };
}

function rootText({ range }: TreeState): string {
  return hexOf(rootOf(range.map((hash) => bytesOfHex(hash) ?? new Uint8Array())));
}

/**
 * Asks the new place itself what it has, without making anything in it: `other` is what is not of this
 * log. Not while a move is under way there: the process that began one may be gone, and the server
 * still be at its commit, which a standby that is away can make take any time.
 */
async function lookAt({ choice, heads }: Moving): Promise<Part> {
  const place = placeOf(choice);
  const pool = openPool(place, 1);
  try {
    const schema = quoted(place);
    const client = await pool.connect();
    try {
      return await transaction(client, beginSql(), async () => {
        const { mayMake, hasEntries, isOurs } = await placeIn(client, schema);
        if (!mayMake) throw mayNotMake(choice.where);
        if (!hasEntries) return 'none';
        await client.query(`SET LOCAL lock_timeout = ${LOOK_LIMIT_MS}`);
        await client.query(`LOCK TABLE ${schema}.entries IN SHARE MODE`);
        const { rows } = await client.query(`SELECT FROM ${schema}.entries LIMIT 1`);
        if (rows.length === 0) return 'none';
        return isOurs && (await hasAll(client, schema, heads)) ? 'all' : 'other';
      });
    } finally {
      client.release(true);
    }
  } catch (error) {
    if (error instanceof pg.DatabaseError && error.code === LOCK_NOT_AVAILABLE) {
      throw underWay(choice.where);
    }
    throw storageProblem(error);
  } finally {
    await pool.end();
  }
}

interface PlaceFound {
  readonly mayMake: boolean;
  readonly hasEntries: boolean;
  /** Whether its entries have the columns of a store. */
  readonly isOurs: boolean;
}

async function placeIn(client: pg.PoolClient, schema: string): Promise<PlaceFound> {
  const { rows } = await client.query<PlaceFound>(
    `SELECT to_regclass($1) IS NOT NULL AS "hasEntries",
       to_regnamespace($2) IS NOT NULL
         OR has_database_privilege(current_database(), 'CREATE') AS "mayMake",
       (SELECT count(*) = 3 FROM pg_attribute WHERE attrelid = to_regclass($1)
         AND attname IN ('tenant', 'entry_index', 'leaf_hash')) AS "isOurs"`,
    [`${schema}.entries`, schema],
  );
  return rows[0] ?? { mayMake: false, hasEntries: false, isOurs: false };
}

/** Whether the last entry of each log lies there where it does in the old store. */
async function hasAll(
  client: pg.PoolClient,
  schema: string,
  heads: readonly Head[],
): Promise<boolean> {
  for (const { tenant, tree, lastLeafHash = '' } of heads) {
    const { rows } = await client.query(
      `SELECT FROM ${schema}.entries
       WHERE tenant = $1 AND entry_index = $2 AND leaf_hash = decode($3, 'hex')`,
      [tenant, tree.size - 1, lastLeafHash],
    );
    if (rows.length === 0) return false;
  }
  return true;
}

function mayNotMake(where: string): Problem {
  return new Problem(
    'store-unusable',
    `the user at ${where} may not make a schema there; grant CREATE on the database to it`,
  );
}

function underWay(where: string): Problem {
  return new Problem(
    'store-locked',
    `somebody is writing to the store at ${where}, a move that was broken off perhaps, whose commit its server still has in hand; try again once that is through, or end its connection there`,
  );
}
