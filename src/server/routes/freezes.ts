/** Stops: no new effects within a scope, until a person lifts them. */
import type { Gate } from '../../gate.ts';
import type { FreezePage } from '../../model/api.ts';
import { freezeId } from '../../model/ids.ts';
import { Problem } from '../../model/problem.ts';
import { asPerson } from '../auth.ts';
import { FREEZE_PAGE, FREEZE_VIEW } from '../shapes/gateway-answers.ts';
import { FREEZE, RELEASE } from '../shapes/requests.ts';
import type { Route } from './route.ts';

export function freezeRoutes(gate: Gate): readonly Route[] {
  return [
    {
      method: 'GET',
      path: '/v1/freezes',
      operationId: 'listFreezes',
      summary: 'Stops that are on, and those released lately',
      access: 'holder',
      query: null,
      body: null,
      status: 200,
      answer: FREEZE_PAGE,
      take: async ({ principal }): Promise<FreezePage> => ({
        items: await gate.freezes(principal),
      }),
    },
    {
      method: 'POST',
      path: '/v1/freezes',
      operationId: 'stop',
      summary: 'Stop: no new effects for everything, the tenant, an agent, a target or a run',
      access: 'person',
      query: null,
      body: FREEZE.schema,
      status: 201,
      answer: FREEZE_VIEW,
      take: async ({ principal, body }) => {
        const { scope, reason } = FREEZE.parse(body);
        return gate.stop(asPerson(principal), scope, reason);
      },
    },
    {
      method: 'POST',
      path: '/v1/freezes/{id}/release',
      operationId: 'release',
      summary: 'Speak for the release of a stop; the last voice that is needed lifts it',
      access: 'person',
      query: null,
      body: RELEASE.schema,
      status: 200,
      answer: FREEZE_VIEW,
      take: async ({ principal, param, body }) => {
        const { reason } = RELEASE.parse(body);
        const id = freezeId(param('id'));
        if (id === undefined) {
          throw new Problem('freeze-unknown', 'a freeze id is `frz_` and 26 letters and digits');
        }
        return gate.release(asPerson(principal), id, reason);
      },
    },
  ];
}
