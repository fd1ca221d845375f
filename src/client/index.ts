/** The SDK `writegate`: propose writes to a gateway, wait for people, read what became of them. */
export {
  createClient,
  type CallOptions,
  type Client,
  type ClientOptions,
  type ListOptions,
  type WaitOptions,
} from './client.ts';
export { GatewayProblem } from './problem.ts';
export type {
  ApprovalBody,
  CredentialBody,
  CredentialPage,
  CredentialSummary,
  CredentialView,
  DraftBody,
  FreezePage,
  GatewayStatus,
  ProposalPage,
  ProposalSummary,
  ProposalView,
} from '../model/api.ts';
export type { Freeze, FreezeScope } from '../model/freeze.ts';
export type { State } from '../model/lifecycle.ts';
export type { PlanDifference } from '../model/plan.ts';
export type { ProblemCode } from '../model/problem.ts';
export type { Next, Receipt, Result } from '../model/result.ts';
