// `npm run bench -- [--json | --table] [NAME ...]`: ratios beside a named peer, in one interleaved run.
import { parseArgs } from 'node:util';
import { anomaly, anomalySentence, type AnomalyRow } from './anomaly.ts';
import { budget } from './budget.ts';
import { decision } from './decision.ts';
import { governedWrite } from './governed-write.ts';
import type { BenchRow } from './measure.ts';
import { preview47k } from './preview-47k.ts';
import { scale as scaleOut, scaleCells, scaleSentence, type ScaleRow } from './scale.ts';
import { size, sizeCells, sizeSentence, type SizeRow } from './size.ts';
import { store } from './store.ts';
import { tableOf, type Cells } from './table.ts';
import { undo } from './undo.ts';

type Row = BenchRow | AnomalyRow | ScaleRow | SizeRow;
type Bench = (progress: (line: string) => void) => Promise<readonly Row[]>;

const BENCHES: ReadonlyMap<string, Bench> = new Map<string, Bench>([
  ['anomaly', anomaly],
  ['budget', budget],
  ['decision', decision],
  ['governed-write', governedWrite],
  ['preview-47k', preview47k],
  ['scale', scaleOut],
  ['size', size],
  ['store', store],
  ['undo', undo],
]);

const { values, positionals } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    table: { type: 'boolean', default: false },
  },
  allowPositionals: true,
});
const names = positionals.length > 0 ? positionals : [...BENCHES.keys()];
const unknown = names.find((name) => !BENCHES.has(name));
if (unknown !== undefined) {
  const known = [...BENCHES.keys()].join('`, `');
  process.stderr.write(`bench: expected one of \`${known}\`, found \`${unknown}\`\n`);
  process.exit(64);
}
for (const name of names) {
  const rows = await BENCHES.get(name)?.((line) => process.stderr.write(`bench: ${line}\n`));
  if (values.table) process.stdout.write(tableOf((rows ?? []).map(cells)));
  else {
    for (const row of rows ?? []) {
      process.stdout.write(values.json ? `${JSON.stringify(row)}\n` : `${sentence(row)}\n`);
    }
  }
}
process.exit();

function cells(row: Row): Cells {
  if ('sensitivity' in row) return { said: anomalySentence(row) };
  if ('gateways' in row) return scaleCells(row);
  if ('small' in row) return sizeCells(row);
  const { subject, peer, p50Ms, p99Ms, perSecond, peerPerSecond, ratioThroughput } = row;
  return {
    measured: subject,
    with: scale(row),
    'p50, ms': p50Ms,
    'p99, ms': p99Ms,
    '/s': perSecond,
    beside: peer,
    'its /s': peerPerSecond,
    ratio: ratioThroughput,
  };
}

function sentence(row: Row): string {
  if ('sensitivity' in row) return anomalySentence(row);
  if ('gateways' in row) return scaleSentence(row);
  if ('small' in row) return sizeSentence(row);
  const range = row.ratioRange === undefined ? '' : ` [${row.ratioRange.join(' to ')}]`;
  const peak = row.peakResidentMb === undefined ? '' : `, peak ${row.peakResidentMb} MB resident`;
  return [
    `${row.bench}, ${scale(row)}: ${row.subject}`,
    `p50 ${row.p50Ms} ms (${row.ratioP50} ×${range} ${row.peer}), p99 ${row.p99Ms} ms,`,
    `${row.perSecond}/s (${row.ratioThroughput} × the peer), ${row.n} operations${peak}`,
  ].join(' ');
}

function scale({ rules, clients }: BenchRow): string {
  if (rules !== undefined) return `${rules} rules`;
  return `${clients} ${clients === 1 ? 'client' : 'clients'}`;
}
