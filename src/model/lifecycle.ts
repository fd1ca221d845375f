/** The states of a proposal and the moves between them; `docs/spec/lifecycle.md` is normative. */

export const STATES = [
  'proposed',
  'assessed',
  'waiting',
  'allowed',
  'executing',
  'stale',
  'in_doubt',
  'applied',
  'refused',
  'denied',
  'expired',
  'cancelled',
] as const;
export type State = (typeof STATES)[number];

const MOVES: Readonly<Record<State, readonly State[]>> = {
  // `refused` straight from `proposed` or `assessed`: the target could not be asked, so surely nothing happened.
  proposed: ['assessed', 'denied', 'refused', 'cancelled'],
  assessed: ['allowed', 'waiting', 'denied', 'refused', 'cancelled'],
  waiting: ['allowed', 'denied', 'expired', 'cancelled'],
  allowed: ['executing', 'stale', 'denied', 'expired', 'cancelled'],
  executing: ['applied', 'refused', 'in_doubt', 'stale'],
  stale: ['assessed', 'denied', 'refused', 'expired', 'cancelled'],
  in_doubt: ['applied', 'refused', 'stale'],
  applied: [],
  refused: [],
  denied: [],
  expired: [],
  cancelled: [],
};

/** Reports whether the lifecycle has the move. */
export function mayMove(from: State, to: State): boolean {
  return MOVES[from].includes(to);
}

/** Reports whether nothing but a link to a compensation can follow (G6). */
export function isTerminal(state: State): boolean {
  return MOVES[state].length === 0;
}

/** What a person or the proposer may do to a proposal in this state; the console and the CLI ask here. */
export function isCancellable(state: State): boolean {
  return mayMove(state, 'cancelled');
}

/** Reports whether the state surely left no effect in the target and never will. */
export function isWithoutEffect(state: State): boolean {
  return state !== 'applied' && isTerminal(state);
}
