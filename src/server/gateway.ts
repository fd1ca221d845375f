/** The gate as one caller has it: what MCP and the HTTP routes of proposals speak with. */
import type { Gate } from '../gate.ts';
import type {
  OperationPage,
  OperationView,
  ProposalPage,
  RowPage,
  RowQuery,
  WriteBody,
} from '../model/api.ts';
import { proposalId, type ProposalId } from '../model/ids.ts';
import { isTerminal } from '../model/lifecycle.ts';
import type { Principal } from '../model/principal.ts';
import { Problem } from '../model/problem.ts';
import type { ReadBody, ReadResult } from '../model/read.ts';
import type { Result } from '../model/result.ts';
import { toDraft } from './draft.ts';
import { PAGE_DEFAULT, type ListQuery } from './shapes/requests.ts';

export interface WaitOptions {
  readonly waitMs: number;
  readonly signal: AbortSignal;
}

/**
 * What an agent may do, and no more. The gate in this process satisfies it through `gatewayFor`,
 * a gateway elsewhere through the SDK's client, so that `writegate mcp` holds only a token.
 * Problems are errors whose `code` is one of the table's.
 */
export interface AgentGateway {
  preview(draft: WriteBody, options: { readonly signal: AbortSignal }): Promise<Result>;
  propose(draft: WriteBody): Promise<Result>;
  /** One bounded wait for the proposal to settle; then its present state. */
  wait(id: string, options: WaitOptions): Promise<Result>;
  status(id: string): Promise<Result>;
  list(query: ListQuery): Promise<ProposalPage>;
  cancel(id: string): Promise<Result>;
  rows(id: string, query: RowQuery): Promise<RowPage>;
  operations(): Promise<OperationPage>;
  read(body: ReadBody, options: { readonly signal: AbortSignal }): Promise<ReadResult>;
}

/** The gate in this process, for one caller. */
export function gatewayFor(
  gate: Gate,
  principal: Principal,
  operations: readonly OperationView[] = [],
): AgentGateway {
  return {
    preview: (draft, { signal }) => gate.preview(principal, toDraft(draft), signal),
    propose: (draft) => gate.propose(principal, toDraft(draft)),
    wait: async (id, { waitMs, signal }) => gate.wait(principal, knownId(id), waitMs, signal),
    status: async (id) => gate.status(principal, knownId(id)),
    cancel: async (id) => gate.cancel(principal, knownId(id)),
    rows: async (id, query) => gate.rows(principal, knownId(id), query),
    operations: async () => ({ items: operations }),
    read: (body, { signal }) => gate.read(principal, body, signal),
    list: async ({ state, limit, before }) =>
      gate.list(principal, {
        limit: limit ?? PAGE_DEFAULT,
        ...(state === undefined ? {} : { states: state }),
        ...(before === undefined ? {} : { before: knownId(before) }),
      }),
  };
}

/** Reads a proposal id; a text that cannot be one is unknown, like one that is not there. */
export function knownId(text: string): ProposalId {
  const id = proposalId(text);
  if (id !== undefined) return id;
  throw new Problem('proposal-unknown', 'a proposal id is `prop_` and 26 letters and digits');
}

/** How many parts a wait has that reports progress. */
const TICK_MS = 10_000;

/**
 * Waits for a first result to settle, at most `waitMs`. With `onTick` it waits in parts and calls
 * that after each. A caller that goes away ends the wait and nothing else.
 */
export async function settled(
  gateway: Pick<AgentGateway, 'wait'>,
  first: Result,
  options: WaitOptions & { readonly onTick?: (waitedMs: number) => Promise<void> },
): Promise<Result> {
  const { waitMs, signal, onTick } = options;
  const partMs = onTick === undefined ? waitMs : TICK_MS;
  let result = first;
  let waitedMs = 0;
  while (waitedMs < waitMs && isUnsettled(result) && !signal.aborted) {
    const part = Math.min(partMs, waitMs - waitedMs);
    result = await gateway.wait(result.proposalId, { waitMs: part, signal });
    waitedMs += part;
    if (isUnsettled(result)) await onTick?.(waitedMs);
  }
  return { ...result, replayed: first.replayed };
}

function isUnsettled(result: Result): result is Result & { readonly proposalId: string } {
  if (result.proposalId === null || result.state === 'previewed') return false;
  return !isTerminal(result.state);
}
