/** The policies that were in force, as the ledger has them. */
import { openEntry } from '../ledger/entry.ts';
import { LOG_ACT, type EntryBody } from '../model/entry.ts';
import type { TenantId } from '../model/ids.ts';
import type { Configuration } from '../model/policy.ts';
import type { Clock, Store, StoredEntry } from '../model/ports.ts';
import { Problem } from '../model/problem.ts';

const COMMIT_TRIES_MAX = 5;
/** Entries of the act that one read takes. */
const PAGE = 50;

export interface LogPorts {
  readonly store: Store;
  readonly clock: Clock;
  readonly tenant: TenantId;
}

export type PolicyEntry = Extract<EntryBody, { readonly type: 'policy' }>;

/** A policy of the ledger and where it stands there. */
export interface LoggedPolicy extends PolicyEntry {
  readonly at: number;
  readonly index: number;
  readonly step: number;
}

/** Returns the last policy of the ledger; undefined before the first start. */
export async function lastPolicy(ports: LogPorts): Promise<LoggedPolicy | undefined> {
  return (await policies(ports, { limit: 1 }))[0];
}

/** Returns policies of the ledger before a step of its own act, the last first, at most `limit`. */
export async function policies(
  { store, tenant }: LogPorts,
  { before, limit }: { readonly before?: number; readonly limit: number },
): Promise<readonly LoggedPolicy[]> {
  const found: LoggedPolicy[] = [];
  let step = before;
  while (found.length < limit) {
    const range = { limit: PAGE, ...(step !== undefined && { before: step }) };
    const page = await store.actEntries(tenant, LOG_ACT, range);
    found.push(...page.flatMap(loggedPolicy));
    step = page.at(-1)?.step ?? 1;
    if (step <= 1) break;
  }
  return found.slice(0, limit);
}

function loggedPolicy(entry: StoredEntry): readonly LoggedPolicy[] {
  const body = openEntry(entry.leaf, entry.payloads);
  if (body.type !== 'policy') return [];
  return [{ ...body, at: entry.at, index: entry.index, step: entry.step }];
}

/** Puts a policy that comes into force into the ledger, unless it is the last one there. */
export async function recordPolicy(
  ports: LogPorts,
  { policy: { digest, mode }, text }: Pick<Configuration, 'policy' | 'text'>,
  how: Pick<PolicyEntry, 'by' | 'weakens' | 'atStart'> = {},
): Promise<void> {
  if ((await lastPolicy(ports))?.digest === digest) return;
  await commitLog(ports, [{ type: 'policy', digest, mode, text, ...how }]);
}

/** Adds entries to the ledger's own act. */
export async function commitLog(
  { store, clock, tenant }: LogPorts,
  entries: readonly EntryBody[],
): Promise<void> {
  for (let tries = 0; tries < COMMIT_TRIES_MAX; tries += 1) {
    const expectStep = await store.actStep(tenant, LOG_ACT);
    const commit = await store.commit({
      tenant,
      at: clock.now(),
      acts: [{ act: LOG_ACT, expectStep, entries }],
    });
    if (commit.kind === 'committed') return;
  }
  throw new Problem('store-unusable', 'the ledger could not take its own entry; try again');
}
