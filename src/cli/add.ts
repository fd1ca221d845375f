import type { Command } from 'commander';
import type { JsonObject } from '../lib/json.ts';
import { Secret } from '../lib/secret.ts';
import { inert } from '../lib/terminal.ts';
import { Problem } from '../model/problem.ts';
import { exists, prepareFolder, readText } from '../main/folder.ts';
import type { Setup, SetupOptions } from '../main/onboard.ts';
import { configurationPath, withConfiguration, type ConfigurationOption } from './configuration.ts';
import { folderOf } from './connect.ts';
import { EXIT } from './exit.ts';
import { counted, field, nextCommands, paragraph, whole, type Look } from './look.ts';
import { examinationLines, isShut } from './render-report.ts';
import {
  look,
  print,
  remark,
  UsageError,
  withExample,
  withFolder,
  type FolderOptions,
  type Shell,
} from './shell.ts';

interface AddOptions extends FolderOptions, ConfigurationOption {
  readonly name?: string;
  readonly prefix: string;
  readonly schemas?: string;
  readonly tables?: string;
  /** False by `--no-receipts`. */
  readonly receipts: string | false;
  readonly undo: boolean;
  readonly trackFunctions?: true;
  readonly revokePublic?: true;
  readonly rotate?: true;
  readonly print?: true;
  readonly yes?: true;
}

/** `add postgres`: roles, receipt table and configuration of a target, made where they are missing. */
export function addAdd(program: Command, shell: Shell): void {
  const add = program
    .command('add')
    .description('set up a target: its roles and its configuration');
  const command = withConfiguration(
    add
      .command('postgres')
      .description(
        'make the roles of a PostgreSQL target, or mend them; shows what it will do and asks',
      )
      .argument('<url>', 'URL of somebody who may make roles, or ${env:NAME}; it is not kept'),
  )
    .option('--name <target>', 'name of the target; else that of the database')
    .option(
      '--schemas <list>',
      'schemas to govern, with commas, besides those of the file; else public',
    )
    .option(
      '--tables <list>',
      'tables to govern, with commas, besides those of the file; else all of the schemas',
    )
    .option('--receipts <schema>', 'schema for the receipt table', 'writegate')
    .option('--no-receipts', 'make no table; a failover may then leave a write in doubt')
    .option('--no-undo', 'make no role that takes back with triggers off')
    .option('--track-functions', 'let the server note which functions a write ran')
    .option('--revoke-public', 'take CREATE and TEMPORARY from PUBLIC as well')
    .option('--prefix <word>', 'how the names of the roles begin', 'wg')
    .option('--rotate', 'give roles that are there new passwords')
    .option('--print', 'print the SQL for a DBA; change nothing in the database')
    .option('--yes', 'do not ask');
  withExample(
    withFolder(command),
    'writegate add postgres postgres://owner@db.example.org/crm',
    "writegate add postgres '${env:ADMIN_URL}' --name crm --tables customers,invoices --print",
  ).action((url: string, options: AddOptions) => addPostgres(shell, url, options));
}

async function addPostgres(shell: Shell, text: string, options: AddOptions): Promise<void> {
  const { io } = shell;
  const url = readUrl(text, io.env);
  const wish = await withConfigured(
    configurationPath(io, options),
    readWish(url, options),
    options,
  );
  const folder = folderOf(io, options);
  const { openSetup } = await import('../main/onboard.ts');
  const setup = await openSetup(url, folder, wish);
  try {
    if (options.print === true) {
      await prepareFolder(folder);
      await setup.saveCredentials();
      return await printSql(shell, setup, wish, options);
    }
    await carryOut(shell, setup, wish, options);
  } finally {
    await setup.close();
  }
}

async function carryOut(
  shell: Shell,
  setup: Setup,
  wish: SetupOptions,
  options: AddOptions,
): Promise<void> {
  const { io } = shell;
  if (!setup.canMakeRoles) {
    throw new Problem(
      'target-misconfigured',
      `\`${setup.admin}\` may not make roles; use --print and have a DBA run the SQL, or connect as a superuser or a role with CREATEROLE`,
    );
  }
  const path = configurationPath(io, options);
  const change = await configurationChange(path, setup, wish);
  if (options.json !== true) {
    io.stdout.write(`${planLines(setup, wish, change, look(io)).join('\n')}\n`);
  }
  if (options.yes !== true) {
    if (!io.isInteractive || options.json === true) {
      throw new UsageError('expected --yes, or a terminal to ask at; --print shows the SQL alone');
    }
    const answer = await io.ask('\nMake this? Type yes to go on: ');
    if (answer.trim() !== 'yes') {
      io.stdout.write('nothing was changed\n');
      shell.finish(EXIT.denied);
      return;
    }
  }
  await prepareFolder(folderOf(io, options));
  await setup.saveCredentials();
  await setup.carryOut();
  const { writeConfiguration } = await import('../main/onboard.ts');
  if (change.text !== null && change.shown.length > 0) {
    await writeConfiguration(path, change.text);
  }
  const examination = await setup.examine(change.settings, (variable) => io.env[variable]);
  const document = {
    ...documentOf(setup, wish),
    configuration: change.text === null ? null : path,
    examination,
  };
  print(io, options, document, (looked) => [
    '',
    ...(change.text === null
      ? [`${path} was not edited: paste what is above below \`targets:\``]
      : whole(looked, change.shown.length === 0 ? 'unchanged' : 'wrote', path)),
    ...examinationLines(examination, looked),
    ...nextCommands(looked, [`writegate doctor ${wish.target}`, 'writegate up']),
  ]);
  if (isShut(examination)) shell.finish(EXIT.problem);
}

