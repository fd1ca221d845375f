/** What the gateway says about itself; nothing here needs a credential or gives a secret away. */
import type {
  GatewayStatus,
  OperationPage,
  OperationView,
  ResourcePage,
  ResourceView,
} from '../../model/api.ts';
import { Problem, PROBLEMS } from '../../model/problem.ts';
import { HEALTH_PATH, READY_PATH } from '../exchanges.ts';
import { isProblemCode } from '../problem.ts';
import {
  GATEWAY_STATUS,
  HEALTH,
  OPERATION_PAGE,
  PROBLEM_ROW,
  RESOURCE_PAGE,
} from '../shapes/gateway-answers.ts';
import type { Route } from './route.ts';

const PUBLIC_READ = {
  method: 'GET',
  access: 'public',
  query: null,
  body: null,
  status: 200,
} as const;

export function gatewayRoutes({
  status,
  operations,
  resources,
  isLeaving,
  openApi,
}: {
  readonly status: () => Promise<GatewayStatus>;
  readonly operations: () => readonly OperationView[];
  readonly resources: () => Promise<readonly ResourceView[]>;
  /** Whether new calls are to go elsewhere. */
  readonly isLeaving: () => boolean;
  readonly openApi: () => unknown;
}): readonly Route[] {
  return [
    {
      ...PUBLIC_READ,
      path: '/v1/status',
      operationId: 'gatewayStatus',
      summary: 'Version, policy, ledger and targets of this gateway',
      answer: GATEWAY_STATUS,
      take: () => status(),
    },
    {
      ...PUBLIC_READ,
      access: 'holder',
      path: '/v1/operations',
      operationId: 'listOperations',
      summary: 'What the targets offer, with the form of the arguments',
      answer: OPERATION_PAGE,
      take: (): OperationPage => ({ items: operations() }),
    },
    {
      ...PUBLIC_READ,
      access: 'person',
      path: '/v1/resources',
      operationId: 'listResources',
      summary: 'What the targets have that agents may be permitted to write to',
      answer: RESOURCE_PAGE,
      take: async (): Promise<ResourcePage> => ({ items: await resources() }),
    },
    {
      ...PUBLIC_READ,
      path: HEALTH_PATH,
      operationId: 'health',
      summary: 'Answers while the gateway takes calls',
      answer: HEALTH,
      take: () => ({ ok: true }),
    },
    {
      ...PUBLIC_READ,
      path: READY_PATH,
      operationId: 'readiness',
      summary: 'Answers while new calls are to be sent here: no more once the gateway is to stop',
      answer: HEALTH,
      take: () => {
        if (!isLeaving()) return { ok: true };
        throw new Problem(
          'gateway-stopping',
          'the gateway is about to stop; send calls to another',
        );
      },
    },
    {
      ...PUBLIC_READ,
      path: '/v1/openapi.json',
      operationId: 'openApi',
      summary: 'This document',
      answer: { type: 'object' },
      take: openApi,
    },
    {
      ...PUBLIC_READ,
      path: '/v1/problems/{code}',
      operationId: 'problem',
      summary: 'What a problem code means and who can do something about it',
      answer: PROBLEM_ROW,
      take: ({ param }) => {
        const code = param('code');
        if (isProblemCode(code)) return { code, ...PROBLEMS[code] };
        throw new Problem('route-unknown', 'there is no problem of that code');
      },
    },
  ];
}
