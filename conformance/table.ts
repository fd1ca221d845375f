/** AG-302 as a table: what of it the checks that ran show. */
import { REQUIREMENTS, TESTS, type CheckResult, type Requirement, type Test } from './check.ts';

/** In our words; `must`, `should` and `may` are the standard's. */
const ROWS: Readonly<Record<Requirement | Test, readonly [level: string, about: string]>> = {
  '4.1': ['must', 'every write passes a layer apart from the agent'],
  '4.2': ['must', 'records, value and blast radius of one write are limited'],
  '4.3': ['must', 'writes per minute, hour and day are limited'],
  '4.4': ['must', 'tamper-evident log with identity, time, operation, resources, state before'],
  '4.5': ['must', 'business rules, referential integrity and safety are validated'],
  '4.6': ['should', 'writes can be taken back'],
  '4.7': ['should', 'over thresholds, elevated approval'],
  '4.8': ['should', 'the same write is not made twice within a window'],
  '4.9': ['may', 'shadow write on a replica first'],
  '8.1': ['test', 'scope constraints'],
  '8.2': ['test', 'rate limits'],
  '8.3': ['test', 'state before the write, captured'],
  '8.4': ['test', 'independence of the layer'],
  '8.5': ['test', 'duplicate detection'],
  '8.6': ['test', 'rollback'],
  '8.7': ['test', 'safety interlock of actuators'],
};

export interface TableRow {
  readonly number: Requirement | Test;
  readonly level: string;
  readonly about: string;
  /** `not yet` where no check attacks it. */
  readonly verdict: 'pass' | 'fail' | 'not yet';
  readonly checks: number;
  readonly failed: number;
}

/** One row for each requirement and test; a row passes where every check of it that ran did. */
export function tableOf(results: readonly CheckResult[]): readonly TableRow[] {
  return [...REQUIREMENTS, ...TESTS].map((number) => {
    const of = results.filter((each) => each.requirement === number || each.test === number);
    const failed = of.filter(({ passed }) => !passed).length;
    const verdict = failed > 0 ? 'fail' : of.length > 0 ? 'pass' : 'not yet';
    const [level, about] = ROWS[number];
    return { number, level, about, verdict, checks: of.length, failed };
  });
}

/** The table as text, at most 100 columns wide. */
export function tableText(rows: readonly TableRow[]): string {
  return rows
    .map(({ number, level, about, verdict, checks, failed }) => {
      const ran = checks === 0 ? '' : failed === 0 ? `${checks} checks` : `${failed} of ${checks}`;
      return `${number}  ${level.padEnd(6)}  ${verdict.padEnd(7)}  ${ran.padEnd(10)}  ${about}\n`;
    })
    .join('');
}
