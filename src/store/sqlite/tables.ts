import type { DatabaseSync } from 'node:sqlite';
import { BaselineTable } from './baselines.ts';
import { BudgetTable } from './budgets.ts';
import { CredentialTable } from './credentials.ts';
import { FreezeTable } from './freezes.ts';
import { KeyTable } from './keys.ts';
import { LeaseTable } from './leases.ts';
import { LogTable } from './log.ts';
import { ProposalTable } from './proposals.ts';

/** One class per table, or per two that are only used together; statements are prepared once. */
export interface Tables {
  readonly log: LogTable;
  readonly proposals: ProposalTable;
  readonly keys: KeyTable;
  readonly budgets: BudgetTable;
  readonly baselines: BaselineTable;
  readonly freezes: FreezeTable;
  readonly credentials: CredentialTable;
  readonly leases: LeaseTable;
}

/** `now` is the clock of the leases, in ms. */
export function openTables(database: DatabaseSync, now: () => number): Tables {
  return {
    log: new LogTable(database),
    proposals: new ProposalTable(database),
    keys: new KeyTable(database),
    budgets: new BudgetTable(database),
    baselines: new BaselineTable(database),
    freezes: new FreezeTable(database),
    credentials: new CredentialTable(database),
    leases: new LeaseTable(database, now),
  };
}
