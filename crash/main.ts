// `npm run crash -- [--rounds N] [--seed S] …`: gateways under a load, with whatever can befall them.
import { parseArgs } from 'node:util';
import { inert } from '../src/lib/terminal.ts';
import { FAULT_NAMES, type FaultName } from './faults/fault.ts';
import { FAULTS } from './faults/index.ts';
import type { RoundReport } from './round.ts';
import { runCrash, type Amount, type CrashOptions, type Failure } from './run.ts';
import { leftOut, possibleFaults } from './schedule.ts';
import { tableOf, tableText } from './table.ts';

const EXIT = { clean: 0, wrong: 1, usage: 64, broken: 70, stopped: 130 } as const;

const HELP = `npm run crash -- [--rounds N | --kills N] [--seed S] [--gateways 1|3]
                 [--store sqlite|postgres] [--only FAULT ...] [--lanes N] [--json]

N rounds (20), or as many as N kills take. A round kills up to eight times at random, and after every
tenth comes another fault; with --only those faults alone, in turn. What is chosen is chosen by the
seed; when it comes to pass is the machine's.

  --seed S        what is chosen (else by the clock); a failure says the command that plays it again
  --lanes N       how many installations at a time (2)
  --json          a line of JSON for each round, and one for all

${FAULT_NAMES.map((name) => `  ${name.padEnd(16)}${FAULTS[name].about}`).join('\n')}

Exit codes: 0 all was right   1 something was not   64 usage   70 it could not be tried   130 stopped
`;

const { asked: options, isJson } = read();
const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => stop.abort());
}
const reports: RoundReport[] = [];
const failures: Failure[] = [];
const startedAt = performance.now();
process.stderr.write(
  `crash: ${amountText(options.amount)}, seed ${options.seed}, ${options.gateways} gateway(s) on ${options.store}\n`,
);
for (const [name, why] of leftOut(options)) {
  process.stderr.write(`crash: ${name} is left out: ${why}\n`);
}
const progress = setInterval(() => say(false), process.stderr.isTTY ? 500 : 15_000);
try {
  await runCrash(
    options,
    {
      onRound: (report) => {
        reports.push(report);
        if (isJson) process.stdout.write(`${JSON.stringify(report)}\n`);
      },
      onFailure: (failure) => {
        failures.push(failure);
        process.stdout.write(isJson ? `${JSON.stringify(failure)}\n` : told(failure));
      },
    },
    stop.signal,
  );
  process.exitCode =
    failures.length > 0 ? EXIT.wrong : stop.signal.aborted ? EXIT.stopped : EXIT.clean;
} catch (error) {
  process.exitCode = failures.length > 0 ? EXIT.wrong : EXIT.broken;
  const cause = error instanceof Error ? (error.stack ?? error.message) : String(error);
  process.stderr.write(`crash: it could not go on: ${inert(cause)}\n`);
} finally {
  clearInterval(progress);
}
say(true);
const table = tableOf(reports);
const seconds = Math.round((performance.now() - startedAt) / 1000);
const summary = { ...options, seconds, kills: killed(), failures: failures.length, table };
process.stdout.write(isJson ? `${JSON.stringify(summary)}\n` : `\n${tableText(table)}`);

function say(isLast: boolean): void {
  const minutes = ((performance.now() - startedAt) / 60_000).toFixed(1);
  const line = `crash: ${reports.length} rounds, ${killed()} kills, ${failures.length} failures, ${minutes} min`;
  process.stderr.write(process.stderr.isTTY ? `\r${line}${isLast ? '\n' : ''}` : `${line}\n`);
}

function killed(): number {
  return reports.reduce((sum, report) => sum + report.kills, 0);
}

function amountText(amount: Amount): string {
  return 'rounds' in amount ? `${amount.rounds} rounds` : `${amount.kills} kills`;
}

function told({ fault, command, wrongs, folder }: Failure): string {
  const lines = wrongs.slice(0, 20).map(({ kind, about }) => `  ${kind}: ${inert(about)}\n`);
  const left = wrongs.length > 20 ? `  and ${wrongs.length - 20} more\n` : '';
  return `\nFAIL ${fault}\n${lines.join('')}${left}  again: ${command}\n  kept: ${folder}\n`;
}

function read(): { readonly asked: CrashOptions; readonly isJson: boolean } {
  try {
    const { values } = parseArgs({
      options: {
        rounds: { type: 'string' },
        kills: { type: 'string' },
        seed: { type: 'string', default: String(Date.now() % 1_000_000) },
        gateways: { type: 'string', default: '1' },
        store: { type: 'string', default: 'sqlite' },
        only: { type: 'string', multiple: true, default: [] },
        lanes: { type: 'string', default: '2' },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
    if (values.help) {
      process.stdout.write(HELP);
      process.exit(EXIT.clean);
    }
    const store = oneOf('--store', values.store, ['sqlite', 'postgres'] as const);
    const gateways = Number(oneOf('--gateways', values.gateways, ['1', '3'] as const));
    if (gateways > 1 && store === 'sqlite') {
      throw new Error('a store in a file is of one gateway: --gateways 3 takes --store postgres');
    }
    const possible = possibleFaults({ store, gateways });
    const only = values.only.map((name): FaultName => oneOf('--only', name, possible));
    const asked = {
      amount: amountOf(values, only),
      seed: wholeNumber('--seed', values.seed),
      lanes: wholeNumber('--lanes', values.lanes, 1),
      gateways,
      store,
      only,
    };
    return { asked, isJson: values.json };
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    process.stderr.write(`crash: ${inert(why)}; --help says what is expected\n`);
    process.exit(EXIT.usage);
  }
}

function amountOf(
  { rounds, kills }: { readonly rounds?: string; readonly kills?: string },
  only: readonly FaultName[],
): Amount {
  if (kills === undefined) return { rounds: wholeNumber('--rounds', rounds ?? '20', 1) };
  if (rounds !== undefined) throw new Error('expected --rounds or --kills, found both');
  if (only.length > 0 && !only.includes('kill') && !only.includes('kill-in-commit')) {
    throw new Error('--kills takes faults that kill gateways, found none of them after --only');
  }
  return { kills: wholeNumber('--kills', kills, 1) };
}

function oneOf<Name extends string>(option: string, given: string, names: readonly Name[]): Name {
  const found = names.find((name) => name === given);
  if (found !== undefined) return found;
  throw new Error(`expected one of ${names.join(', ')} after ${option}, found \`${given}\``);
}

function wholeNumber(option: string, given: string, min = 0): number {
  if (/^\d{1,9}$/.test(given) && Number(given) >= min) return Number(given);
  throw new Error(`expected a whole number of at least ${min} after ${option}, found \`${given}\``);
}
