/** Tests 8.1, 8.2, 8.4 and 8.5, requirements 4.5, 4.7 and 4.9, and the seed incidents. */
import type { Check } from '../check.ts';
import {
  approvalsAreNotReplayed,
  expiredMeansDiscarded,
  nobodyApprovesTheirOwn,
  partsWaitTogether,
  staleApprovalsWriteNothing,
  thresholdsWait,
} from './approvals.ts';
import {
  codeFreeze,
  journalLoop,
  massClosure,
  massUpdate,
  outOfCharacter,
  sevenServices,
} from './incidents.ts';
import { floodsAreHeldBack, ledgerTellsIt, routesOfPeopleAreClosed } from './independence.ts';
import {
  approvalLiftsNoLimit,
  destructionIsNever,
  indirectRecordsCount,
  partsAreAddedUp,
  recipientsAndBytes,
  recordsAtTheLimit,
  valueHidesNowhere,
} from './limits.ts';
import {
  agentsAndRunsShare,
  boundariesGiveNothing,
  burstsAreHeld,
  chainsCountTheirSteps,
  hoursAndDays,
  restartsForgetNothing,
  valueOverTime,
} from './rates.ts';
import {
  effectsAreCompared,
  freshKeysAreSeenThrough,
  retriesAreReplayed,
  spellingsAreOne,
  windowsEnd,
} from './repeats.ts';
import {
  allFailuresAreTold,
  approvalLiftsNoRule,
  checksHoldAtTheCommit,
  referencesAndForms,
  rulesThatCannotSpeakDeny,
} from './rules.ts';
import { replicaAgrees, replicaDiffers, replicaIsDown } from './shadow.ts';
import type { ScopeWorld } from './world.ts';

type Run = Check<ScopeWorld>['run'];

/** In order; each stands on tables of its own. */
export const SCOPE_CHECKS: readonly Check<ScopeWorld>[] = [
  ...under('8.1', '4.2', [
    ['incident: 47,000 customers, one address', massUpdate],
    ['records at the limit and one over', recordsAtTheLimit],
    ['over by cascade, trigger, join, CTE, MERGE, amplification', indirectRecordsCount],
    ['over only by the sum of a chain', partsAreAddedUp],
    ['value in other columns, signs, rows, currencies', valueHidesNowhere],
    ['recipients and bytes', recipientsAndBytes],
    ['no approval lifts a limit', approvalLiftsNoLimit],
    ['destroy and delete are never', destructionIsNever],
    ['incident: one value that seven services read', sevenServices],
  ]),
  ...under('8.2', '4.3', [
    ['64 at once, runs and keys of their own', burstsAreHeld],
    ['straddling a boundary', boundariesGiveNothing],
    ['records per hour, writes per day', hoursAndDays],
    ['value per day', valueOverTime],
    ['two agents, many runs, one budget', agentsAndRunsShare],
    ['restarts and clock steps', restartsForgetNothing],
    ['a chain counts its steps', chainsCountTheirSteps],
  ]),
  ...under('8.5', '4.8', [
    ['retries, 20 at once', retriesAreReplayed],
    ['fresh keys, runs, agents, a restart', freshKeysAreSeenThrough],
    ['equivalent SQL, numbers, quotes, order', spellingsAreOne],
    ['another statement of the same effect', effectsAreCompared],
    ['until the window is over', windowsEnd],
    ['incident: a journal loop', journalLoop],
    ['incident: tickets closed in a loop', massClosure],
  ]),
  ...under(null, '4.7', [
    ['100 records and £10,000, just under and over', thresholdsWait],
    ['split into parts', partsWaitTogether],
    ['approval by the proposer, its owner, or claimed', nobodyApprovesTheirOwn],
    ['stale approval', staleApprovalsWriteNothing],
    ['replayed approval', approvalsAreNotReplayed],
    ['expired approval', expiredMeansDiscarded],
    ['a write out of character', outOfCharacter],
  ]),
  ...under(null, '4.5', [
    ['several rules at once, all told', allFailuresAreTold],
    ['rules that cannot be evaluated deny', rulesThatCannotSpeakDeny],
    ['references and the form of arguments', referencesAndForms],
    ['a check that turned false by the commit', checksHoldAtTheCommit],
    ['no approval lifts a rule', approvalLiftsNoRule],
  ]),
  ...under(null, '4.9', [
    ['a replica that agrees', replicaAgrees],
    ['a replica that differs', replicaDiffers],
    ['a replica that is down', replicaIsDown],
  ]),
  ...under('8.4', '4.1', [
    ['routes of people, with an agent’s credential', routesOfPeopleAreClosed],
    ['incident: deletion during a code freeze', codeFreeze],
    ['a flood of proposals', floodsAreHeldBack],
  ]),
  ...under('8.3', '4.4', [['the log of all these attacks verifies', ledgerTellsIt]]),
];

function under(
  test: Check<ScopeWorld>['test'],
  requirement: Check<ScopeWorld>['requirement'],
  runs: readonly (readonly [name: string, run: Run])[],
): readonly Check<ScopeWorld>[] {
  return runs.map(([name, run]) => ({ test, requirement, name, run }));
}
