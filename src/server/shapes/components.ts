/** The schemas that have a name: written once and referred to, wherever they stand. */
import { isJsonObject, type Json } from '../../lib/json.ts';
import * as answers from './answers.ts';
import * as gatewayAnswers from './gateway-answers.ts';
import { POLICY_APPLIED, POLICY_BODY, POLICY_PAGE, POLICY_VIEW } from './policies.ts';
import { APPROVAL, CREDENTIAL, DRAFT, FREEZE, READ, RELEASE } from './requests.ts';
import { REPLAY, SUGGEST } from './past-shapes.ts';
import { READ_RESULT, ROW_PAGE } from './row-answers.ts';
import type { JsonSchema } from './shape.ts';
import { UPLOAD_ANSWER } from './upload-answers.ts';

export const COMPONENTS: Readonly<Record<string, JsonSchema>> = {
  Draft: DRAFT.schema,
  ApprovalBody: APPROVAL.schema,
  FreezeBody: FREEZE.schema,
  ReleaseBody: RELEASE.schema,
  CredentialBody: CREDENTIAL.schema,
  ReadBody: READ.schema,
  ReplayBody: REPLAY.schema,
  SuggestBody: SUGGEST.schema,
  Result: answers.RESULT,
  Receipt: answers.RECEIPT,
  PlanDifference: answers.PLAN_DIFFERENCE,
  Conflict: answers.CONFLICT,
  Effect: answers.EFFECT,
  Plan: answers.PLAN,
  Assessment: answers.ASSESSMENT,
  Decision: answers.DECISION,
  Approval: answers.PERSON_APPROVAL,
  Outcome: answers.OUTCOME,
  ProposalSummary: answers.PROPOSAL_SUMMARY,
  ProposalPage: answers.PROPOSAL_PAGE,
  ProposalView: answers.PROPOSAL_VIEW,
  RowPage: ROW_PAGE,
  ReadResult: READ_RESULT,
  Upload: UPLOAD_ANSWER,
  Freeze: gatewayAnswers.FREEZE_VIEW,
  FreezePage: gatewayAnswers.FREEZE_PAGE,
  Credential: gatewayAnswers.CREDENTIAL_VIEW,
  CredentialPage: gatewayAnswers.CREDENTIAL_PAGE,
  PolicyBody: POLICY_BODY.schema,
  PolicyApplied: POLICY_APPLIED,
  PolicyView: POLICY_VIEW,
  PolicyPage: POLICY_PAGE,
  GatewayStatus: gatewayAnswers.GATEWAY_STATUS,
  OperationPage: gatewayAnswers.OPERATION_PAGE,
  ResourcePage: gatewayAnswers.RESOURCE_PAGE,
  Health: gatewayAnswers.HEALTH,
  Problem: gatewayAnswers.PROBLEM_DOCUMENT,
  ProblemRow: gatewayAnswers.PROBLEM_ROW,
};

const NAMES = new Map<Json, string>(
  Object.entries(COMPONENTS).map(([name, schema]) => [schema, name]),
);

/** Writes a schema that has a name as a reference to its `place`; it is known by identity. */
export function referring(schema: Json, place: string): Json {
  const name = NAMES.get(schema);
  if (name !== undefined) return { $ref: `${place}${name}` };
  if (isJsonObject(schema)) return membersOf(schema, place);
  return isList(schema) ? schema.map((item) => referring(item, place)) : schema;
}

/** Writes what is inside a schema, each that has a name as a reference. */
export function membersOf(schema: JsonSchema, place: string): JsonSchema {
  const members = Object.entries(schema).map(([name, member]): [string, Json] => [
    name,
    referring(member, place),
  ]);
  return Object.fromEntries(members);
}

// `Array.isArray` alone does not narrow a readonly array.
function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}
