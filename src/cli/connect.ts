/** Finds the gateway and the token that a command speaks with. */
import { resolve } from 'node:path';
import { createClient, type Client } from '../client/client.ts';
import { proposalId } from '../model/ids.ts';
import { Problem } from '../model/problem.ts';
import { dataFolder, readPlace, readToken, type DataFolder } from '../main/folder.ts';
import { Secret } from '../lib/secret.ts';
import type { Io } from './io.ts';
import { remark, UsageError, type ConnectionOptions, type FolderOptions } from './shell.ts';

/** The data folder that the options and the environment name. */
export function folderOf(io: Io, options: FolderOptions): DataFolder {
  return dataFolder(
    resolve(io.cwd, options.dir ?? nonEmpty(io.env['WRITEGATE_DIR']) ?? '.writegate'),
  );
}

/**
 * Connects as whoever the token says. A person's command falls back to the operator's token in
 * the data folder; an agent's never does, and neither does a shell that holds an agent's token.
 */
export async function connect(
  io: Io,
  options: ConnectionOptions,
  as: 'agent' | 'person' | 'either',
): Promise<Client> {
  const { url, token } = await connectionOf(io, options, as);
  let isSaid = false;
  return createClient({
    url,
    token: token.reveal(),
    onRetry: ({ code }) => {
      if (!isSaid) remark(io, `${code}: it is tried again for up to 20 s`);
      isSaid = true;
    },
  });
}

/** What `connect` connects with. */
export async function connectionOf(
  io: Io,
  options: ConnectionOptions,
  as: 'agent' | 'person' | 'either',
): Promise<{ readonly url: string; readonly token: Secret }> {
  const folder = folderOf(io, options);
  const url = await urlOf(io, options, folder);
  const token = await tokenOf(io, options, { folder, as });
  return { url, token };
}

async function urlOf(io: Io, options: ConnectionOptions, folder: DataFolder): Promise<string> {
  const given = options.url ?? nonEmpty(io.env['WRITEGATE_URL']);
  if (given !== undefined) {
    return readUrl(given);
  }
  const place = await readPlace(folder);
  if (place !== undefined) return place.url;
  throw new Problem(
    'gateway-unreachable',
    `no gateway runs on \`${folder.path}\`; start one with \`writegate up\`, or name another with --url or $WRITEGATE_URL`,
  );
}

/** Reads the gateway's address; what is wrong is not repeated where it may hold a password. */
function readUrl(text: string): string {
  const url = URL.parse(text);
  if (url === null) throw notUrl(text);
  const extra = [
    ...(url.username === '' && url.password === '' ? [] : ['a name or password']),
    ...(url.search === '' && url.hash === '' ? [] : ['a query or fragment']),
  ];
  if (extra.length > 0) {
    throw new UsageError(
      `expected a URL like \`http://127.0.0.1:8080\`, found one with ${extra.join(' and ')}; the token comes from $WRITEGATE_TOKEN or --token-file`,
    );
  }
  if (/^https?:$/.test(url.protocol)) return text;
  throw notUrl(text);
}

function notUrl(text: string): UsageError {
  return new UsageError(`expected a URL like \`http://127.0.0.1:8080\`, found \`${text}\``);
}

async function tokenOf(
  io: Io,
  options: ConnectionOptions,
  wanted: { readonly folder: DataFolder; readonly as: 'agent' | 'person' | 'either' },
): Promise<Secret> {
  const { folder, as } = wanted;
  if (options.tokenFile !== undefined) {
    const path = resolve(io.cwd, options.tokenFile);
    const token = await readToken(path);
    if (token !== undefined) return token;
    throw new Problem('credential-missing', `there is no token file \`${path}\``);
  }
  const given = nonEmpty(io.env['WRITEGATE_TOKEN']);
  if (given !== undefined) return ownToken(given, as);
  if (as !== 'agent') {
    const token = await readToken(folder.operatorToken);
    if (token !== undefined) return token;
  }
  throw new Problem(
    'credential-missing',
    as === 'agent'
      ? "expected an agent's token in $WRITEGATE_TOKEN or --token-file; the operator makes one with `writegate agent add NAME`"
      : `expected a token in $WRITEGATE_TOKEN or --token-file, or the operator's in \`${folder.operatorToken}\`; \`writegate init\` makes that`,
  );
}

function ownToken(text: string, as: 'agent' | 'person' | 'either'): Secret {
  if (as === 'person' && text.startsWith('wga_')) {
    throw new Problem(
      'credential-kind',
      "the token in $WRITEGATE_TOKEN is an agent's, and this takes a person; unset it to use the operator's token of the data folder",
    );
  }
  return new Secret(text);
}

/** Reads a proposal id from the command line. */
export function readProposalId(text: string): string {
  const id = proposalId(text);
  if (id === undefined) {
    throw new UsageError(
      `expected a proposal id like \`prop_01…\`, found \`${text}\`; \`writegate list\` shows those that are`,
    );
  }
  return id;
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === undefined || text === '' ? undefined : text;
}
