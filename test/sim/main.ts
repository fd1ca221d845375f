// Plays seeds: `npm run simulate -- --seeds N [--from S] [--json]`, or one: `--seed S`.
//
// --seed S        one seed, with what happened
// --seeds N       this many, from --from (1) on, on all cores; the known ones first
// --without a,b   leaves kinds of faults and operations out; --operations N all operations but N
// --json          the result as JSON
//
// Ends with 1 where something that must hold was broken, or, of many seeds, something never came up.
import { parseArgs } from 'node:util';
import { playAll, type Harvest } from './farm.ts';
import { MUST_REACH_KEYS, unreached } from './must-reach.ts';
import { commandOf, narrowed } from './narrow.ts';
import { simulate } from './run.ts';
import type { Narrowing } from './shape.ts';
import { knownSeeds } from './seeds.ts';
import { COLUMNS, leastReached, progress, summary } from './summary.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    seeds: { type: 'string', default: '300' },
    from: { type: 'string', default: '1' },
    without: { type: 'string', default: '' },
    operations: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
});

function whole(name: string, text: string): number {
  const number = Number(text);
  if (Number.isSafeInteger(number) && number >= 0) return number;
  process.stderr.write(`expected a whole number after --${name}, found \`${text}\`\n`);
  process.exit(64);
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

if (values.seed === undefined) await playMany();
else await playOne(whole('seed', values.seed));

function narrowingGiven(): Narrowing {
  const { operations } = values;
  return {
    without: values.without.split(',').filter((each) => each !== ''),
    ...(operations === undefined ? {} : { operations: whole('operations', operations) }),
  };
}

async function playOne(seed: number): Promise<void> {
  const outcome = await simulate(seed, narrowingGiven());
  const { hash, steps, violation, trace } = outcome;
  const broken = violation === null ? null : trace.named(violation.message);
  if (values.json) say(JSON.stringify({ seed, hash, steps, broken, trace: trace.readable() }));
  else {
    for (const line of trace.readable()) say(line);
    say(`seed ${seed}: ${steps} steps, ${broken ?? 'all holds'}; trace ${hash}`);
    if (violation?.cause instanceof Error) say(violation.cause.stack ?? '');
  }
  if (violation !== null) process.exitCode = 1;
}

async function playMany(): Promise<void> {
  const [from, count] = [whole('from', values.from), whole('seeds', values.seeds)];
  const narrowing = narrowingGiven();
  for (const seed of knownSeeds()) {
    const { violation } = await simulate(seed, narrowing);
    if (violation !== null) return tellBroken(seed, violation.message);
  }
  const startedAt = performance.now();
  const harvest = await playAll({ from, count, narrowing }, progress(count));
  if (harvest.found !== null) return tellBroken(harvest.found.seed, harvest.found.message);
  const missing = unreached(harvest.seeds, harvest.coverage);
  const seconds = (performance.now() - startedAt) / 1_000;
  tellAll(harvest, seconds, missing);
  if (missing.length > 0) process.exitCode = 1;
}

function tellAll(harvest: Harvest, seconds: number, missing: readonly string[]): void {
  const { seeds, steps, coverage } = harvest;
  if (values.json) {
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
  process.exitCode = 1;
  const story = await narrowed(seed, narrowingGiven());
  const command = commandOf(seed, story?.narrowing ?? { without: [] });
  const broken = story?.outcome.violation?.message ?? message;
  const lines = story?.outcome.trace.readable() ?? [];
  if (values.json) {
    say(JSON.stringify({ seed, broken, command, trace: lines }));
    return;
  }
  for (const line of lines) say(line);
  say(`seed ${seed}: ${story?.outcome.trace.named(broken) ?? broken}`);
  say(`again: ${command}`);
}
