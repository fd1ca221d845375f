import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { Baseline, BaselineSubject } from '../../model/baseline.ts';
import type { TenantId } from '../../model/ids.ts';
import type { AgentBaseline } from '../../model/ports.ts';
import type { BaselineRows } from '../state/tables.ts';
import { textOf, type Row } from './rows.ts';

export class BaselineTable implements BaselineRows {
  readonly #find: StatementSync;
  readonly #save: StatementSync;
  readonly #ofAgent: StatementSync;

  constructor(database: DatabaseSync) {
    this.#find = database.prepare(`
      SELECT record FROM baselines
      WHERE tenant = ? AND agent = ? AND target = ? AND operation = ?`);
    this.#save = database.prepare(`
      INSERT INTO baselines (tenant, agent, target, operation, record) VALUES (?, ?, ?, ?, ?)
      ON CONFLICT (tenant, agent, target, operation) DO UPDATE SET record = excluded.record`);
    this.#ofAgent = database.prepare(`
      SELECT target, operation, record FROM baselines
      WHERE tenant = ? AND agent = ? ORDER BY target, operation`);
  }

  find(tenant: TenantId, { agent, target, operation }: BaselineSubject): Baseline | undefined {
    const row = this.#find.get(tenant, agent, target, operation);
    return row === undefined ? undefined : recordOf(row);
  }

  ofAgent(tenant: TenantId, agent: string): readonly AgentBaseline[] {
    return this.#ofAgent.all(tenant, agent).map((row) => ({
      agent,
      target: textOf(row, 'target'),
      operation: textOf(row, 'operation'),
      baseline: recordOf(row),
    }));
  }

  save(tenant: TenantId, subject: BaselineSubject, baseline: Baseline): void {
    const { agent, target, operation } = subject;
    this.#save.run(tenant, agent, target, operation, JSON.stringify(baseline));
  }
}

function recordOf(row: Row): Baseline {
  // Written by `save` above and by nothing else.
  return JSON.parse(textOf(row, 'record')) as Baseline;
}
