import type { Command } from 'commander';
import {
  placeOf,
  type CatalogueFile,
  type Imported,
  type Mapping,
} from '../policy/load/backstage.ts';
import { readText } from '../main/folder.ts';
import { connect } from './connect.ts';
import { dependentsLines } from './render-dependents.ts';
import {
  print,
  remark,
  UsageError,
  withConnection,
  withExample,
  type ConnectionOptions,
  type Shell,
} from './shell.ts';

interface DependentsOptions extends ConnectionOptions {
  readonly target?: string;
  readonly backstage?: readonly string[];
  readonly map?: readonly string[];
}

/** `dependents`: what depends on a resource, as a tree; or lines for the policy out of a catalogue. */
export function addDependents(program: Command, shell: Shell): void {
  const command = program
    .command('dependents')
    .description('show what depends on a resource, in its target and by the policy')
    .argument('[resource]', 'such as public.invoices')
    .option('--target <name>', 'the target; else the only one there is')
    .option(
      '--backstage <files...>',
      'in place of a resource: catalogue files to print as lines for `dependents`',
    )
    .option('--map <entity=target/resource...>', 'what an entity of the catalogue stands for');
  withExample(
    withConnection(command),
    'writegate dependents public.invoices',
    'writegate dependents --backstage catalog-info.yaml --map invoices-db=crm/public.*',
  ).action((resource: string | undefined, options: DependentsOptions) =>
    dependents(shell, resource, options),
  );
}

async function dependents(
  { io }: Shell,
  resource: string | undefined,
  options: DependentsOptions,
): Promise<void> {
  const { backstage, map, target } = options;
  if ((resource === undefined) === (backstage === undefined)) {
    throw new UsageError('expected a resource or --backstage with files, and not both');
  }
  if (backstage !== undefined) {
    const imported = await imports(backstage, map ?? []);
    for (const note of imported.notes) remark(io, `note: ${note}`);
    const { stringify } = await import('yaml');
    print(io, options, imported, () => [stringify({ dependents: imported.dependents }).trimEnd()]);
    return;
  }
  if (resource === undefined || map !== undefined) {
    throw new UsageError('expected --map with --backstage alone');
  }
  const client = await connect(io, options, 'person');
  const view = await client.dependents({ resource, ...(target !== undefined && { target }) });
  print(io, options, view, (look) => dependentsLines(view, look));
}

async function imports(paths: readonly string[], maps: readonly string[]): Promise<Imported> {
  const mappings = maps.map(mappingOf);
  const files: CatalogueFile[] = [];
  for (const name of paths) files.push({ name, text: await textOf(name) });
  const { importCatalogue } = await import('../policy/load/backstage.ts');
  return importCatalogue(files, mappings);
}

async function textOf(path: string): Promise<string> {
  const text = await readText(path);
  if (text !== undefined) return text;
  throw new UsageError(
    `expected a catalogue file at \`${path}\` after \`--backstage\`, found none`,
  );
}

function mappingOf(text: string): Mapping {
  const equals = text.indexOf('=');
  const place = placeOf(text.slice(equals + 1));
  if (equals > 0 && place !== undefined) return { entity: text.slice(0, equals), ...place };
  throw new UsageError(
    `expected \`entity=target/resource\` after \`--map\`, found \`${text}\`; such as \`invoices-db=crm/public.*\``,
  );
}
