// `npm run simulate -- [--seeds N] [--seed S] …`: plays seeds, and says what was broken and what they met.
import { parseArgs } from 'node:util';
import { playAll, type Harvest } from './farm.ts';
import { MUST_REACH_KEYS, unreached } from './must-reach.ts';
import { commandOf, narrowed } from './narrow.ts';
import { simulate } from './run.ts';
import { NARROWED, type Narrowing } from './shape.ts';
import { knownSeeds } from './seeds.ts';
import { COLUMNS, leastReached, progress, summary } from './summary.ts';

const EXIT = { broken: 1, usage: 64 } as const;

const HELP = `npm run simulate -- [--seeds N] [--from S] [--json]
npm run simulate -- --seed S [--without a,b] [--operations N] [--json]

  --seeds N       so many seeds (300), from --from (1) on, on all cores; the known ones first
  --seed S        one seed, with what happened
  --without a,b   leaves out, of faults and operations: ${NARROWED.join(', ')}
  --operations N  all operations but N
  --json          the result as JSON

Exit codes: 0 all holds   1 something that must hold was broken, or, of many seeds, never came up   64 usage
`;

const asked = read();

interface Asked {
  /** One seed, or how many from which one on. */
  readonly seeds: { readonly seed: number } | { readonly from: number; readonly count: number };
  readonly narrowing: Narrowing;
  readonly isJson: boolean;
}

function read(): Asked {
  try {
    const { values } = parseArgs({
      options: {
        seed: { type: 'string' },
        seeds: { type: 'string' },
        from: { type: 'string' },
        without: { type: 'string', default: '' },
        operations: { type: 'string' },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
    if (values.help) {
      process.stdout.write(HELP);
      process.exit(0);
    }
    const { seed, seeds, from, operations } = values;
    if (seed !== undefined && (seeds ?? from) !== undefined) {
      throw new Error('expected --seed, or --seeds and --from, found both');
    }
    const without = values.without.split(',').filter((each) => each !== '');
    const unknown = without.find((each) => !NARROWED.includes(each));
    if (unknown !== undefined) throw new Error(`nothing is called \`${unknown}\` after --without`);
    const narrowing = {
      without,
      ...(operations === undefined ? {} : { operations: whole('operations', operations) }),
    };
    const many = { from: whole('from', from ?? '1'), count: whole('seeds', seeds ?? '300', 1) };
    return {
      seeds: seed === undefined ? many : { seed: whole('seed', seed) },
      narrowing,
      isJson: values.json,
    };
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    process.stderr.write(`simulate: ${why}; --help says what is expected\n`);
    process.exit(EXIT.usage);
  }
}

function whole(name: string, text: string, min = 0): number {
  const number = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(number) && number >= min) return number;
  throw new Error(`expected a whole number of at least ${min} after --${name}, found \`${text}\``);
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

if ('seed' in asked.seeds) await playOne(asked.seeds.seed);
else await playMany(asked.seeds);

async function playOne(seed: number): Promise<void> {
  const outcome = await simulate(seed, asked.narrowing);
  const { hash, steps, violation, trace } = outcome;
  const broken = violation === null ? null : trace.named(violation.message);
  if (asked.isJson) say(JSON.stringify({ seed, hash, steps, broken, trace: trace.readable() }));
  else {
    for (const line of trace.readable()) say(line);
    say(`seed ${seed}: ${steps} steps, ${broken ?? 'all holds'}; trace ${hash}`);
    if (violation?.cause instanceof Error) say(violation.cause.stack ?? '');
  }
  if (violation !== null) process.exitCode = EXIT.broken;
}

async function playMany(field: { readonly from: number; readonly count: number }): Promise<void> {
  const { narrowing } = asked;
  for (const seed of knownSeeds()) {
    const { violation } = await simulate(seed, narrowing);
    if (violation !== null) return tellBroken(seed, violation.message);
  }
  const startedAt = performance.now();
  const harvest = await playAll({ ...field, narrowing }, progress(field.count));
  if (harvest.found !== null) return tellBroken(harvest.found.seed, harvest.found.message);
  const missing = unreached(harvest.seeds, harvest.coverage);
  const seconds = (performance.now() - startedAt) / 1_000;
  tellAll(harvest, seconds, missing);
  if (missing.length > 0) process.exitCode = EXIT.broken;
}

function tellAll(harvest: Harvest, seconds: number, missing: readonly string[]): void {
  const { seeds, steps, coverage } = harvest;
  if (asked.isJson) {
    const counts = Object.fromEntries(
      [...coverage.counts].toSorted(([left], [right]) => (left < right ? -1 : 1)),
    );
    say(JSON.stringify({ seeds, steps, seconds, broken: null, missing, coverage: counts }));
    return;
  }
  const columns = process.stdout.isTTY ? process.stdout.columns : COLUMNS;
  for (const line of summary(coverage, columns)) say(line);
  for (const line of leastReached(MUST_REACH_KEYS, coverage, columns)) say(line);
  for (const key of missing) say(`never reached: ${key}`);
  const ending = missing.length === 0 ? 'all holds' : 'all holds, and something never came up';
  say(`${seeds} seeds, ${steps} steps, ${seconds.toFixed(1)} s: ${ending}`);
}

async function tellBroken(seed: number, message: string): Promise<void> {
  process.exitCode = EXIT.broken;
  const story = await narrowed(seed, asked.narrowing);
  const command = commandOf(seed, story?.narrowing ?? { without: [] });
  const broken = story?.outcome.violation?.message ?? message;
  const lines = story?.outcome.trace.readable() ?? [];
  if (asked.isJson) {
    say(JSON.stringify({ seed, broken, command, trace: lines }));
    return;
  }
  for (const line of lines) say(line);
  say(`seed ${seed}: ${story?.outcome.trace.named(broken) ?? broken}`);
  say(`again: ${command}`);
}
