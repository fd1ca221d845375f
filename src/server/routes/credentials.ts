/** Credentials: an operator hands them out and takes them back. */
import { credentialId } from '../../model/ids.ts';
import { Problem } from '../../model/problem.ts';
import { asPerson, type CredentialPort } from '../auth.ts';
import { CREDENTIAL_PAGE, CREDENTIAL_VIEW } from '../shapes/gateway-answers.ts';
import { CREDENTIAL } from '../shapes/requests.ts';
import type { Route } from './route.ts';

export function credentialRoutes(credentials: CredentialPort): readonly Route[] {
  return [
    {
      method: 'GET',
      path: '/v1/credentials',
      operationId: 'listCredentials',
      summary: 'Credentials, revoked ones too, without their secrets',
      access: 'operator',
      query: null,
      body: null,
      status: 200,
      answer: CREDENTIAL_PAGE,
      take: () => credentials.list(),
    },
    {
      method: 'POST',
      path: '/v1/credentials',
      operationId: 'issueCredential',
      summary: 'Make a credential for an agent or a person; its secret is shown this once',
      access: 'operator',
      query: null,
      body: CREDENTIAL.schema,
      status: 201,
      answer: CREDENTIAL_VIEW,
      take: async ({ principal, body }) =>
        credentials.issue(asPerson(principal), CREDENTIAL.parse(body).holder),
    },
    {
      method: 'POST',
      path: '/v1/credentials/{id}/revoke',
      operationId: 'revokeCredential',
      summary: 'End a credential',
      access: 'operator',
      query: null,
      body: null,
      status: 204,
      answer: null,
      take: async ({ principal, param }) => {
        const id = credentialId(param('id'));
        if (id === undefined) {
          throw new Problem(
            'route-unknown',
            'a credential id is `cred_` and 26 letters and digits',
          );
        }
        await credentials.revoke(asPerson(principal), id);
      },
    },
  ];
}
