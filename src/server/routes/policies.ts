/** Policies: the one in force, those before it, and how another comes into force. */
import type { PolicyApplied, PolicyPage, PolicyView } from '../../model/api.ts';
import type { PersonPrincipal } from '../../model/principal.ts';
import { asPerson } from '../auth.ts';
import {
  POLICY_APPLIED,
  POLICY_BODY,
  POLICY_BODY_BYTES_MAX,
  POLICY_PAGE,
  POLICY_QUERY,
  POLICY_VIEW,
} from '../shapes/policies.ts';
import { PAGE_DEFAULT } from '../shapes/requests.ts';
import type { Route } from './route.ts';

/** What is behind the routes: the configuration in force and the ledger. */
export interface PolicyPort {
  current(): PolicyView;
  /** Problems `policy-differs`, `policy-invalid`, `role-missing`. */
  apply(by: PersonPrincipal, text: string): Promise<PolicyApplied>;
  /** Versions of the ledger, the last first. */
  history(range: { readonly before?: number; readonly limit: number }): Promise<PolicyPage>;
}

export function policyRoutes(policies: PolicyPort): readonly Route[] {
  return [
    {
      method: 'GET',
      path: '/v1/policies',
      operationId: 'listPolicies',
      summary: 'Policies that were in force, as the ledger has them, the last first',
      access: 'person',
      query: POLICY_QUERY.schema,
      body: null,
      status: 200,
      answer: POLICY_PAGE,
      take: ({ query }) => policies.history({ limit: PAGE_DEFAULT, ...POLICY_QUERY.parse(query) }),
    },
    {
      method: 'GET',
      path: '/v1/policies/current',
      operationId: 'currentPolicy',
      summary: 'The policy in force, with its text',
      access: 'person',
      query: null,
      body: null,
      status: 200,
      answer: POLICY_VIEW,
      take: () => policies.current(),
    },
    {
      method: 'POST',
      path: '/v1/policies',
      operationId: 'applyPolicy',
      summary:
        "Bring the text of the gateway's file into force; a weaker one takes the role `policy`",
      access: 'person',
      query: null,
      body: POLICY_BODY.schema,
      bodyBytesMax: POLICY_BODY_BYTES_MAX,
      status: 200,
      answer: POLICY_APPLIED,
      take: async ({ principal, body }) =>
        policies.apply(asPerson(principal), POLICY_BODY.parse(body).text),
    },
  ];
}
