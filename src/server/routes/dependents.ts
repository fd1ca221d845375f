/** What depends on a resource, for people to look at before they decide. */
import type { DependentsView } from '../../model/dependents.ts';
import {
  DEPENDENTS_QUERY,
  DEPENDENTS_VIEW,
  type DependentsQuery,
} from '../shapes/dependents-answers.ts';
import type { Route } from './route.ts';

/** Looks dependents up; `main/dependents.ts` is the one of the gateway. */
export type DependentsPort = (asked: DependentsQuery) => Promise<DependentsView>;

export function dependentRoutes(dependents: DependentsPort | undefined): readonly Route[] {
  if (dependents === undefined) return [];
  return [
    {
      method: 'GET',
      path: '/v1/dependents',
      operationId: 'listDependents',
      summary: 'What depends on a resource: in its target, and by the policy',
      access: 'person',
      query: DEPENDENTS_QUERY.schema,
      body: null,
      status: 200,
      answer: DEPENDENTS_VIEW,
      take: ({ query }) => dependents(DEPENDENTS_QUERY.parse(query)),
    },
  ];
}
