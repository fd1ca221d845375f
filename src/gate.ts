/** The journey of a write in six calls; the only file that knows their order. */
import type { ApprovalBody, ProposalPage, ProposalView } from './model/api.ts';
import type { Draft } from './model/draft.ts';
import type { Freeze, FreezeScope } from './model/freeze.ts';
import type { FreezeId, ProposalId } from './model/ids.ts';
import type { PersonPrincipal, Principal } from './model/principal.ts';
import type { ProposalFilter } from './model/ports.ts';
import type { Result } from './model/result.ts';

/** The gate as `server/` sees it. Every method throws `Problem` for a call that cannot be taken. */
export interface Gate {
  /** Measures and decides without making a proposal. */
  preview(principal: Principal, draft: Draft, signal: AbortSignal): Promise<Result>;
  /** Admits, assesses, decides and, where allowed, executes. A caller that goes away stops nothing. */
  propose(principal: Principal, draft: Draft): Promise<Result>;
  /** Records a person's yes or no to the digest that was shown, and goes on with the journey. */
  approve(person: Principal, id: ProposalId, approval: ApprovalBody): Promise<Result>;
  cancel(principal: Principal, id: ProposalId): Promise<Result>;
  /** Proposes the inverse of an applied proposal through the same door. */
  rollback(principal: Principal, id: ProposalId): Promise<Result>;
  /** The result as it is now. */
  status(principal: Principal, id: ProposalId): Promise<Result>;
  /** Like `status`, but waits up to `timeoutMs` (at most `WAIT_MS_MAX`) for a settled state. */
  wait(
    principal: Principal,
    id: ProposalId,
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<Result>;
  view(principal: Principal, id: ProposalId): Promise<ProposalView>;
  list(principal: Principal, filter: ProposalFilter): Promise<ProposalPage>;
  stop(person: Principal, scope: FreezeScope, reason: string): Promise<Freeze>;
  release(person: Principal, id: FreezeId, reason: string): Promise<Freeze>;
  freezes(principal: Principal): Promise<readonly Freeze[]>;
}

export type { PersonPrincipal };
