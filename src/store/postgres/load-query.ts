import type { ProposalCache } from './proposal-cache.ts';
import type { Row } from './rows.ts';

/** One statement, and what becomes of each of its rows. */
export interface LoadQuery {
  readonly text: string;
  readonly values: readonly Buffer[];
  take(row: Row): void;
  /** Called once behind its last row. */
  done?(): void;
}

/** What every statement of a store is made with. */
export interface Within {
  /** The schema, quoted. */
  readonly schema: string;
  readonly cache: ProposalCache;
}
