/** The policies that were in force, as the ledger has them. */
import { openEntry } from '../ledger/entry.ts';
import { LOG_ACT, type EntryBody } from '../model/entry.ts';
import type { TenantId } from '../model/ids.ts';
import type { Configuration } from '../model/policy.ts';
import type { Clock, Store, StoredEntry } from '../model/ports.ts';
import { Problem } from '../model/problem.ts';

/** How often what is compared with the last policy is compared anew, because another one came. */
export const POLICY_TRIES_MAX = 5;
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

/** Returns how far the ledger's own act is, and its policies after a step of it, the oldest first. */
export async function policiesAfter(
  { store, tenant }: LogPorts,
  after: number,
): Promise<{ readonly step: number; readonly found: readonly LoggedPolicy[] }> {
  const found: LoggedPolicy[] = [];
  let newest = after;
  let before: number | undefined;
  do {
    const range = { limit: PAGE, ...(before !== undefined && { before }) };
    const page = await store.actEntries(tenant, LOG_ACT, range);
    const fresh = page.filter(({ step }) => step > after);
    // What is added while older pages are read is for the next look.
    newest = Math.max(newest, fresh[0]?.step ?? after);
    found.push(...fresh.flatMap(loggedPolicy));
    before = fresh.length < PAGE ? undefined : fresh.at(-1)?.step;
  } while (before !== undefined);
  return { step: newest, found: found.toReversed() };
}

/**
 * Puts a policy into the ledger as the next step of its own act; false where another entry, from
 * whichever gateway, is that step already, and then nothing was written.
 */
export function recordPolicy(
  ports: LogPorts,
  { policy: { digest, mode }, text }: Pick<Configuration, 'policy' | 'text'>,
  expectStep: number,
  how: Pick<PolicyEntry, 'by' | 'weakens' | 'atStart'> = {},
): Promise<boolean> {
  return commitLog(ports, expectStep, { type: 'policy', digest, mode, text, ...how });
}

/** Adds an entry to the ledger's own act as its next step; false where that is taken. */
export async function commitLog(
  { store, clock, tenant }: LogPorts,
  expectStep: number,
  entry: EntryBody,
): Promise<boolean> {
  const commit = await store.commit({
    tenant,
    at: clock.now(),
    acts: [{ act: LOG_ACT, expectStep, entries: [entry] }],
  });
  return commit.kind === 'committed';
}

/** Says that policies kept coming while this one was to; nothing was written. */
export function contendedLog(): Problem {
  return new Problem('too-many-requests', 'other policies came into force meanwhile; try again');
}
