import type { Command } from 'commander';
import { inertJson } from '../lib/terminal.ts';
import type { Gateway, GatewayOptions } from '../main.ts';
import { VERSION } from '../main/version.ts';
import { configurationPath, withConfiguration, type ConfigurationOption } from './configuration.ts';
import { folderOf } from './connect.ts';
import type { Io } from './io.ts';
import { field, nextCommands, whole, type Look } from './look.ts';
import {
  print,
  remark,
  UsageError,
  wholeNumber,
  withExample,
  withFolder,
  type FolderOptions,
  type Shell,
} from './shell.ts';
import { storeWish, withStore, type StoreOption } from './store-option.ts';

interface UpOptions extends FolderOptions, ConfigurationOption, StoreOption {
  readonly log: string;
  readonly host?: string;
  readonly port?: string;
  readonly name?: string;
  readonly shutdownDelay?: string;
}

/** `up`: runs the gateway until it is asked to stop. */
export function addUp(program: Command, shell: Shell): void {
  const command = withConfiguration(
    program
      .command('up')
      .description('run the gateway; reloads writegate.yaml when it changes, and on SIGHUP'),
  )
    .option('--host <address>', 'address to listen on; else `listen` of writegate.yaml')
    .option('--port <number>', 'port to listen on, 0 for any; else `listen` of writegate.yaml')
    .option('--name <name>', 'what the gateway is called beside others; else $WRITEGATE_GATEWAY')
    .option(
      '--shutdown-delay <seconds>',
      'how long calls are taken after SIGTERM while /v1/readyz says no; else $WRITEGATE_SHUTDOWN_DELAY, else 0',
    )
    .option('--log <form>', 'text, or json: one object a line, each ledger entry too', 'text');
  withExample(
    withFolder(withStore(command)),
    'writegate up',
    "writegate up --store '${env:STORE_URL}' --port 0 --json",
  ).action((options: UpOptions) => up(shell, options));
}

async function up({ io }: Shell, options: UpOptions): Promise<void> {
  const port =
    options.port === undefined
      ? undefined
      : wholeNumber('--port', options.port, { min: 0, max: 65_535 });
  const shutdownDelayMs = shutdownDelayOf(io, options);
  const signals = io.signals();
  try {
    // Loaded here: the other commands start in a fraction of the time without it.
    const { openGateway } = await import('../main.ts');
    const gateway = await openGateway({
      configPath: configurationPath(io, options),
      dataFolder: folderOf(io, options).path,
      ...(options.host !== undefined && { host: options.host }),
      ...(port !== undefined && { port }),
      ...storeWish(io, options),
      ...nameOf(io, options),
      shutdownDelayMs,
      ...logOf(io, options.log),
    });
    signals.onHangup(() => {
      gateway
        .reload()
        .catch((error: unknown) => remark(io, logLine('the file could not be read', error)));
    });
    announce(io, options, gateway);
    await aborted(signals.stop);
    // From here the next signal ends the process at once: whatever it leaves, a start takes up.
    signals.release();
    if (shutdownDelayMs > 0) {
      const seconds = shutdownDelayMs / 1_000;
      remark(io, `leaving: calls are taken for another ${seconds} s, /v1/readyz says no`);
    } else remark(io, 'stopping: finishing what is being carried out');
    await gateway.close();
    // What was not finished in time may hold the process, and nobody waits for it any more.
    signals.endWithin(ENDED_MS);
  } finally {
    signals.release();
  }
}

function nameOf(io: Io, options: UpOptions): { readonly name?: string } {
  const name = options.name ?? io.env['WRITEGATE_GATEWAY'];
  return name === undefined || name === '' ? {} : { name };
}

/** In ms; 0 where nothing stands before the gateway that would have to notice. */
function shutdownDelayOf(io: Io, { shutdownDelay }: UpOptions): number {
  const ofEnvironment = io.env['WRITEGATE_SHUTDOWN_DELAY'] || undefined;
  const said = shutdownDelay ?? ofEnvironment;
  if (said === undefined) return 0;
  const name = shutdownDelay === undefined ? 'WRITEGATE_SHUTDOWN_DELAY' : '--shutdown-delay';
  return wholeNumber(name, said, { min: 0, max: SHUTDOWN_DELAY_S_MAX }) * 1_000;
}

