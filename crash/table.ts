import { FAULT_NAMES, type FaultName } from './faults/fault.ts';
import type { RoundReport } from './round.ts';

/** What the rounds of one fault came to. */
export interface TableRow {
  readonly fault: FaultName;
  readonly rounds: number;
  readonly strikes: number;
  readonly kills: number;
  readonly proposals: number;
  readonly effects: number;
  /** Calls of clients that came to nothing and were made again: none says that the fault did nothing. */
  readonly again: number;
  readonly doubled: number;
  readonly lost: number;
  readonly stuck: number;
  /** Budgets, ledger and answers that are not as they must be. */
  readonly other: number;
}

/** One row for each fault that there was a round of. */
export function tableOf(reports: readonly RoundReport[]): readonly TableRow[] {
  return FAULT_NAMES.flatMap((fault) => {
    const own = reports.filter(({ round }) => round.fault === fault);
    return own.length === 0 ? [] : [rowOf(fault, own)];
  });
}

function rowOf(fault: FaultName, reports: readonly RoundReport[]): TableRow {
  const sum = (count: (report: RoundReport) => number): number =>
    reports.reduce((total, report) => total + count(report), 0);
  const wrong = (...kinds: readonly string[]): number =>
    sum(({ wrongs }) => wrongs.filter(({ kind }) => kinds.includes(kind)).length);
  return {
    fault,
    rounds: reports.length,
    strikes: sum(({ strikes }) => strikes),
    kills: sum(({ kills }) => kills),
    proposals: sum(({ proposals }) => proposals),
    effects: sum(({ effects }) => effects),
    again: sum(({ again }) => again),
    doubled: wrong('doubled'),
    lost: wrong('lost'),
    stuck: wrong('stuck'),
    other: wrong('budget', 'ledger', 'answer'),
  };
}

const COLUMNS = [
  'rounds',
  'strikes',
  'kills',
  'proposals',
  'effects',
  'again',
  'doubled',
  'lost',
  'stuck',
  'other',
] as const;

/** The table as text, with a last row for all of them. */
export function tableText(rows: readonly TableRow[]): string {
  const width = Math.max(...FAULT_NAMES.map((name) => name.length));
  const cells = (name: string, values: readonly (string | number)[]): string =>
    `${name.padEnd(width)}${values.map((value) => String(value).padStart(10)).join('')}\n`;
  const total = COLUMNS.map((column) => rows.reduce((sum, row) => sum + row[column], 0));
  return [
    cells('fault', COLUMNS),
    ...rows.map((row) =>
      cells(
        row.fault,
        COLUMNS.map((column) => row[column]),
      ),
    ),
    cells('all', total),
  ].join('');
}
