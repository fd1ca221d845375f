/** Questions about the past: for people alone, and nothing is changed by them. */
import type { Past } from '../../gate/past.ts';
import { asPerson } from '../auth.ts';
import { LINES_TYPE, linesOf } from '../lines.ts';
import type { Log } from '../problem.ts';
import { REPLAY } from '../shapes/past-shapes.ts';
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
  ];
}
