/** Which store a gateway works on: the one of the data folder, or one that it shares with others. */
import { resolveSecret, type Environment } from '../connectors/connector.ts';
import type { Secret } from '../lib/secret.ts';
import type { Configuration } from '../model/policy.ts';
import { Problem } from '../model/problem.ts';
import { ENCODE_PASSWORD, isCutOff } from '../store/postgres/connect.ts';
import type { DataFolder } from './folder.ts';

export type StoreChoice =
  | { readonly kind: 'sqlite'; readonly path: string; readonly where: string }
  | {
      readonly kind: 'postgres';
      readonly url: Secret;
      /** Past a pool; null: none. Absent: `url`, where that is no pool. */
      readonly listenUrl?: Secret | null;
      readonly schema?: string;
      readonly connectionsMax?: number;
      /** Host and database, for people: never user, password or settings. */
      readonly where: string;
    };

export interface StoreWish {
  /** As `--store` says it: `sqlite`, or a connection string, which may be references. */
  readonly store?: string;
  /** The environment variables that references may name. */
  readonly environment: Environment;
}

/** In place of what the file says under `store`. */
const STORE_VARIABLE = 'WRITEGATE_STORE';
const LISTEN_VARIABLE = 'WRITEGATE_STORE_LISTEN';

/**
 * Chooses by the command line, then the environment, then the file; else the data folder's own.
 * Problem `configuration-invalid` where a reference leads nowhere or the address cannot be one.
 */
export async function chooseStore(
  { store: given, environment }: StoreWish,
  { store: ofFile }: Pick<Configuration, 'store'>,
  folder: DataFolder,
): Promise<StoreChoice> {
  const named = given ?? (environment(STORE_VARIABLE) || undefined);
  if (named === 'sqlite') return ownStore(folder);
  const url = named ?? ofFile?.url;
  if (url === undefined) return ownStore(folder);
  const at = given !== undefined ? '--store' : named !== undefined ? STORE_VARIABLE : '/store/url';
  // What the file says of listening is about the server that the file names.
  const ownListen = named === undefined ? ofFile?.listenUrl : undefined;
  const listenUrl = environment(LISTEN_VARIABLE) || ownListen;
  const secret = await resolveSecret(url, at, environment);
  return {
    kind: 'postgres',
    url: secret,
    ...(listenUrl !== undefined && {
      listenUrl: await listeningOn(listenUrl, environment),
    }),
    ...(ofFile?.schema !== undefined && { schema: ofFile.schema }),
    ...(ofFile?.connectionsMax !== undefined && { connectionsMax: ofFile.connectionsMax }),
    where: whereOf(secret, at),
  };
}

async function listeningOn(url: string | null, environment: Environment): Promise<Secret | null> {
  return url === null ? null : resolveSecret(url, '/store/listenUrl', environment);
}

function ownStore({ store }: DataFolder): StoreChoice {
  return { kind: 'sqlite', path: store, where: store };
}

const PORT_DEFAULT = '5432';

/** Says where a server is by what cannot be secret. */
function whereOf(secret: Secret, at: string): string {
  const url = URL.parse(secret.reveal());
  if (url === null || !/^postgres(?:ql)?:$/.test(url.protocol)) {
    throw new Problem(
      'configuration-invalid',
      'expected `sqlite`, or a connection string such as `postgres://gateway@db/writegate`, for the store, found neither; correct it',
      { at },
    );
  }
  if (isCutOff(url)) {
    const message = `the connection string for the store is cut off: ${ENCODE_PASSWORD}`;
    throw new Problem('configuration-invalid', message, { at });
  }
  const host = url.hostname || url.searchParams.get('host') || 'localhost';
  const database = decodeURIComponent(url.pathname.slice(1) || url.username);
  return `${decodeURIComponent(host)}:${url.port || PORT_DEFAULT}/${database}`;
}
