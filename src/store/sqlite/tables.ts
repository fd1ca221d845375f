import type { DatabaseSync } from 'node:sqlite';
import { Budgets } from '../state/budgets.ts';
import type { Tables } from '../state/tables.ts';
import { BaselineTable } from './baselines.ts';
import { BudgetReads, BudgetTable } from './budgets.ts';
import { CredentialTable } from './credentials.ts';
import { DeadlineTable } from './deadlines.ts';
import { FreezeTable } from './freezes.ts';
import { KeyTable } from './keys.ts';
import { LeaseTable } from './leases.ts';
import { LogTable } from './log.ts';
import { ProposalTable } from './proposals.ts';

/** One class per table, or per two that are only used together; statements are prepared once. */
export interface SqliteTables extends Tables {
  readonly log: LogTable;
  readonly proposals: ProposalTable;
  readonly deadlines: DeadlineTable;
  readonly keys: KeyTable;
  readonly budgetReads: BudgetReads;
  readonly baselines: BaselineTable;
  readonly freezes: FreezeTable;
  readonly credentials: CredentialTable;
  readonly leases: LeaseTable;
}

/** `now` is the clock of the leases, in ms. */
export function openTables(database: DatabaseSync, now: () => number): SqliteTables {
  const budgets = new BudgetTable(database);
  return {
    log: new LogTable(database),
    proposals: new ProposalTable(database),
    deadlines: new DeadlineTable(database),
    keys: new KeyTable(database),
    budgets: new Budgets(budgets),
    budgetReads: new BudgetReads(database, budgets),
    baselines: new BaselineTable(database),
    freezes: new FreezeTable(database),
    credentials: new CredentialTable(database),
    leases: new LeaseTable(database, now),
  };
}
