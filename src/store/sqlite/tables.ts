import type { DatabaseSync } from 'node:sqlite';
import { BaselineTable } from './baselines.ts';
import { BudgetTable } from './budgets.ts';
import { CredentialTable } from './credentials.ts';
import { FreezeTable } from './freezes.ts';
import { KeyTable } from './keys.ts';
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
}

export function openTables(database: DatabaseSync): Tables {
  return {
    log: new LogTable(database),
    proposals: new ProposalTable(database),
    keys: new KeyTable(database),
    budgets: new BudgetTable(database),
    baselines: new BaselineTable(database),
    freezes: new FreezeTable(database),
    credentials: new CredentialTable(database),
  };
}
