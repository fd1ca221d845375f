// Verifies the published log in the folder that is named, and says what that took.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { folderReader } from '../src/ledger/folder.ts';
import { verifyLedger } from '../src/ledger/verify.ts';

const [folder = '.'] = process.argv.slice(2);
const vkey = await readFile(join(folder, 'vkey'), 'utf8');
const from = performance.now();
const { ok, entries, findings } = await verifyLedger({ reader: folderReader(folder), vkey });
process.stdout.write(
  JSON.stringify({
    ok,
    entries,
    ms: performance.now() - from,
    peakMb: process.resourceUsage().maxRSS / 1_024,
    findings: findings.slice(0, 3),
  }),
);