/** Longer than any load balancer takes to notice. */
const SHUTDOWN_DELAY_S_MAX = 600;

/** How long a process that has let go of everything may take to end. */
const ENDED_MS = 1_000;

/** Says once that the gateway answers, and where. */
function announce(io: Io, options: UpOptions, gateway: Gateway): void {
  const { folder, url, vkey, configuration, store } = gateway;
  const { policy } = configuration.current();
  const targets = gateway.targets();
  const warnings = warningsOf(gateway);
  const ready = {
    url,
    pid: process.pid,
    version: VERSION,
    mode: policy.mode,
    policyDigest: policy.digest,
    vkey,
    dataFolder: folder.path,
    store,
    gateways: gateway.gateways().map(({ id }) => id),
    operatorToken: folder.operatorToken,
    targets: targets.map(({ name, kind, problem }) => ({ name, kind, problem })),
    warnings,
  };
  print(io, options, ready, (look) => [
    `${look.paint.bold(`Writegate ${VERSION}`)} answers at ${look.paint.bold(url)}`,
    ...field(look, 'mode', policy.mode),
    ...whole(look, 'policy', policy.digest),
    ...(store.kind === 'sqlite' ? [] : storeLines(look, gateway)),
    ...field(look, 'targets', targets.map(named).join(', ') || 'none'),
    ...whole(look, 'ledger key', vkey),
    ...whole(look, 'your token', folder.operatorToken),
    ...warnings.flatMap((warning) => field(look, 'warning', warning, look.paint.yellow)),
    ...nextCommands(look, next(gateway)),
  ]);
}

function storeLines(look: Look, { store, gateways }: Gateway): readonly string[] {
  const names = gateways().map(({ id }) => id);
  return [
    ...field(look, 'store', `${store.kind} at ${store.where}`),
    ...field(look, 'gateways', names.join(', ')),
  ];
}

/** Why it cannot be used was said when it was found. */
function named({ name, problem }: { name: string; problem: string | null }): string {
  return problem === null ? name : `${name} (cannot be used now)`;
}

function next({ configuration }: Gateway): readonly string[] {
  const [agent] = configuration.current().policy.agents.keys();
  return [`writegate agent add ${agent ?? 'NAME'}`, 'writegate inbox'];
}

function warningsOf({ url, configuration, isStoppedByFile }: Gateway): readonly string[] {
  const held = configuration.problem();
  const warnings = held === null ? [] : [`writegate.yaml is not in force: ${held}`];
  if (isStoppedByFile()) {
    warnings.push('nothing is written: the file says `writes: { enabled: false }`');
  }
  if (process.getuid?.() === 0) {
    warnings.push('it runs as root; give it a user of its own that owns the data folder');
  }
  const { hostname } = new URL(url);
  if (hostname === 'localhost' || hostname === '[::1]' || hostname.startsWith('127.')) {
    warnings.push(
      'agents share this machine with it: run them as another user, or they can read its credentials',
    );
  }
  return warnings;
}

/** Where lines and events go: text for a person, or one JSON object a line for a collector. */
function logOf(io: Io, form: string): Pick<GatewayOptions, 'log' | 'onEvent'> {
  switch (form) {
    case 'text':
      return { log: (line, cause) => remark(io, logLine(line, cause)) };
    case 'json': {
      const write = (entry: object): void => io.stderr.write(`${inertJson(entry)}\n`);
      const time = (at: number): string => new Date(at).toISOString();
      return {
        log: (line, cause) => {
          const level =
            cause !== undefined ? 'error' : line.startsWith('warning') ? 'warn' : 'info';
          const error = cause instanceof Error ? { error: `${cause.name}: ${cause.message}` } : {};
          write({ time: time(io.now()), level, message: line, ...error });
        },
        onEvent: ({ type, at, ...members }) => {
          write({
            time: time(at),
            level: 'info',
            message: `entry ${type}`,
            event: type,
            ...members,
          });
        },
      };
    }
    default:
      throw new UsageError(`expected \`text\` or \`json\` after \`--log\`, found \`${form}\``);
  }
}

function logLine(line: string, cause: unknown): string {
  return cause instanceof Error ? `${line} (${cause.name}: ${cause.message})` : line;
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
