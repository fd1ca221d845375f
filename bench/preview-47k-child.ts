// The gateway's side of `preview-47k`: a target with evidence files, in a process of its own.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openPostgresTarget } from '../src/connectors/postgres.ts';
import type { JsonObject } from '../src/lib/json.ts';
import { newProposalId } from '../src/model/ids.ts';
import { openEvidenceFiles } from '../src/store/evidence-files.ts';

const folder = await mkdtemp(join(tmpdir(), 'writegate-preview-'));
const evidence = await openEvidenceFiles({
  folder: join(folder, 'evidence'),
  keyPath: join(folder, 'evidence.key'),
  now: Date.now,
});
// What the parent made: one URL for each role.
const roles = JSON.parse(process.env['BENCH_ROLES'] ?? '{}') as JsonObject;
const target = await openPostgresTarget(
  'bench',
  { ...roles, statementTimeoutMs: 60_000 },
  () => undefined,
  { evidence },
);
let turn = 0;

async function plan(statement: string): Promise<void> {
  turn += 1;
  const from = process.cpuUsage();
  const answer = await target.plan(
    {
      proposalId: newProposalId(turn, new Uint8Array(10)),
      operation: 'sql',
      arguments: { statement },
      permits: () => true,
      compensated: null,
    },
    AbortSignal.timeout(60_000),
  );
  if (answer.kind === 'refused') throw new Error(`${answer.code}: ${answer.reason}`);
  const { user, system } = process.cpuUsage(from);
  const { counts, evidence: kept, effects } = answer.plan;
  const rows = counts.reduce((sum, count) => sum + count.updated, 0);
  const evidenceRows = kept?.rows ?? effects.length;
  process.send?.({ kind: 'planned', rows, evidenceRows, cpuMs: (user + system) / 1_000 });
  if (kept !== null) await evidence.remove(kept.id);
}

async function close(): Promise<void> {
  await target.close();
  await rm(folder, { recursive: true, force: true });
  process.disconnect();
}

process.on('message', (message: unknown) => {
  if (message === 'close') void close();
  // Kilobytes; the highest that it ever was.
  else if (message === 'peak') {
    process.send?.({ kind: 'peak', bytes: process.resourceUsage().maxRSS * 1_024 });
  } else if (typeof message === 'string') {
    plan(message).catch((error: unknown) => {
      process.stderr.write(`${String(error)}\n`);
      process.exit(1);
    });
  }
});
process.send?.({ kind: 'ready' });
