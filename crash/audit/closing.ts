/** The end of an installation: its gateways end in order, and the product's own command has its say. */
import { execFile } from 'node:child_process';
import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CHILD } from '../gateway.ts';
import type { Installation } from '../installation.ts';
import type { Wrong } from './audit.ts';

/** What is wrong with what an installation leaves; it stands still after it. */
export async function closingWrongs(installation: Installation): Promise<readonly Wrong[]> {
  const wrongs: Wrong[] = [];
  for (const gateway of installation.gateways) {
    const code = await gateway.stop();
    if (code !== 0) {
      wrongs.push({ kind: 'stuck', about: `gateway ${gateway.number} ended with code ${code}` });
    }
  }
  for (const data of installation.data) {
    wrongs.push(...(await verified(installation, `the log in ${data}`, ['--dir', data])));
  }
  return [...wrongs, ...(await copiesVerified(installation))];
}

/** A copy of the published log is as good as it, and one with another byte in it is not. */
async function copiesVerified(installation: Installation): Promise<readonly Wrong[]> {
  const [log = ''] = installation.logs;
  const copy = join(installation.folder, 'copy');
  await cp(log, copy, { recursive: true });
  const command = [copy, '--vkey', join(log, 'vkey')];
  const wrongs = await verified(installation, 'a copy of the log', command);
  if (wrongs.length > 0) return wrongs;
  await damage(join(copy, 'checkpoint'));
  const damaged = await verify(installation, command);
  if (damaged.code !== 0) return [];
  return [{ kind: 'ledger', about: 'a copy of the log was verified though a byte is another' }];
}

/** Another digit in the root that was signed. */
async function damage(checkpoint: string): Promise<void> {
  const [origin, size, root = '', ...rest] = (await readFile(checkpoint, 'utf8')).split('\n');
  const other = `${root.startsWith('A') ? 'B' : 'A'}${root.slice(1)}`;
  await writeFile(checkpoint, [origin, size, other, ...rest].join('\n'));
}

async function verified(
  installation: Installation,
  what: string,
  command: readonly string[],
): Promise<readonly Wrong[]> {
  const { code, said } = await verify(installation, command);
  if (code === 0) return [];
  const about = `writegate ledger verify of ${what} ended with code ${code}: ${said.slice(-600)}`;
  return [{ kind: 'ledger', about }];
}

/** `writegate ledger verify`, as anybody would run it. */
function verify(
  { lane }: Installation,
  command: readonly string[],
): Promise<{ readonly code: number | null; readonly said: string }> {
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      [CHILD, 'ledger', 'verify', '--json', ...command],
      { env: { PATH: process.env['PATH'] ?? '', NODE_COMPILE_CACHE: lane.cache } },
      (_error, stdout, stderr) => resolve({ code: child.exitCode, said: `${stdout}${stderr}` }),
    );
  });
}
