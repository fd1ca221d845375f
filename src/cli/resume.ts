import type { Command } from 'commander';
import type { FreezeView } from '../model/api.ts';
import { freezeId } from '../model/ids.ts';
import { connect } from './connect.ts';
import { freezeLines } from './render-result.ts';
import {
  print,
  UsageError,
  withConnection,
  withExample,
  type ConnectionOptions,
  type Shell,
} from './shell.ts';

interface ResumeOptions extends ConnectionOptions {
  readonly all?: true;
  readonly reason: string;
}

/** `resume`: speaks for the release of a stop; once released, deadlines go on from where they stood. */
export function addResume(program: Command, shell: Shell): void {
  const command = program
    .command('resume')
    .description('speak for the release of a stop; without an id, the only one that is on')
    .argument('[freeze]', 'id that `stop` printed')
    .option('--all', 'every stop that is on')
    .requiredOption('--reason <text>', 'why (required); goes into the ledger');
  withExample(
    withConnection(command),
    "writegate resume frz_01… --reason 'addresses corrected'",
  ).action((id: string | undefined, options: ResumeOptions) => resume(shell, id, options));
}

async function resume(
  { io }: Shell,
  text: string | undefined,
  options: ResumeOptions,
): Promise<void> {
  if (text !== undefined && options.all === true) {
    throw new UsageError('expected the id of a stop, or --all, found both');
  }
  if (text !== undefined && freezeId(text) === undefined) {
    throw new UsageError(`expected the id of a stop like \`frz_01…\`, found \`${text}\``);
  }
  const client = await connect(io, options, 'person');
  const ids = text === undefined ? chosen(await client.freezes(), options) : [text];
  const released: FreezeView[] = [];
  for (const id of ids) released.push(await client.release(id, options.reason));
  print(io, options, { items: released }, (look) =>
    released.length === 0 ? ['nothing was stopped'] : freezeLines(released, look),
  );
}

function chosen(
  page: { readonly items: readonly FreezeView[] },
  options: ResumeOptions,
): readonly string[] {
  const ids = page.items.filter((freeze) => freeze.releasedAt === null).map((freeze) => freeze.id);
  if (options.all === true || ids.length <= 1) return ids;
  throw new UsageError(
    `expected the id of a stop or --all, as ${ids.length} are on: ${ids.join(', ')}`,
  );
}
