import { stat, writeFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { dirname, join } from 'node:path';
import type { Command } from 'commander';
import { Problem } from '../model/problem.ts';
import type { Pack } from './init/pack.ts';
import { exists, prepareFolder, writePrivate, type DataFolder } from '../main/folder.ts';
import { configurationPath, withConfiguration, type ConfigurationOption } from './configuration.ts';
import { folderOf } from './connect.ts';
import { PACKS } from './init/packs.ts';
import { PROFILES } from './init/profile.ts';
import { nextCommands, whole } from './look.ts';
import {
  print,
  UsageError,
  withExample,
  withFolder,
  type FolderOptions,
  type Shell,
} from './shell.ts';
import { CASES_FILE } from './policy-test.ts';
import { storeWish, withStore, type StoreOption } from './store-option.ts';
import { casesTemplate, configurationTemplate, type TemplateOptions } from './template.ts';

interface InitOptions extends FolderOptions, ConfigurationOption, StoreOption {
  readonly targetUrl?: string;
  readonly person?: string;
  readonly profile?: string;
  readonly pack?: string;
}

const AGENT = 'crm-bot';

/** `init`: what a gateway needs, made where it is missing; nothing is overwritten. */
export function addInit(program: Command, shell: Shell): void {
  const command = withConfiguration(
    program
      .command('init')
      .description('write a commented writegate.yaml, the data folder, its keys and your token'),
  )
    .option('--profile <name>', `how tight: ${namesOf(PROFILES)}; else the first`)
    .option('--pack <kind>', `lines for a kind of target: ${kindsOf()}; else the first`)
    .option('--target-url <url>', 'URL of the target; else from the environment when it runs')
    .option('--person <name>', 'your name in writegate.yaml; else that of your account');
  withExample(
    withFolder(withStore(command)),
    'writegate init',
    'writegate init --profile observe-first --pack postgres',
    'writegate init --target-url postgres://wg_writer:…@db.example.org/crm',
  ).action((options: InitOptions) => init(shell, options));
}

async function init({ io }: Shell, options: InitOptions): Promise<void> {
  const path = configurationPath(io, options);
  const folder = folderOf(io, options);
  const person = options.person === undefined ? accountName() : readName(options.person);
  const profile = chosen('--profile', options.profile, PROFILES, ({ name }) => name);
  const pack = chosen('--pack', options.pack, PACKS, ({ kind }) => kind);
  const isWritten = !(await exists(path));
  if (isWritten) await checkPlace(path);
  await prepareFolder(folder);
  if (isWritten) {
    const urlReference = await urlReferenceOf(folder, pack, options.targetUrl);
    await writeTexts(path, { person, agent: AGENT, urlReference, profile, pack });
  }
  const { prepareGateway } = await import('../main/host.ts');
  const { vkey } = await prepareGateway({
    configPath: path,
    dataFolder: folder.path,
    ...storeWish(io, options),
  });
  const made = {
    configuration: path,
    isWritten,
    profile: isWritten ? profile.name : null,
    dataFolder: folder.path,
    vkey,
  };
  const needsUrl = isWritten && options.targetUrl === undefined;
  print(io, options, { ...made, operatorToken: folder.operatorToken }, (look) => [
    ...whole(look, isWritten ? 'wrote' : 'kept', path),
    ...whole(look, 'data folder', folder.path),
    ...whole(look, 'your token', folder.operatorToken),
    ...whole(look, 'ledger key', vkey),
    ...nextCommands(look, [
      ...(needsUrl ? [`export ${pack.urlVariable}=${pack.urlExample}`] : []),
      'writegate up',
      ...(isWritten ? [`writegate policy explain ${AGENT}`, 'writegate policy test'] : []),
    ]),
  ]);
}

/** The URL holds a password: it goes into a file of its own, and the configuration names that. */
async function urlReferenceOf(
  folder: DataFolder,
  { target, urlVariable }: Pack,
  url: string | undefined,
): Promise<string> {
  if (url === undefined) return `\${env:${urlVariable}}`;
  const file = join(folder.path, `${target}.url`);
  await writePrivate(file, `${url}\n`);
  return `\${file:${file}}`;
}

/** Writes the configuration, and the cases beside it unless there are some already. */
async function writeTexts(path: string, options: TemplateOptions): Promise<void> {
  await writeFile(path, configurationTemplate(options), { flag: 'wx' });
  const cases = join(dirname(path), CASES_FILE);
  if (!(await exists(cases))) await writeFile(cases, casesTemplate(options), { flag: 'wx' });
}

/** What an option names; the first where it was not given. */
function chosen<Item>(
  option: string,
  given: string | undefined,
  items: readonly Item[],
  nameOf: (item: Item) => string,
): Item {
  const item = given === undefined ? items[0] : items.find((each) => nameOf(each) === given);
  if (item !== undefined) return item;
  throw new UsageError(
    `expected one of ${items.map(nameOf).join(', ')} after \`${option}\`, found \`${given}\``,
  );
}

function namesOf(items: readonly { readonly name: string }[]): string {
  return items.map(({ name }) => name).join(', ');
}

function kindsOf(): string {
  return PACKS.map(({ kind }) => kind).join(', ');
}

/** A name as `writegate.yaml` takes it, held to that before anything is written. */
function readName(text: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9._@+-]{0,127}$/.test(text)) return text;
  throw new UsageError(
    `expected a name of letters, digits and \`. _ @ + -\` after \`--person\`, found \`${text}\``,
  );
}

async function checkPlace(path: string): Promise<void> {
  const place = await stat(dirname(path)).catch(() => undefined);
  if (place?.isDirectory() === true) return;
  throw new Problem(
    'configuration-missing',
    `expected a folder to write \`${path}\` into, found none; make it, or name another file with --config`,
  );
}

/** The account's name where it can stand in the file; root is nobody's name. */
function accountName(): string {
  const { username } = userInfo();
  return /^[A-Za-z][A-Za-z0-9._-]{0,63}$/.test(username) && username !== 'root'
    ? username
    : 'operator';
}
