/** Questions about the past; nothing is changed by them. */
import type { Past } from '../../gate/past.ts';
import { asPerson } from '../auth.ts';
import { LINES_TYPE, linesOf } from '../lines.ts';
import type { Log } from '../problem.ts';
import { REPLAY, SUGGEST, TRACE_PAGE } from '../shapes/past-shapes.ts';
import type { Route } from './route.ts';

export function pastRoutes(past: Past, log: Log): readonly Route[] {
  return [
    {
      method: 'POST',
      path: '/v1/policies/replay',
      operationId: 'replayPolicy',
      summary: 'What a policy would have decided on the proposals since a time; changes nothing',
      access: 'person',
      query: null,
      body: REPLAY.schema,
      status: 200,
      answer: LINES_TYPE,
      take: ({ principal, body, signal }) =>
        linesOf(past.replay(asPerson(principal), REPLAY.parse(body), signal), log),
    },
    {
      method: 'GET',
      path: '/v1/runs/{run}/trace',
      operationId: 'traceRun',
      summary: 'What was proposed under a run, step by step; an agent sees its own',
      access: 'holder',
      query: null,
      body: null,
      status: 200,
      answer: TRACE_PAGE,
      take: ({ principal, param }) => past.trace(principal, param('run')),
    },
    {
      method: 'POST',
      path: '/v1/policies/suggest',
      operationId: 'suggestPolicy',
      summary: 'A policy drafted from what was really written, with its replay; changes nothing',
      access: 'person',
      query: null,
      body: SUGGEST.schema,
      status: 200,
      answer: LINES_TYPE,
      take: ({ principal, body, signal }) =>
        linesOf(past.suggest(asPerson(principal), SUGGEST.parse(body), signal), log),
    },
  ];
}
