import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const CHILD = fileURLToPath(new URL('verify-child.ts', import.meta.url));

export interface Verified {
  readonly ms: number;
  readonly entries: number;
  readonly peakMb: number;
}

/** Verifies a published log in a process of its own, by the key in its folder; throws where it does not hold. */
export async function verified(folder: string): Promise<Verified> {
  const child = spawn(process.execPath, ['--no-warnings', CHILD, folder], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const said: Buffer[] = [];
  child.stdout.on('data', (bytes: Buffer) => said.push(bytes));
  await once(child, 'close');
  const parsed: unknown = JSON.parse(Buffer.concat(said).toString() || 'null');
  if (isVerified(parsed)) return parsed;
  throw new Error(`the log does not verify: ${JSON.stringify(parsed)}`);
}

function isVerified(value: unknown): value is Verified {
  return typeof value === 'object' && value !== null && 'ok' in value && value.ok === true;
}
