import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Story } from '../story.ts';

/** The ledger verifies on its own; a copy with one byte changed does not. */
export const tamper: Story = {
  name: 'ledger-verifies',
  title: 'The ledger verifies without the gateway; a copy with one byte changed does not',
  expected: 'ledger verified, copy with one changed byte not verified',
  async play(world, tell) {
    tell.asked('auditor', 'writegate ledger verify');
    const report = await world.verifyLedger(world.ledgerFolder);
    tell.noted(`${report.size} entries, ${report.findings.length} findings`);

    const copy = join(world.folder, 'ledger-copy');
    await cp(world.ledgerFolder, copy, { recursive: true });
    const bundle = join(copy, 'tile', 'entries', `000.p`, String(report.size % 256));
    const bytes = await readFile(bundle);
    const middle = Math.floor(bytes.length / 2);
    bytes[middle] = (bytes[middle] ?? 0) ^ 1;
    await writeFile(bundle, bytes);
    tell.asked(
      'auditor',
      `writegate ledger verify, on a copy with one bit of byte ${middle} flipped`,
    );
    const forged = await world.verifyLedger(copy);
    for (const finding of forged.findings.slice(0, 2))
      tell.noted(`${finding.code}: ${finding.message}`);
    const verdict = (ok: boolean): string => (ok ? 'verified' : 'not verified');
    return `ledger ${verdict(report.ok)}, copy with one changed byte ${verdict(forged.ok)}`;
  },
};
