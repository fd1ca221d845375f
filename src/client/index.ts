/** The SDK `writegate`: propose writes to a gateway, wait for people, read what became of them. */
export {
  createClient,
  type CallOptions,
  type Client,
  type ClientOptions,
  type ListOptions,
  type RowsOptions,
  type WaitOptions,
} from './client.ts';
export { GatewayProblem } from './problem.ts';
export type {
  ApprovalBody,
  ChainBody,
  CredentialBody,
  CredentialPage,
  CredentialSummary,
  CredentialView,
  DraftBody,
  BaselinePage,
  BaselineView,
  BudgetPage,
  BudgetView,
  FreezePage,
  FreezeView,
  GatewayStatus,
  OperationPage,
  OperationView,
  ProposalPage,
  ProposalSummary,
  ProposalView,
  ResolutionBody,
  UploadAnswer,
  WriteBody,
  RowPage,
  RowQuery,
} from '../model/api.ts';
export type { Freeze, FreezeScope, Voice } from '../model/freeze.ts';
export type { State } from '../model/lifecycle.ts';
export type { Effect, PlanDifference } from '../model/plan.ts';
export type { ProblemCode } from '../model/problem.ts';
export type { ReplayBody, ReplayExample, ReplayGroup, ReplayReport } from '../model/replay.ts';
export type { SeenAgent, SuggestAnswer, SuggestBody } from '../model/suggest.ts';
export type { ReadBody, ReadCode, ReadResult } from '../model/read.ts';
export type { Next, Receipt, Result } from '../model/result.ts';
