/** What is usual for an agent. */
import type { Gate } from '../../gate.ts';
import { BASELINE_PAGE } from '../shapes/gateway-answers.ts';
import { BASELINE_QUERY } from '../shapes/requests.ts';
import type { Route } from './route.ts';

export function baselineRoutes(gate: Gate): readonly Route[] {
  return [
    {
      method: 'GET',
      path: '/v1/baselines',
      operationId: 'listBaselines',
      summary: 'What is usual for an agent, by target and operation; people only',
      access: 'person',
      query: BASELINE_QUERY.schema,
      body: null,
      status: 200,
      answer: BASELINE_PAGE,
      take: ({ principal, query }) => gate.baselines(principal, BASELINE_QUERY.parse(query).agent),
    },
  ];
}
