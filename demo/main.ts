// The main job on a real database, told as stories. `npm run demo -- --help` lists the options.
import { createInterface } from 'node:readline/promises';
import { parseArgs } from 'node:util';
import type { Client } from '../src/client/index.ts';
import type { Result } from '../src/model/result.ts';
import { openPrinter, type Printer } from './print.ts';
import { STORIES } from './stories/index.ts';
import { openWorld, type World } from './world.ts';

const HELP = `npm run demo -- [--auto] [--json] [--keep DIR] [--port N]

  --auto      decide by itself with a scripted approver and end; exits 0 only if every
              story ended as it must
  --json      print one JSON document on standard output and nothing else (implies --auto)
  --keep DIR  leave store, ledger, configuration and key in DIR
  --port N    where the gateway listens on 127.0.0.1 (default 7878; 0 with --auto: any)

Without --auto you approve at the terminal, and the gateway keeps running afterwards.
`;

interface Told {
  readonly name: string;
  readonly expected: string;
  readonly actual: string;
  readonly ms: number;
}

function readOptions() {
  const { values } = parseArgs({
    options: {
      auto: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      keep: { type: 'string' },
      port: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  const isAuto = values.auto || values.json;
  const port = values.port === undefined ? (isAuto ? 0 : 7878) : Number(values.port);
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new Error(`expected a port from 0 to 65535 after \`--port\`, found \`${values.port}\``);
  }
  return { ...values, isAuto, port };
}

async function main(): Promise<number> {
  const options = readOptions();
  if (options.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const printer: Printer = openPrinter(
    (text) => process.stdout.write(text),
    options.json,
    (id) => world.olga.view(id),
  );
  const world: World = await openWorld({
    keep: options.keep ?? null,
    port: options.port,
    progress: (line) => process.stderr.write(`demo: ${line}\n`),
    decide: options.isAuto || !process.stdin.isTTY ? approveByScript : approveAtTerminal(printer),
  });
  const ending = new AbortController();
  const ended = endOf(world, ending);
  try {
    const told = await tellAll(world, printer, ending.signal);
    const ledger = await world.verifyLedger(world.ledgerFolder);
    const isRight = told.every((story) => story.actual === story.expected) && ledger.ok;
    const document = {
      stories: told,
      ledger: { entries: ledger.size, verified: ledger.ok },
      ok: isRight,
    };
    if (options.json) process.stdout.write(`${JSON.stringify(document, null, 2)}\n`);
    printer.line();
    printer.line(
      isRight
        ? printer.paint('green', `all ${told.length} stories ended as they must`)
        : printer.paint('red', 'a story did not end as it must'),
    );
    if (options.keep !== undefined) printer.line(`everything is left in ${options.keep}`);
    if (!options.isAuto) {
      printNext(printer, world);
      await ended;
    }
    return isRight ? 0 : 1;
  } finally {
    await world.close();
  }
}

async function tellAll(world: World, printer: Printer, ending: AbortSignal): Promise<Told[]> {
  const told: Told[] = [];
  for (const [position, story] of STORIES.entries()) {
    printer.heading(position + 1, story);
    const from = performance.now();
    const actual = await story
      .play(world, printer.telling)
      .catch(
        (error: unknown) => `did not end: ${error instanceof Error ? error.message : 'unknown'}`,
      );
    const ms = Math.round(performance.now() - from);
    // The world was taken down under the story: how it ended says nothing.
    if (ending.aborted) return new Promise(() => {});
    printer.ending(story, actual, ms);
    told.push({ name: story.name, expected: story.expected, actual, ms });
  }
  return told;
}

/** Resolves when the person at the terminal, or the system, ends the demo. */
function endOf(world: World, ending: AbortController): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.once(signal, () => {
        ending.abort();
        resolve();
        // In the middle of a story there is nobody to wait for: take the world down and go.
        void world.close().then(() => process.exit(130));
      });
    }
  });
}

function approveByScript(approver: Client, id: string, planDigest: string): Promise<Result> {
  return approver.approve(id, { planDigest, verdict: 'approve', reason: 'scripted approver' });
}

function approveAtTerminal(printer: Printer) {
  return async (approver: Client, id: string, planDigest: string): Promise<Result> => {
    const view = await approver.view(id);
    printer.line();
    printer.line(`  ${printer.paint('bold', 'You are alice, of finance.')} ${view.headline ?? ''}`);
    for (const effect of view.assessment?.plan.effects ?? []) {
      const changed = Object.keys(effect.after ?? {})
        .filter((column) => effect.before?.[column] !== effect.after?.[column])
        .map((column) => `${column} ${effect.before?.[column]} → ${effect.after?.[column]}`);
      printer.line(`    ${effect.resource} ${effect.key.join(', ')}: ${changed.join(', ')}`);
    }
    const terminal = createInterface({ input: process.stdin, output: process.stdout });
    const reply = await terminal.question('  Approve exactly this? [Y/n] ');
    terminal.close();
    const verdict = reply.trim().toLowerCase().startsWith('n') ? 'deny' : 'approve';
    return approver.approve(id, { planDigest, verdict, reason: 'decided at the terminal' });
  };
}

function printNext(printer: Printer, world: World): void {
  const print = (text: string): void => printer.line(`  ${text}`);
  printer.line();
  printer.line(`The gateway keeps running at ${world.url}; Ctrl-C ends it. In another terminal:`);
  printer.line();
  print(`export WRITEGATE_URL=${world.url}`);
  print(`export WRITEGATE_TOKEN=${world.tokens.crm}   # you are crm-agent`);
  print(
    `npx writegate propose --target shop --sql "UPDATE accounts SET balance = balance + 3000 WHERE tier = 'gold'"`,
  );
  printer.line();
  print(`export WRITEGATE_TOKEN=${world.tokens.alice}   # you are alice, of finance`);
  print('npx writegate inbox');
  print('npx writegate show prop_…       # then: approve prop_…, rollback prop_…');
  printer.line();
  print(`npx writegate ledger verify ${world.ledgerFolder}`);
  print(`psql '${world.databaseUrl}'     # the database itself`);
}

process.exitCode = await main().catch((error: unknown) => {
  process.stderr.write(`demo: ${error instanceof Error ? error.message : 'it did not start'}\n`);
  return 1;
});
// Clients keep sockets for reuse; nothing of the demo is left that they could wait for.
process.exit();