interface ConfigurationChange {
  /** Null where the file is not there, or is not of a form that lines can be added to. */
  readonly text: string | null;
  /** Empty where nothing changes. */
  readonly shown: readonly string[];
  /** What the file then says of the target; null where it is not edited. */
  readonly settings: JsonObject | null;
  /** Whether the file has the target already. */
  readonly isThere: boolean;
}

/** What the file becomes, held against its own rules before anything is made. */
async function configurationChange(
  path: string,
  setup: Setup,
  wish: SetupOptions,
): Promise<ConfigurationChange> {
  const { targetBlock, withTarget } = await import('../main/target-entry.ts');
  const lines = targetBlock(wish.target, setup.settings).split('\n');
  const block = { text: null, shown: lines, settings: null, isThere: false };
  if (!(await exists(path))) return block;
  const text = (await readText(path, 'configuration-invalid')) ?? '';
  const edit = withTarget(text, wish.target, setup.settings);
  if (edit === null) return block;
  const { parseConfiguration } = await import('../policy/parse.ts');
  const { targets } = parseConfiguration(edit.text, path);
  const found = targets.find(({ name }) => name === wish.target);
  const isThere = parseConfiguration(text, path).targets.some(({ name }) => name === wish.target);
  return { ...edit, settings: found?.settings ?? null, isThere };
}

function planLines(
  setup: Setup,
  wish: SetupOptions,
  change: ConfigurationChange,
  looked: Look,
): readonly string[] {
  const { plan, names } = setup;
  const made = plan.kinds.map((kind) => {
    const state = !setup.present.includes(kind) ? 'new' : wish.rotates ? 'new password' : 'kept';
    return `${names[kind]} (${kind}, ${state})`;
  });
  return [
    `Target ${looked.paint.bold(inert(wish.target))} in the database ${inert(setup.database)}, as ${inert(setup.admin)}:`,
    ...field(looked, 'roles', made.join(', ')),
    ...field(
      looked,
      'tables',
      `${counted(setup.tables.length, 'table')}: ${setup.tables.join(', ')}`,
    ),
    ...field(
      looked,
      'receipts',
      wish.receipts === null
        ? 'none: the transaction id tells whether a write was applied, which a failover can lose'
        : `the table ${wish.receipts}.receipts, one row for each applied write`,
    ),
    ...plan.lost.flatMap((each) => field(looked, 'not granted', each, looked.paint.yellow)),
    ...plan.optional.flatMap((each) => field(looked, 'left to you', each)),
    '',
    looked.paint.dim('SQL, in one transaction:'),
    ...plan.statements.flatMap((each) => paragraph(looked, shortened(each), { indent: '  ' })),
    '',
    looked.paint.dim(
      change.text === null ? 'For writegate.yaml, below `targets:`' : 'In writegate.yaml:',
    ),
    ...(change.shown.length === 0 ? ['  nothing changes'] : []),
    ...change.shown.map((line) => `  ${inert(line)}`),
  ];
}

const STATEMENT_SHOWN_MAX = 320;

/** A verifier is no password, and no reading either; long lists of tables stand above already. */
function shortened(statement: string): string {
  const text = statement.replace(/'SCRAM-SHA-256\$[^']*'/, "'SCRAM-SHA-256$…'");
  if (text.length <= STATEMENT_SHOWN_MAX) return `${text};`;
  const cut = STATEMENT_SHOWN_MAX * 0.75;
  const left = text.length - STATEMENT_SHOWN_MAX;
  const end = text.slice(cut - STATEMENT_SHOWN_MAX);
  return `${text.slice(0, cut)} … ${left} more characters, which --print shows … ${end};`;
}

