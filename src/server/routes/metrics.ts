/** Metrics for a scraper, which has a person's credential: they name agents and targets. */
import { Problem } from '../../model/problem.ts';
import { asPerson } from '../auth.ts';
import type { Route } from './route.ts';

export function metricsRoutes(metrics: (() => Promise<string>) | undefined): readonly Route[] {
  if (metrics === undefined) return [];
  return [
    {
      method: 'GET',
      path: '/metrics',
      operationId: 'metrics',
      summary: 'Counters, durations and levels in the text form of Prometheus',
      access: 'person',
      query: null,
      body: null,
      status: 200,
      answer: 'text/plain; version=0.0.4; charset=utf-8',
      take: ({ principal }) => {
        const { roles, name } = asPerson(principal);
        if (roles.includes('operator') || roles.includes('auditor')) return metrics();
        throw new Problem(
          'role-missing',
          `metrics need the role \`operator\` or \`auditor\`; \`${name}\` has neither`,
        );
      },
    },
  ];
}
