/** Proposals: what agents send, what people decide. */
import type { Gate } from '../../gate.ts';
import { recordOf } from '../../lib/record.ts';
import { Problem } from '../../model/problem.ts';
import { asPerson } from '../auth.ts';
import { formOf, parseDraft, parseRead } from '../draft.ts';
import { gatewayFor, knownId, settled } from '../gateway.ts';
import { PROPOSAL_PAGE, PROPOSAL_VIEW, RESULT } from '../shapes/answers.ts';
import {
  APPROVAL,
  IDEMPOTENCY_KEY,
  LIST_QUERY,
  READ,
  RESOLUTION,
  ROW_QUERY,
  WAIT_QUERY,
  WRITE_SCHEMA,
} from '../shapes/requests.ts';
import { READ_RESULT, ROW_PAGE } from '../shapes/row-answers.ts';
import type { Call, Route } from './route.ts';

const NOTHING_SENT = { query: null, body: null } as const;

export function proposalRoutes(gate: Gate): readonly Route[] {
  return [...agentRoutes(gate), ...readingRoutes(gate), ...decidingRoutes(gate)];
}

function agentRoutes(gate: Gate): readonly Route[] {
  return [
    {
      method: 'POST',
      path: '/v1/previews',
      operationId: 'preview',
      summary: 'Measure a write and take it back; nothing is proposed',
      access: 'holder',
      query: null,
      body: WRITE_SCHEMA,
      status: 200,
      answer: RESULT,
      take: ({ principal, body, signal }) =>
        gatewayFor(gate, principal).preview(parseDraft(body), { signal }),
    },
    {
      method: 'POST',
      path: '/v1/proposals',
      operationId: 'propose',
      summary: 'Propose a write; a decision of any kind is 201, a denial too',
      access: 'holder',
      query: WAIT_QUERY.schema,
      body: WRITE_SCHEMA,
      headers: { 'Idempotency-Key': IDEMPOTENCY_KEY },
      status: 201,
      answer: RESULT,
      location: ownLink,
      take: (call) => propose(gate, call),
    },
    {
      method: 'POST',
      path: '/v1/reads',
      operationId: 'read',
      summary: 'Ask a target something; a refusal is 200 too',
      access: 'agent',
      query: null,
      body: READ.schema,
      status: 200,
      answer: READ_RESULT,
      take: ({ principal, body, signal }) =>
        gatewayFor(gate, principal).read(parseRead(body), { signal }),
    },
    {
      method: 'POST',
      path: '/v1/proposals/{id}/cancel',
      operationId: 'cancel',
      summary: 'Withdraw a proposal that has not been carried out',
      access: 'holder',
      ...NOTHING_SENT,
      status: 200,
      answer: RESULT,
      take: ({ principal, param }) => gatewayFor(gate, principal).cancel(param('id')),
    },
  ];
}

/** The draft is begun before anything waits: a caller that goes away only misses the answer. */
async function propose(gate: Gate, call: Call): Promise<unknown> {
  const { waitMs = 0 } = WAIT_QUERY.parse(call.query);
  const draft = parseDraft(withKey(call.body, call.header('idempotency-key')));
  const gateway = gatewayFor(gate, call.principal);
  const first = await gateway.propose(draft);
  if (waitMs === 0) return first;
  return settled(gateway, first, { waitMs, signal: call.signal });
}

function withKey(body: unknown, headerKey: string | undefined): unknown {
  if (headerKey === undefined) return body;
  const draft = formOf(body);
  const { idempotencyKey = headerKey } = draft;
  if (idempotencyKey === headerKey) return { ...draft, idempotencyKey };
  throw new Problem(
    'draft-invalid',
    'the header `Idempotency-Key` and the member `idempotencyKey` differ; send one, or both the same',
    { at: '/idempotencyKey' },
  );
}

function readingRoutes(gate: Gate): readonly Route[] {
  return [
    {
      method: 'GET',
      path: '/v1/proposals',
      operationId: 'listProposals',
      summary: "Proposals, newest first: an agent's own, a person's whole tenant",
      access: 'holder',
      query: LIST_QUERY.schema,
      body: null,
      status: 200,
      answer: PROPOSAL_PAGE,
      take: ({ principal, query }) => gatewayFor(gate, principal).list(LIST_QUERY.parse(query)),
    },
    {
      method: 'GET',
      path: '/v1/proposals/{id}',
      operationId: 'viewProposal',
      summary: 'A proposal, whole: plan, decision, approvals, outcome, history',
      access: 'holder',
      ...NOTHING_SENT,
      status: 200,
      answer: PROPOSAL_VIEW,
      take: async ({ principal, param }) => gate.view(principal, knownId(param('id'))),
    },
    {
      method: 'GET',
      path: '/v1/proposals/{id}/rows',
      operationId: 'proposalRows',
      summary: 'The rows of a proposal, page by page: every one that has images',
      access: 'holder',
      query: ROW_QUERY.schema,
      body: null,
      status: 200,
      answer: ROW_PAGE,
      take: ({ principal, param, query }) =>
        gatewayFor(gate, principal).rows(param('id'), ROW_QUERY.parse(query)),
    },
    {
      method: 'GET',
      path: '/v1/proposals/{id}/result',
      operationId: 'waitForResult',
      summary: 'The result as it is now, or as it is when it settles within `waitMs`',
      access: 'holder',
      query: WAIT_QUERY.schema,
      body: null,
      status: 200,
      answer: RESULT,
      take: async ({ principal, param, query, signal }) => {
        const { waitMs = 0 } = WAIT_QUERY.parse(query);
        const gateway = gatewayFor(gate, principal);
        if (waitMs === 0) return gateway.status(param('id'));
        return gateway.wait(param('id'), { waitMs, signal });
      },
    },
  ];
}

function decidingRoutes(gate: Gate): readonly Route[] {
  return [
    {
      method: 'POST',
      path: '/v1/proposals/{id}/approvals',
      operationId: 'approve',
      summary: "A person's yes or no to the plan digest that was on the screen",
      access: 'person',
      query: null,
      body: APPROVAL.schema,
      status: 200,
      answer: RESULT,
      take: async ({ principal, param, body }) =>
        gate.approve(asPerson(principal), knownId(param('id')), APPROVAL.parse(body)),
    },
    {
      method: 'POST',
      path: '/v1/proposals/{id}/resolution',
      operationId: 'resolve',
      summary: 'How a proposal in doubt ended, as an operator who looked at the targets says',
      access: 'person',
      query: null,
      body: RESOLUTION.schema,
      status: 200,
      answer: RESULT,
      take: async ({ principal, param, body }) =>
        gate.resolve(asPerson(principal), knownId(param('id')), RESOLUTION.parse(body)),
    },
    {
      method: 'POST',
      path: '/v1/proposals/{id}/rollback',
      operationId: 'rollback',
      summary: 'Propose the inverse of an applied write, through the same door',
      access: 'holder',
      ...NOTHING_SENT,
      status: 201,
      answer: RESULT,
      location: ownLink,
      take: async ({ principal, param }) => gate.rollback(principal, knownId(param('id'))),
    },
  ];
}

function ownLink(answer: unknown): string | null {
  const { proposalId } = recordOf(answer);
  return typeof proposalId === 'string' ? `/v1/proposals/${proposalId}` : null;
}
