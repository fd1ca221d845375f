/** Opens the store that was chosen, and what lies beside it. */
import { openPool, placeOf, quoted } from '../store/postgres/connect.ts';
import { openPostgresStore } from '../store/postgres.ts';
import { BlobTable } from '../store/blob-table.ts';
import { postgresBlobs } from '../store/blobs-postgres.ts';
import type { Blobs } from '../store/blobs.ts';
import { openFolderBlobs } from '../store/blobs-folder.ts';
import { EVIDENCE_SUFFIX } from '../store/evidence-files.ts';
import { postgresShared } from '../store/shared-postgres.ts';
import { sharedByNone, type Shared } from '../store/shared.ts';
import { openSqliteStore } from '../store/sqlite.ts';
import type { UploadStore } from '../store/uploads.ts';
import { openFolderUploads } from '../store/uploads-folder.ts';
import { openPostgresUploads } from '../store/uploads-postgres.ts';
import type { TenantId } from '../model/ids.ts';
import type { Clock, Random, Sequencer, Store } from '../model/ports.ts';
import { letGo } from './finish.ts';
import type { DataFolder } from './folder.ts';
import type { StoreChoice } from './store-choice.ts';

/** A store and what every gateway over it sees of the others. Above this nobody knows which it is. */
export interface Storage {
  readonly kind: StoreChoice['kind'];
  /** For people; holds no secret. */
  readonly where: string;
  readonly store: Store;
  readonly shared: Shared;
  /** Where the bytes of evidence lie. */
  readonly evidence: Blobs;
  readonly uploads: UploadStore;
  /** Lets go of all of it; idempotent. */
  close(): Promise<void>;
}

export interface StoragePorts {
  readonly folder: DataFolder;
  readonly tenant: TenantId;
  readonly sequencer: Sequencer;
  readonly random: Random;
  readonly clock: Clock;
}

/** Connections beside those of the store: for evidence, for uploads, and for who else is there. */
const BESIDE_MAX = 3;

/** Opens it. Problems `store-…`. */
export async function openStorage(choice: StoreChoice, ports: StoragePorts): Promise<Storage> {
  return choice.kind === 'sqlite' ? openOwn(choice, ports) : openCommon(choice, ports);
}

async function openOwn(
  { kind, path, where }: StoreChoice & { kind: 'sqlite' },
  { folder, sequencer, random, clock }: StoragePorts,
): Promise<Storage> {
  const store = await openSqliteStore({ path, sequencer, random });
  try {
    return {
      kind,
      where,
      store,
      shared: sharedByNone(),
      evidence: await openFolderBlobs(folder.evidence, EVIDENCE_SUFFIX),
      uploads: openFolderUploads(folder.uploads, clock),
      close: () => store.close(),
    };
  } catch (error) {
    await store.close();
    throw error;
  }
}

async function openCommon(
  choice: StoreChoice & { kind: 'postgres' },
  { tenant, sequencer, random, clock }: StoragePorts,
): Promise<Storage> {
  const { kind, where, ...at } = choice;
  const store = await openPostgresStore({ ...at, sequencer, random });
  const place = placeOf(at);
  const pool = openPool(place, BESIDE_MAX);
  const beside = { pool, schema: quoted(place), tenant, now: () => clock.now() };
  let closed: Promise<void> | undefined;
  return {
    kind,
    where,
    store,
    shared: postgresShared(beside),
    evidence: postgresBlobs(new BlobTable({ ...beside, kind: 'evidence' })),
    uploads: openPostgresUploads(beside),
    close: () => (closed ??= closeBoth(store, clock, () => pool.end())),
  };
}

async function closeBoth(store: Store, clock: Clock, endPool: () => Promise<void>): Promise<void> {
  await Promise.all([store.close(), letGo(clock, endPool)]);
}