async function printSql(
  { io }: Shell,
  setup: Setup,
  wish: SetupOptions,
  options: AddOptions,
): Promise<void> {
  const { targetBlock } = await import('../main/target-entry.ts');
  const block = targetBlock(wish.target, setup.settings);
  const { statements, optional, lost } = setup.plan;
  const sql = [
    `-- Roles of the Writegate target ${oneLine(wish.target)}, for the database ${oneLine(setup.database)}.`,
    '-- Passwords are not in it, only what the server keeps to check them.',
    'BEGIN;',
    ...statements.map((statement) => `${statement};`),
    'COMMIT;',
    ...(optional.length === 0 ? [] : ['-- Of use, and yours to decide:']),
    ...optional.map((statement) => `-- ${oneLine(statement)};`),
    ...lost.map((text) => `-- ${oneLine(text)}`),
  ].join('\n');
  if (options.json === true) {
    print(io, options, { ...documentOf(setup, wish), sql, block }, () => []);
    return;
  }
  io.stdout.write(`${sql}\n`);
  remark(
    io,
    'nothing was changed in the database; the credentials of the roles are in the data folder',
  );
  const change = await configurationChange(configurationPath(io, options), setup, wish);
  if (change.isThere && change.shown.length === 0)
    return remark(io, 'writegate.yaml stays as it is');
  remark(
    io,
    change.isThere
      ? `once the SQL was run, change the target \`${wish.target}\` in writegate.yaml:`
      : 'once the SQL was run, put this below `targets:` in writegate.yaml:',
  );
  const lines = change.isThere ? change.shown : block.split('\n');
  for (const line of lines) io.stderr.write(`${inert(line)}\n`);
}

function oneLine(text: string): string {
  return inert(text.replaceAll(/\s+/g, ' '));
}

function documentOf(setup: Setup, wish: SetupOptions) {
  const { names, plan, present, tables, settings } = setup;
  const roles = plan.kinds.map((kind) => ({
    kind,
    name: names[kind],
    wasThere: present.includes(kind),
  }));
  return {
    target: wish.target,
    database: setup.database,
    roles,
    tables,
    settings: Object.fromEntries(settings),
    lost: plan.lost,
    optional: plan.optional,
  };
}

/** The URL itself, or the variable that holds it, so that it need not stand in a shell's history. */
function readUrl(text: string, environment: Readonly<Record<string, string | undefined>>): Secret {
  const variable = /^\$\{env:([^}]+)\}$/.exec(text)?.[1];
  const found = variable === undefined ? text : environment[variable];
  if (variable !== undefined && (found === undefined || found === '')) {
    throw new UsageError(
      `the environment variable \`${variable}\` is not set; set it to a URL like ` +
        '`postgres://owner@db.example.org/crm`',
    );
  }
  const url = URL.parse(found ?? '');
  if (url === null || !/^postgres(?:ql)?:$/.test(url.protocol) || url.hostname === '') {
    throw new UsageError(
      'expected a URL like `postgres://owner@db.example.org/crm`, or `${env:NAME}` with one in it',
    );
  }
  return new Secret(url.href);
}

/** A target that the file has already is governed as it says there, and the options add to that. */
async function withConfigured(
  path: string,
  wish: SetupOptions,
  options: AddOptions,
): Promise<SetupOptions> {
  if (!(await exists(path))) return wish;
  const { loadConfiguration } = await import('../main/configuration.ts');
  const { governedOf } = await import('../main/onboard.ts');
  const { targets } = await loadConfiguration(path);
  const found = targets.find(({ name, kind }) => name === wish.target && kind === 'postgres');
  if (found === undefined) return wish;
  const given = {
    ...(options.schemas !== undefined && { schemas: wish.schemas }),
    ...(options.tables !== undefined && { tables: wish.tables }),
  };
  return { ...wish, ...governedOf(found.name, found.settings, given) };
}

const WORD = /^[a-z_][a-z0-9_]{0,30}$/;

function readWish(url: Secret, options: AddOptions): SetupOptions {
  const database = decodeURIComponent(new URL(url.reveal()).pathname.slice(1));
  const target = options.name ?? database.replaceAll(/[^A-Za-z0-9._-]/g, '-');
  if (!/^[A-Za-z0-9][A-Za-z0-9._@+-]{0,40}$/.test(target)) {
    throw new UsageError('expected a name of letters, digits and `. _ -` after `--name`');
  }
  if (!WORD.test(options.prefix)) {
    throw new UsageError(
      `expected a plain lower-case word after \`--prefix\`, found \`${options.prefix}\``,
    );
  }
  if (options.receipts !== false && !WORD.test(options.receipts)) {
    throw new UsageError(
      `expected a plain lower-case schema name after \`--receipts\`, found \`${options.receipts}\``,
    );
  }
  return {
    target,
    prefix: options.prefix,
    schemas: options.schemas === undefined ? ['public'] : listOf('--schemas', options.schemas),
    tables: options.tables === undefined ? undefined : listOf('--tables', options.tables),
    receipts: options.receipts === false ? null : options.receipts,
    hasUndo: options.undo,
    hasTrackFunctions: options.trackFunctions === true,
    isPublicRevoked: options.revokePublic === true,
    rotates: options.rotate === true,
  };
}

function listOf(option: string, text: string): readonly string[] {
  const names = text.split(',').map((name) => name.trim());
  if (names.every((name) => name !== '')) return names;
  throw new UsageError(`expected names with commas between after \`${option}\`, found \`${text}\``);
}
