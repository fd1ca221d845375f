import type { Command } from 'commander';
import { readText } from '../main/folder.ts';
import type { HostApplied } from '../main/policies.ts';
import type { PolicyApplied } from '../model/api.ts';
import { Problem } from '../model/problem.ts';
import { configurationPath } from './configuration.ts';
import { connect, folderOf } from './connect.ts';
import { field, heading, paragraph, whole, type Look } from './look.ts';
import { changeLines } from './render-changes.ts';
import { print, withConnection, withExample, type ConnectionOptions, type Shell } from './shell.ts';
import { storeWish, withStore, type StoreOption } from './store-option.ts';

interface ApplyOptions extends ConnectionOptions, StoreOption {
  readonly offline?: true;
}

/** `policy apply`: lets exactly this text into force, weaker or not. */
export function addPolicyApply(policy: Command, shell: Shell): void {
  const command = policy
    .command('apply')
    .description("bring the gateway's file into force; a weaker one takes the role `policy`")
    .argument('[file]', "the gateway's own file; else ./writegate.yaml")
    .option('--offline', 'on its host, with the gateway stopped, where nobody has the role');
  withExample(
    withConnection(withStore(command)),
    'writegate policy apply',
    'writegate policy apply --offline',
  ).action((file: string | undefined, options: ApplyOptions) => apply(shell, file, options));
}

async function apply(
  { io }: Shell,
  file: string | undefined,
  options: ApplyOptions,
): Promise<void> {
  const path = configurationPath(io, file === undefined ? {} : { config: file });
  if (options.offline === true) {
    const { applyPolicyOnHost } = await import('../main/host.ts');
    const dataFolder = folderOf(io, options).path;
    const applied = await applyPolicyOnHost({
      configPath: path,
      dataFolder,
      ...storeWish(io, options),
    });
    print(io, options, applied, (look) => hostLines(applied, look));
    return;
  }
  const text = await readText(path, 'configuration-invalid');
  if (text === undefined) {
    throw new Problem('configuration-missing', `there is no \`${path}\`; name the file to apply`);
  }
  const client = await connect(io, options, 'person');
  const applied = await client.applyPolicy(text);
  print(io, options, applied, (look) => appliedLines(applied, look));
}

function appliedLines(applied: PolicyApplied, look: Look): readonly string[] {
  return [
    ...heading(look, [[applied.inForce === 'now' ? 'in force' : 'in force from the next start']]),
    ...field(look, 'mode', applied.mode),
    ...whole(look, 'policy', applied.digest),
    ...changeLines(applied.changes, look),
    ...(applied.inForce === 'now'
      ? []
      : paragraph(look, 'Something changed that takes a restart: restart the gateway.')),
  ];
}

const HOST_HEADINGS: Readonly<Record<HostApplied['kind'], string>> = {
  applied: 'in force from the next start',
  same: 'this is what the next start has in force already',
  first: 'no policy was in force yet: the first start takes the file as it is',
};

function hostLines(applied: HostApplied, look: Look): readonly string[] {
  return [
    ...heading(look, [[HOST_HEADINGS[applied.kind]]]),
    ...field(look, 'mode', applied.mode),
    ...whole(look, 'policy', applied.digest),
    ...(applied.kind === 'applied' ? hostChanges(applied, look) : []),
  ];
}

function hostChanges({ changes }: HostApplied, look: Look): readonly string[] {
  return changes === null
    ? paragraph(look, 'What was in force does not load with this version: nothing to compare with.')
    : changeLines(changes, look);
}
