/** Exit codes: stable, shown by `--help`, documented in `docs/guide/operator.md`. */
import type { State } from '../model/lifecycle.ts';

export const EXIT = {
  done: 0,
  problem: 1,
  waiting: 2,
  denied: 3,
  stale: 4,
  inDoubt: 5,
  refused: 6,
  usage: 64,
} as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

export const EXIT_HELP = `Exit codes:
  0 applied or done   2 waiting     3 denied, expired or cancelled
  4 stale             5 in doubt    6 refused
  1 problem (the call could not be taken)   64 usage`;

/** Returns the exit code that tells a script where a proposal stands. */
export function exitOf(state: State | 'previewed'): ExitCode {
  switch (state) {
    case 'applied':
    case 'previewed':
      return EXIT.done;
    case 'proposed':
    case 'assessed':
    case 'waiting':
    case 'allowed':
    case 'executing':
      return EXIT.waiting;
    case 'denied':
    case 'expired':
    case 'cancelled':
      return EXIT.denied;
    case 'stale':
      return EXIT.stale;
    case 'in_doubt':
      return EXIT.inDoubt;
    case 'refused':
      return EXIT.refused;
  }
}
