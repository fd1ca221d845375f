/** The OpenAPI 3.1 document, made from the rows that are served and the schemas that parse. */
import { STATUS_CODES } from 'node:http';
import type { Json, JsonObject } from '../lib/json.ts';
import type { Access } from './auth.ts';
import type { Route } from './routes/route.ts';
import { PROBLEM_DOCUMENT } from './shapes/gateway-answers.ts';
import { COMPONENTS, membersOf, referring } from './shapes/components.ts';

const PLACE = '#/components/schemas/';

/** What a caller must hold, in words. */
const ACCESS: Readonly<Record<Access, string>> = {
  public: 'No credential is needed.',
  holder: "Takes an agent's or a person's credential.",
  agent: "Takes an agent's credential.",
  person: "Takes a person's credential; an agent's never stands in for it.",
  operator: "Takes an operator's credential.",
};

export function openApiDocument(routes: readonly Route[], version: string): JsonObject {
  const paths: Record<string, Record<string, Json>> = {};
  for (const route of routes) {
    paths[route.path] = { ...paths[route.path], [route.method.toLowerCase()]: operation(route) };
  }
  const schemas = Object.entries(COMPONENTS).map(([name, schema]): [string, Json] => [
    name,
    membersOf(schema, PLACE),
  ]);
  return {
    openapi: '3.1.0',
    info: {
      title: 'Writegate',
      version,
      summary: 'The write gateway for AI agents',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/' }],
    paths,
    components: {
      securitySchemes: {
        bearer: {
          type: 'http',
          scheme: 'bearer',
          description: '`wga_…` of an agent, `wgp_…` of a person',
        },
      },
      schemas: Object.fromEntries(schemas),
    },
  };
}

function operation(route: Route): JsonObject {
  return {
    operationId: route.operationId,
    summary: route.summary,
    description: ACCESS[route.access],
    security: route.access === 'public' ? [] : [{ bearer: [] }],
    parameters: parameters(route),
    ...requestBody(route),
    responses: {
      [route.status]: { description: STATUS_CODES[route.status] ?? '', ...content(route.answer) },
      default: {
        description: 'The call could not be taken; nothing was changed',
        content: {
          'application/problem+json': { schema: referring(PROBLEM_DOCUMENT, PLACE) },
        },
      },
    },
  };
}

function requestBody({ body, stream }: Route): JsonObject {
  if (stream !== undefined) {
    const files = Object.fromEntries(stream.map((type) => [type, {}]));
    return { requestBody: { required: true, content: files } };
  }
  if (body === null) return {};
  const schema = referring(body, PLACE);
  return { requestBody: { required: true, content: { 'application/json': { schema } } } };
}

function content(answer: Route['answer']): JsonObject {
  if (answer === null) return {};
  if (typeof answer === 'string') return { content: { [answer]: {} } };
  return { content: { 'application/json': { schema: referring(answer, PLACE) } } };
}

function parameters(route: Route): Json {
  const inPath = [...route.path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }));
  const query: Json = route.query?.['properties'] ?? {};
  return [
    ...inPath,
    ...optional('query', Object.entries(query ?? {})),
    ...optional('header', Object.entries(route.headers ?? {})),
  ];
}

function optional(place: string, schemas: readonly (readonly [string, Json])[]): readonly Json[] {
  return schemas.map(([name, schema]) => ({ name, in: place, required: false, schema }));
}
