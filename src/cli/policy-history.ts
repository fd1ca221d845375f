import type { Command } from 'commander';
import type { PolicyVersion } from '../model/api.ts';
import { connect } from './connect.ts';
import { counted, field, heading, instant, whole, type Look } from './look.ts';
import {
  print,
  wholeNumber,
  withConnection,
  withExample,
  type ConnectionOptions,
  type Shell,
} from './shell.ts';

interface HistoryOptions extends ConnectionOptions {
  readonly limit: string;
}

/** `policy history`: the versions that were in force, as the ledger has them. */
export function addPolicyHistory(policy: Command, shell: Shell): void {
  const command = policy
    .command('history')
    .description('list the policies that were in force, as the ledger has them')
    .option('--limit <number>', 'how many, the last ones first', '20');
  withExample(withConnection(command), 'writegate policy history').action(
    (options: HistoryOptions) => history(shell, options),
  );
}

const LIMIT_MAX = 200;

async function history({ io }: Shell, options: HistoryOptions): Promise<void> {
  const limit = wholeNumber('--limit', options.limit, { min: 1, max: LIMIT_MAX });
  const client = await connect(io, options, 'person');
  const page = await client.policies({ limit });
  print(io, options, page, (look) => [
    ...page.items.flatMap((version) => versionLines(version, look)),
    ...(page.before === null
      ? []
      : ['', `earlier ones are left out; --limit takes up to ${LIMIT_MAX}`]),
  ]);
}

function versionLines(version: PolicyVersion, look: Look): readonly string[] {
  const { at, by, digest, mode, weakens, index, atStart } = version;
  const who = by ?? 'itself: the first, or no weaker than the one before';
  return [
    ...heading(look, [[instant(at), look.paint.bold], [mode], [`entry ${index}`]]),
    ...whole(look, 'policy', digest),
    ...field(look, 'let in by', who),
    ...(weakens === null || weakens === 0
      ? []
      : field(look, 'weaker', `in ${counted(weakens, 'way')}`, look.paint.yellow)),
    ...(atStart ? field(look, 'from', 'the start after it') : []),
  ];
}
