/** Holds what the clients heard, what the log says and what is in the targets against each other. */
import type { BudgetView, Result } from '../../src/client/index.ts';
import { isTerminal, STATES } from '../../src/model/lifecycle.ts';
import type { Journal, Line } from '../journal.ts';
import type { Effects } from './effects.ts';
import type { PublishedState, Told } from './log.ts';

export type WrongKind = 'doubled' | 'lost' | 'stuck' | 'budget' | 'ledger' | 'answer';

/** One thing that is not as was promised. */
export interface Wrong {
  readonly kind: WrongKind;
  readonly about: string;
}

export interface Seen {
  readonly journal: Journal;
  readonly log: PublishedState;
  readonly effects: Effects;
  readonly budgets: readonly BudgetView[];
}

/** Everything that is wrong after a round; every round before it was found to be right. */
export function audit(seen: Seen): readonly Wrong[] {
  return [
    ...effectsAgree(seen),
    ...[...seen.journal.lines.values()].flatMap((line) => answersHold(line, seen.log)),
    ...seen.journal.wrongs.map((about): Wrong => ({ kind: 'answer', about })),
    ...[...seen.log.proposals.values()].flatMap(hasEnded),
    ...budgetsAgree(seen),
  ];
}

// ---- effects

/** G1, G3: each mark stands as often as the log says, which is once or not at all. */
function effectsAgree({ log, effects }: Seen): readonly Wrong[] {
  const due = new Map<string, number>();
  const chains = new Set<string>();
  for (const told of log.proposals.values()) {
    if (told.mark === null) continue;
    due.set(told.mark, (due.get(told.mark) ?? 0) + standing(told));
    if (told.writes > 1) chains.add(told.mark);
  }
  const compare = (
    where: string,
    found: ReadonlyMap<string, number>,
    concerns: (mark: string) => boolean,
  ): readonly Wrong[] => {
    const marks = new Set([...found.keys(), ...[...due.keys()].filter(concerns)]);
    return [...marks].flatMap((mark) =>
      difference(`${mark} in ${where}`, found.get(mark) ?? 0, due.get(mark) ?? 0),
    );
  };
  return [
    ...compare('shop', effects.shop, () => true),
    ...compare('books', effects.books, (mark) => chains.has(mark)),
    ...effects.torn.map((about): Wrong => ({ kind: 'doubled', about })),
  ];
}

function standing(told: Told): number {
  return told.compensatedBy === null ? told.applied : 0;
}

function difference(what: string, found: number, due: number): readonly Wrong[] {
  if (found === due && due <= 1) return [];
  const about = `${what} took effect ${found} times, and by the log ${due} times`;
  return [{ kind: found > due || due > 1 ? 'doubled' : 'lost', about }];
}

// ---- answers

/** What a client was told for good is what the log says, and its receipt is still there. */
function answersHold({ write, answers, takenBack }: Line, log: PublishedState): readonly Wrong[] {
  const { mark } = write;
  const results = answers.map(({ result }) => result);
  const about = takenBack === null ? results : [...results, takenBack];
  const wrongs = about.flatMap((answer) => answerHolds(mark, answer, log));
  const final = Map.groupBy(
    about.filter(({ state }) => isFinal(state)),
    ({ proposalId }) => proposalId,
  );
  const changed = [...final].flatMap(([id, of]): readonly Wrong[] => {
    const states = [...new Set(of.map(({ state }) => state))];
    if (states.length === 1) return [];
    return [{ kind: 'answer', about: `${mark}: ${id} was told to be ${states.join(', then ')}` }];
  });
  return [...wrongs, ...changed];
}

function answerHolds(mark: string, answer: Result, log: PublishedState): readonly Wrong[] {
  const { proposalId, state } = answer;
  const told = proposalId === null ? undefined : log.proposals.get(proposalId);
  if (told === undefined) {
    return [{ kind: 'lost', about: `${mark}: ${proposalId} was ${state}; the log has none such` }];
  }
  if (isFinal(state) && told.state !== state) {
    const about = `${mark}: ${proposalId} was ${state}; by the log it is ${told.state}`;
    return [{ kind: 'lost', about }];
  }
  if (answer.state !== 'applied') return [];
  const { ledgerIndex, leafHash } = answer.receipt;
  if (log.hashes[ledgerIndex] === leafHash) return [];
  return [{ kind: 'lost', about: `${mark}: entry ${ledgerIndex} is not the one of its receipt` }];
}

function isFinal(text: string): boolean {
  const state = STATES.find((each) => each === text);
  return state !== undefined && isTerminal(state);
}

// ---- ends

/** L1: what faults left open has ended, or waits for people. */
function hasEnded(told: Told): readonly Wrong[] {
  if (isFinal(told.state) || told.state === 'waiting') return [];
  const about = `${told.id} (${told.mark ?? `of ${told.compensates}`}) stays ${told.state}`;
  return [{ kind: 'stuck', about }];
}

// ---- budgets

/** G7: what budgets have in use is exactly what took effect, and never more than they allow. */
function budgetsAgree({ log, budgets }: Seen): readonly Wrong[] {
  const told = [...log.proposals.values()].filter(({ applied }) => applied > 0);
  const spent = (concerns: (each: Told) => boolean): number =>
    told.filter(concerns).reduce((sum, each) => sum + each.writes, 0);
  const listed = new Set(
    budgets.filter(({ budget }) => budget === 'all').map((view) => view.scope),
  );
  const missing = [...new Set(told.map(({ proposer }) => proposer))]
    .filter((proposer) => !listed.has(proposer))
    .map((proposer): Wrong => ({
      kind: 'budget',
      about: `budget all of ${proposer} is not there`,
    }));
  const inUse = budgets.flatMap((view) => {
    const due = spent((each) =>
      view.budget === 'all'
        ? view.scope === each.proposer
        : each.proposer === 'agent=spender' && view.scope === `run=${each.run}`,
    );
    const name = `budget ${view.budget} of ${view.scope}`;
    const wrongs: Wrong[] = [];
    if (view.spent !== due || view.inFlight !== 0) {
      const used = `${view.spent} spent and ${view.inFlight} in flight`;
      wrongs.push({ kind: 'budget', about: `${name}: ${used}, by the log ${due} and 0` });
    }
    if (due > view.max) {
      wrongs.push({ kind: 'budget', about: `${name}: ${due} took effect, ${view.max} may` });
    }
    return wrongs;
  });
  return [...missing, ...inUse];
}
