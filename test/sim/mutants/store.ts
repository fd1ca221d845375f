/** Of what is looked at in the transaction: leases, budgets, keys, stops, the policy. */
import type { Mutant } from './mutant.ts';

const EXECUTE = 'src/gate/execute.ts';
const GUARDS = 'src/store/state/guards.ts';

export const STORE_MUTANTS: readonly Mutant[] = [
  {
    name: 'nobody is fenced: neither leases nor steps are looked at',
    caughtBy: ['G8', 'G5', 'G3', 'bug'],
    edits: [
      {
        file: GUARDS,
        find: '    (guard?.lease && findLostLease(tables.leases, tenant, guard.lease)) ??\n    findMovedStep(tables, change) ??',
        replace: '',
      },
    ],
  },
  {
    name: 'leases are not looked at',
    caughtBy: ['G8'],
    edits: [
      {
        file: GUARDS,
        find: '    (guard?.lease && findLostLease(tables.leases, tenant, guard.lease)) ??\n',
        replace: '',
      },
    ],
  },
  {
    name: 'a budget is released in doubt, and again at the end',
    caughtBy: ['G7'],
    edits: [
      {
        file: EXECUTE,
        find: '      // It may have taken effect: the reservation stays until that is known.\n      return {};',
        replace: '      return { release: proposal.id };',
      },
    ],
  },
  {
    name: 'what was applied gives its budget back',
    caughtBy: ['G7'],
    edits: [
      {
        file: EXECUTE,
        find: '      return { settle: proposal.id };',
        replace: '      return { release: proposal.id };',
      },
    ],
  },
  {
    name: 'budgets are not looked at in the transaction',
    caughtBy: ['G7'],
    edits: [
      { file: GUARDS, find: '    findExceededBudget(tables, change, now) ??\n', replace: '' },
    ],
  },
  {
    name: 'duplicates are looked for outside of the transaction alone',
    caughtBy: ['idempotency'],
    edits: [
      {
        file: GUARDS,
        find: "  return held && { kind: 'key', ...held };",
        replace: '  return undefined;',
      },
    ],
  },
  {
    name: 'stops are not looked at in the transaction of the intent',
    caughtBy: ['G2'],
    edits: [
      {
        file: GUARDS,
        find: '    (guard?.notFrozen && findFrozen(tables, tenant, guard.notFrozen)) ??\n',
        replace: '',
      },
    ],
  },
  {
    name: 'the policy is not looked at in the transaction',
    caughtBy: ['G2'],
    edits: [{ file: GUARDS, find: '    findMovedPolicy(tables, change) ??\n', replace: '' }],
  },
  {
    name: 'what is stale is not taken up',
    caughtBy: ['L1'],
    edits: [
      {
        file: 'src/model/lease.ts',
        find: "['executing', 'in_doubt', 'stale']",
        replace: "['executing', 'in_doubt']",
      },
    ],
  },
  {
    name: 'a lease is taken that another holds',
    caughtBy: ['G8'],
    edits: [
      {
        file: 'src/store/sqlite/leases.ts',
        find: '        AND (leases.holder IS NULL OR leases.until <= :now)',
        replace: '        AND :now IS NOT NULL',
      },
    ],
  },
  {
    name: 'a start ends the leases of every gateway',
    caughtBy: ['G8'],
    edits: [
      {
        file: 'src/store/sqlite/leases.ts',
        find: "WHERE substr(holder, 1, length(:gateway) + 1) = :gateway || '/'",
        replace: 'WHERE :gateway IS NOT NULL',
      },
    ],
  },
  {
    name: 'a renewal renews nothing',
    caughtBy: ['G8'],
    edits: [
      {
        file: 'src/store/sqlite/leases.ts',
        find: "'UPDATE leases SET until = ? WHERE tenant = ? AND proposal = ? AND holder = ?'",
        replace:
          "'UPDATE leases SET until = until WHERE ? IS NULL AND tenant = ? AND proposal = ? AND holder = ?'",
      },
    ],
  },
  {
    name: 'a lease is let go of that another has taken over',
    caughtBy: ['G8'],
    edits: [
      {
        file: 'src/store/sqlite/leases.ts',
        find: "'UPDATE leases SET holder = NULL WHERE tenant = ? AND proposal = ? AND holder = ?'",
        replace:
          "'UPDATE leases SET holder = NULL WHERE tenant = ? AND proposal = ? AND ? IS NOT NULL'",
      },
    ],
  },
];
