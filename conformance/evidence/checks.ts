/** Tests 8.3 and 8.6: what is recorded of a write, and that it is taken back by it. */
import type { Check } from '../check.ts';
import { imagesMatch } from './capture.ts';
import { apiIsClosed, filesAreClosed, statementsAreRefused } from './reach.ts';
import {
  conflictsAreReported,
  oneWayIsLabelled,
  reversalHolds,
  rollbackIsApproved,
} from './reversal.ts';
import { everyAttackIsFound } from './tamper.ts';
import type { Head, World } from './world.ts';
import { KINDS, play, type Kind, type Story } from './writes.ts';

/** In order: later ones need what earlier ones wrote. */
export async function evidenceChecks(world: World): Promise<readonly Check<World>[]> {
  const earlier: Head = await world.published();
  const capture = { test: '8.3', requirement: '4.4' } as const;
  const reversal = { test: '8.6', requirement: '4.6' } as const;
  const independence = { test: '8.4', requirement: '4.1' } as const;
  return [
    ...KINDS.flatMap((kind) => checksOf(kind)),
    { ...reversal, name: 'conflicts are reported row by row', run: conflictsAreReported },
    { ...reversal, name: 'a rollback is approved like any write', run: rollbackIsApproved },
    { ...reversal, name: 'what cannot be taken back is labelled so', run: oneWayIsLabelled },
    { ...capture, name: 'the API is closed to the agent', run: apiIsClosed },
    {
      ...independence,
      name: 'statements reach no log, no receipt and no file',
      run: statementsAreRefused,
    },
    { ...independence, name: 'files are closed to others', run: filesAreClosed },
    {
      ...capture,
      name: 'edits, drops, reorders and cuts of the log are found',
      run: (there) => everyAttackIsFound(there, earlier),
    },
  ];
}

/** The write is carried out once: the first check does it, the second takes it back. */
function checksOf(kind: Kind): readonly Check<World>[] {
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
