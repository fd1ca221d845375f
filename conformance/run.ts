import { imagesMatch } from './capture.ts';
import type { Check, CheckResult, Figures } from './check.ts';
import { apiIsClosed, filesAreClosed, statementsAreRefused } from './reach.ts';
import {
  conflictsAreReported,
  oneWayIsLabelled,
  reversalHolds,
  rollbackIsApproved,
} from './reversal.ts';
import { everyAttackIsFound } from './tamper.ts';
import { openWorld, type Head, type World } from './world.ts';
import { KINDS, play, type Kind, type Story } from './writes.ts';

export interface RunOptions {
  /** Lines about what is being done. */
  readonly progress: (line: string) => void;
  /** Told of each check as it ends. */
  readonly onResult: (result: CheckResult) => void;
}

/** Runs every check against a gateway of its own, in order; one that does not pass stops none. */
export async function runConformance(options: RunOptions): Promise<readonly CheckResult[]> {
  const world = await openWorld(options.progress);
  try {
    const results: CheckResult[] = [];
    for (const check of await checks(world)) {
      const result = await outcome(check, world);
      results.push(result);
      options.onResult(result);
    }
    return results;
  } finally {
    await world.close();
  }
}

async function checks(world: World): Promise<readonly Check[]> {
  const earlier: Head = await world.published();
  const capture = { test: '8.3', requirement: '4.4' } as const;
  const reversal = { test: '8.6', requirement: '4.6' } as const;
  return [
    ...KINDS.flatMap((kind) => checksOf(kind)),
    { ...reversal, name: 'conflicts are reported row by row', run: conflictsAreReported },
    { ...reversal, name: 'a rollback is approved like any write', run: rollbackIsApproved },
    { ...reversal, name: 'what cannot be taken back is labelled so', run: oneWayIsLabelled },
    { ...capture, name: 'the API is closed to the agent', run: apiIsClosed },
    { ...capture, name: 'statements reach no log and no receipt', run: statementsAreRefused },
    { ...capture, name: 'files are closed to others', run: filesAreClosed },
    {
      ...capture,
      name: 'edits, drops, reorders and cuts of the log are found',
      run: (there) => everyAttackIsFound(there, earlier),
    },
  ];
}

/** The write is carried out once: the first check does it, the second takes it back. */
function checksOf(kind: Kind): readonly Check[] {
  let story: Promise<Story> | undefined;
  const told = (world: World): Promise<Story> => (story ??= play(world, kind));
  return [
    {
      test: '8.3',
      requirement: '4.4',
      name: `images of: ${kind.name}`,
      run: async (world) => imagesMatch(await told(world)),
    },
    {
      test: '8.6',
      requirement: '4.6',
      name: `rollback of: ${kind.name}`,
      run: async (world) => reversalHolds(world, await told(world)),
    },
  ];
}

async function outcome(check: Check, world: World): Promise<CheckResult> {
  const { test, requirement, name } = check;
  const about = { test, requirement, name };
  try {
    const figures: Figures = await check.run(world);
    return { ...about, passed: true, figures, failure: null };
  } catch (error) {
    const failure = error instanceof Error ? error.message : String(error);
    return { ...about, passed: false, figures: {}, failure };
  }
}
