/** The published ledger, read only: what a verifier needs, and never the payloads beside it. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Problem } from '../../model/problem.ts';
import type { Route } from './route.ts';

/** The paths of C2SP tlog-tiles, and nothing else: no path from outside is ever resolved. */
const PUBLISHED =
  /^(?:checkpoint|tile\/(?:\d{1,2}|entries)\/(?:x\d{3}\/){0,5}\d{3}(?:\.p\/\d{1,3})?)$/;

export function ledgerRoutes(ledgerFolder: string | null): readonly Route[] {
  return [
    {
      method: 'GET',
      path: '/v1/ledger/{path}',
      rest: 'path',
      operationId: 'readLedger',
      summary: 'Files of the published ledger: `checkpoint`, `tile/…` (C2SP tlog-tiles)',
      access: 'person',
      query: null,
      body: null,
      status: 200,
      answer: 'application/octet-stream',
      take: ({ param }) => published(ledgerFolder, param('path')),
    },
  ];
}

async function published(folder: string | null, path: string): Promise<Buffer> {
  const absent = new Problem('route-unknown', 'the published ledger has no such file');
  if (folder === null || !PUBLISHED.test(path)) throw absent;
  try {
    return await readFile(join(folder, path));
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') throw absent;
    throw error;
  }
}
