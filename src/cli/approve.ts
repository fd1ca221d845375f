import type { Command } from 'commander';
import type { Client } from '../client/client.ts';
import type { ProposalView } from '../model/api.ts';
import { Problem } from '../model/problem.ts';
import { connect, readProposalId } from './connect.ts';
import { EXIT, exitOf } from './exit.ts';
import { paragraph } from './look.ts';
import { planLines } from './render-plan.ts';
import { resultLines } from './render-result.ts';
import {
  look,
  print,
  UsageError,
  withConnection,
  withExample,
  type ConnectionOptions,
  type Shell,
} from './shell.ts';

interface ApproveOptions extends ConnectionOptions {
  readonly digest?: string;
  readonly reason?: string;
}

/** `approve`: a person's yes to the plan that they saw (G9). */
export function addApprove(program: Command, shell: Shell): void {
  const command = program
    .command('approve')
    .description('approve the plan with this digest; without --digest, shows it and asks')
    .argument('<id>', 'proposal')
    .option('--digest <digest>', 'plan digest that `show` printed, or its first 12 hex or more')
    .option('--reason <text>', 'why; goes into the ledger');
  withExample(withConnection(command), 'writegate approve prop_01… --digest 9f2c41d07b3e').action(
    (id: string, options: ApproveOptions) => approve(shell, id, options),
  );
}

async function approve(shell: Shell, text: string, options: ApproveOptions): Promise<void> {
  const { io, finish } = shell;
  const id = readProposalId(text);
  const isAsked = options.digest === undefined;
  if (isAsked && (!io.isInteractive || options.json === true)) {
    throw new UsageError(
      `expected --digest with the plan digest that \`writegate show ${id}\` prints: where nobody can be asked, an approval names what it approves`,
    );
  }
  const prefix = options.digest === undefined ? undefined : readDigestPrefix(options.digest);
  const client = await connect(io, options, 'person');
  const view = await client.view(id);
  const planDigest = matchingDigest(view, prefix);
  if (isAsked && !(await isConfirmed(shell, view))) {
    const stands = `not approved; ${id} stands as it was`;
    io.stdout.write(`${paragraph(look(io), stands).join('\n')}\n`);
    finish(exitOf(view.state));
    return;
  }
  await decideAndPrint(shell, client, { id, planDigest, options });
}

async function decideAndPrint(
  { io, finish }: Shell,
  client: Client,
  decided: {
    readonly id: string;
    readonly planDigest: string;
    readonly options: ApproveOptions;
  },
): Promise<void> {
  const { id, planDigest, options } = decided;
  const result = await client.approve(id, {
    planDigest,
    verdict: 'approve',
    ...(options.reason !== undefined && { reason: options.reason }),
  });
  print(io, options, result, (width) => resultLines(result, width, io.now()));
  finish(result.state === 'previewed' ? EXIT.done : exitOf(result.state));
}

/** The digest of the plan that `show` would print now; a problem where it is not the named one. */
function matchingDigest(view: ProposalView, prefix: string | undefined): string {
  if (view.planDigest === null) {
    throw new Problem(
      'state-conflict',
      `expected a proposal whose plan was measured, found \`${view.id}\` ${view.state} with none`,
    );
  }
  if (prefix === undefined || view.planDigest.startsWith(`sha256:${prefix}`)) {
    return view.planDigest;
  }
  throw new Problem(
    'digest-mismatch',
    `expected the present plan ${view.planDigest}, found \`${prefix}\`; read \`writegate show ${view.id}\` again before you approve`,
  );
}

/** Reads 12 to 64 hex digits, with or without `sha256:` before them. */
export function readDigestPrefix(text: string): string {
  const hex = text.toLowerCase().replace(/^sha256:/, '');
  if (/^[0-9a-f]{12,64}$/.test(hex)) return hex;
  throw new UsageError(
    `expected 12 to 64 hex digits of a plan digest after \`--digest\`, found \`${text}\``,
  );
}

const ANSWERS_MAX = 3;
const QUESTION =
  'Approve this plan? Type yes to approve, no to leave it, all to see every row and be asked again:';

/** Shows the plan and asks; only the whole word is a yes, and rows that were left out come first. */
async function isConfirmed({ io }: Shell, view: ProposalView): Promise<boolean> {
  const page = (rows: 'all' | 1): string =>
    planLines(view, look(io), {
      now: io.now(),
      rows: rows === 'all' ? { kind: 'all' } : { kind: 'page', page: rows },
    }).join('\n');
  io.stdout.write(`${page(1)}\n\n`);
  const question = `${paragraph(look(io), QUESTION).join('\n')} `;
  for (let answers = 0; answers < ANSWERS_MAX; answers += 1) {
    const answer = (await io.ask(question)).trim();
    if (answer === 'yes') return true;
    if (answer !== 'all') return false;
    io.stdout.write(`${page('all')}\n\n`);
  }
  return false;
}
