import type { Command } from 'commander';
import type { RowPage } from '../model/api.ts';
import { connect, readProposalId } from './connect.ts';
import { rowPageLines } from './render-rows.ts';
import {
  print,
  UsageError,
  wholeNumber,
  withConnection,
  withExample,
  type ConnectionOptions,
  type Shell,
} from './shell.ts';

interface RowsOptions extends ConnectionOptions {
  readonly from: string;
  readonly limit: string;
  readonly resource?: string;
  readonly kind?: string;
}

const KINDS = ['create', 'update', 'delete'] as const;
const FROM_MAX = 1_000_000_000;
const LIMIT_MAX = 1_000;

/** `rows`: every row of a proposal, also of one that has too many for its plan. */
export function addRows(program: Command, shell: Shell): void {
  const command = program
    .command('rows')
    .description('show rows of a proposal, page by page: every one that has images')
    .argument('<id>', 'proposal')
    .option('--from <number>', 'the first row, counted from 0', '0')
    .option('--limit <count>', `at most ${LIMIT_MAX}`, '100')
    .option('--resource <name>', 'only rows of this one, such as public.customers')
    .option('--kind <kind>', `only rows of this kind: ${KINDS.join(', ')}`);
  withExample(withConnection(command), 'writegate rows prop_01… --from 1000 --kind delete').action(
    (id: string, options: RowsOptions) => rows(shell, id, options),
  );
}

async function rows({ io }: Shell, text: string, options: RowsOptions): Promise<void> {
  const id = readProposalId(text);
  const { resource } = options;
  const kind = options.kind === undefined ? undefined : readKind(options.kind);
  const asked = {
    from: wholeNumber('--from', options.from, { min: 0, max: FROM_MAX }),
    limit: wholeNumber('--limit', options.limit, { min: 1, max: LIMIT_MAX }),
    ...(resource !== undefined && { resource }),
    ...(kind !== undefined && { kind }),
  };
  const client = await connect(io, options, 'either');
  const page: RowPage = await client.rows(id, asked);
  print(io, options, page, (look) => rowPageLines(page, { id, ...asked }, look));
}

function readKind(text: string): (typeof KINDS)[number] {
  const kind = KINDS.find((each) => each === text);
  if (kind !== undefined) return kind;
  throw new UsageError(`expected one of ${KINDS.join(', ')} after \`--kind\`, found \`${text}\``);
}
