/** What the budgets have in use. */
import type { Gate } from '../../gate.ts';
import { BUDGET_PAGE } from '../shapes/gateway-answers.ts';
import { BUDGET_QUERY } from '../shapes/requests.ts';
import type { Route } from './route.ts';

export function budgetRoutes(gate: Gate): readonly Route[] {
  return [
    {
      method: 'GET',
      path: '/v1/budgets',
      operationId: 'listBudgets',
      summary: 'What each budget has spent, in flight and left; agents see their own',
      access: 'holder',
      query: BUDGET_QUERY.schema,
      body: null,
      status: 200,
      answer: BUDGET_PAGE,
      take: ({ principal, query }) => gate.budgets(principal, BUDGET_QUERY.parse(query).agent),
    },
  ];
}
