/** The command `writegate`: one file per command beside this one. */
import { Command, CommanderError } from 'commander';
import { addAdd } from './add.ts';
import { addAgent } from './agent.ts';
import { addApprove } from './approve.ts';
import { addBaseline } from './baseline.ts';
import { addBudgets } from './budgets.ts';
import { addCancel } from './cancel.ts';
import { addDeny } from './deny.ts';
import { addResolve } from './resolve.ts';
import { addDependents } from './dependents.ts';
import { addDoctor } from './doctor.ts';
import { EXIT, EXIT_HELP, type ExitCode } from './exit.ts';
import { addInbox } from './inbox.ts';
import { addInit } from './init.ts';
import { processIo, type Io } from './io.ts';
import { addLedger } from './ledger.ts';
import { addList } from './list.ts';
import { addMcp } from './mcp.ts';
import { addPerson } from './person.ts';
import { addPolicy } from './policy.ts';
import { addPreview } from './preview.ts';
import { addPropose } from './propose.ts';
import { addRead } from './read.ts';
import { addResume } from './resume.ts';
import { addRollback } from './rollback.ts';
import { addRows } from './rows.ts';
import { report, reportUsage, type Shell } from './shell.ts';
import { addShow } from './show.ts';
import { addStatus } from './status.ts';
import { addStop } from './stop.ts';
import { addStore } from './store.ts';
import { addTrace } from './trace.ts';
import { addUp } from './up.ts';
import { addUpload } from './upload.ts';
import { VERSION } from '../main/version.ts';

/** Runs one command line, without the program's name, and returns the exit code. */
export async function run(argv: readonly string[], io: Io = processIo()): Promise<number> {
  let code: ExitCode = EXIT.done;
  const usage: string[] = [];
  const shell: Shell = {
    io,
    finish: (ended) => {
      code = ended;
    },
  };
  const isJson = optionsOf(argv).includes('--json');
  try {
    await buildProgram(shell, usage).parseAsync(argv, { from: 'user' });
    return code;
  } catch (error) {
    if (!(error instanceof CommanderError)) return report(io, error, isJson);
    if (error.exitCode === 0) return EXIT.done;
    return reportUsage(io, usageText(usage, error), isJson);
  }
}

/** The arguments before `--` alone; what follows it are no options. */
function optionsOf(argv: readonly string[]): readonly string[] {
  const end = argv.indexOf('--');
  return end === -1 ? argv : argv.slice(0, end);
}

function usageText(usage: readonly string[], error: CommanderError): string {
  const text = usage.join('').trim();
  return text === '' ? error.message : text.replace(/^error: /, '');
}

function buildProgram(shell: Shell, usage: string[]): Command {
  const { io } = shell;
  const program = new Command('writegate')
    .description('The write gateway for AI agents: people approve the measured effect.')
    .version(VERSION)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => io.stdout.write(text),
      // Kept back: with `--json` it becomes the document on standard output.
      writeErr: (text) => void usage.push(text),
      getOutHelpWidth: () => Math.min(io.stdout.columns, 100),
      getErrHelpWidth: () => Math.min(io.stderr.columns, 100),
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    })
    .configureHelp({ sortOptions: false })
    .showHelpAfterError('(--help shows what is expected)');

  program.commandsGroup('Set up:');
  addInit(program, shell);
  addAdd(program, shell);
  addDoctor(program, shell);
  addUp(program, shell);
  addStore(program, shell);
  addAgent(program, shell);
  addPerson(program, shell);
  addPolicy(program, shell);
  program.commandsGroup('Write:');
  addPreview(program, shell);
  addPropose(program, shell);
  addStatus(program, shell);
  addList(program, shell);
  addBudgets(program, shell);
  addCancel(program, shell);
  addRead(program, shell);
  addUpload(program, shell);
  addMcp(program, shell);
  program.commandsGroup('Decide:');
  addInbox(program, shell);
  addShow(program, shell);
  addRows(program, shell);
  addDependents(program, shell);
  addBaseline(program, shell);
  addApprove(program, shell);
  addDeny(program, shell);
  addResolve(program, shell);
  addRollback(program, shell);
  addStop(program, shell);
  addResume(program, shell);
  program.commandsGroup('Prove:');
  addLedger(program, shell);
  addTrace(program, shell);
  return program.addHelpText('after', `\n${EXIT_HELP}`);
}
