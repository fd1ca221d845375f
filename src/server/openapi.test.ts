import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts';
import {
  appOptions,
  CREDENTIAL_ID,
  DIGEST,
  DRAFT,
  fakeGate,
  FREEZE_ID,
  PROPOSAL_ID,
  READS,
  RESULTS,
  TOKENS,
} from '../../test/support/fake-gate.ts';
import { send, serve, type Served } from '../../test/support/serve.ts';
import { openApp } from './app.ts';
import { RESULT, RESULT_BRIEF } from './shapes/answers.ts';
import { READ_RESULT } from './shapes/row-answers.ts';

const METHODS = ['get', 'put', 'post', 'delete', 'options', 'head', 'patch', 'trace'];

async function documentOf(served: Served): Promise<JsonObject> {
  const { json } = await send(served, { path: '/v1/openapi.json' });
  return object(json as Json); // JSON.parse gave it
}

function object(value: Json | undefined): JsonObject {
  assert.ok(isJsonObject(value), `expected an object, found ${JSON.stringify(value)}`);
  return value;
}

function objects(value: Json | undefined): readonly JsonObject[] {
  assert.ok(Array.isArray(value), `expected a list, found ${JSON.stringify(value)}`);
  return value.map((each: Json) => object(each));
}

function text(value: Json | undefined): string {
  assert.equal(typeof value, 'string');
  return typeof value === 'string' ? value : '';
}

function at(value: JsonObject, ...path: readonly string[]): JsonObject {
  return path.reduce((found, name) => object(found[name]), value);
}

interface Operation {
  readonly path: string;
  readonly method: string;
  readonly operation: JsonObject;
}

function operations(document: JsonObject): readonly Operation[] {
  return Object.entries(at(document, 'paths')).flatMap(([path, item]) =>
    Object.entries(object(item)).map(([method, operation]) => ({
      path,
      method,
      operation: object(operation),
    })),
  );
}

/** Every object in a JSON value, itself first. */
function* objectsIn(value: Json): Generator<JsonObject> {
  if (isJsonObject(value)) yield value;
  if (typeof value !== 'object' || value === null) return;
  for (const member of Object.values(value)) yield* objectsIn(member);
}

test('the document has the structure of OpenAPI 3.1 and every reference in it leads somewhere', async (t) => {
  const document = await documentOf(await serve(t, appOptions(fakeGate())));
  assert.equal(document['openapi'], '3.1.0');
  assert.deepEqual(Object.keys(at(document, 'info')).toSorted(), [
    'license',
    'summary',
    'title',
    'version',
  ]);
  const ids = new Set<unknown>();
  for (const { path, method, operation } of operations(document)) {
    const name = `${method} ${path}`;
    assert.ok(METHODS.includes(method), name);
    assert.match(path, /^\/v1\/[a-z./{}]+$/, name);
    assert.ok(!ids.has(operation['operationId']), `${name}: the operationId is taken`);
    ids.add(operation['operationId']);
    const inPath = objects(operation['parameters']).filter((each) => each['in'] === 'path');
    assert.deepEqual(
      inPath.map((parameter) => `{${text(parameter['name'])}}`),
      path.match(/\{\w+\}/g) ?? [],
      name,
    );
    assert.ok(
      inPath.every((parameter) => parameter['required'] === true),
      name,
    );
    for (const [status, response] of Object.entries(at(operation, 'responses'))) {
      assert.match(status, /^(?:200|201|204|default)$/, name);
      assert.ok(text(object(response)['description']).length > 0, name);
    }
  }
  for (const found of objectsIn(document)) {
    const { $ref } = found as { $ref?: Json }; // any member may be absent
    if (typeof $ref !== 'string') continue;
    assert.match($ref, /^#\/components\/schemas\/\w+$/);
    at(document, ...$ref.slice(2).split('/'));
  }
});

test('the routes of the server and the paths of the document are the same set', async (t) => {
  const options = appOptions(fakeGate());
  const document = await documentOf(await serve(t, options));
  const app = openApp(options);
  await app.ready();
  t.after(() => app.close());
  const documented = operations(document);
  for (const { path, method } of documented) {
    const url =
      path === '/v1/ledger/{path}' ? '/v1/ledger/*' : path.replaceAll(/\{(\w+)\}/g, ':$1');
    assert.ok(app.hasRoute({ url, method: method.toUpperCase() }), `${method} ${path}`);
  }
  const served = [...app.printRoutes({ commonPrefix: false }).matchAll(/\(([A-Z, ]+)\)/g)];
  const count = served.flatMap(([, methods = '']) => methods.split(', ')).length;
  const besideV1 = ['GET /mcp', 'POST /mcp', 'DELETE /mcp', 'GET metadata', 'GET metadata/mcp'];
  assert.equal(count, documented.length + besideV1.length);
});

/**
 * The same schema, but a member that it does not name is refused: finds what is answered and not
 * documented. The branches of a union on `state` leave the common members to their parent.
 */
function tight(schema: Json, isBranch = false): Json {
  if (Array.isArray(schema)) return schema.map((each: Json) => tight(each));
  if (!isJsonObject(schema)) return schema;
  const members = Object.entries(schema).map(([name, member]): [string, Json] => {
    if (name === 'oneOf' && Array.isArray(member)) {
      return [name, member.map((each: Json) => tight(each, true))];
    }
    return [name, tight(member)];
  });
  const isOpen = schema['properties'] !== undefined && schema['additionalProperties'] === undefined;
  const closing = isOpen && !isBranch ? { unevaluatedProperties: false } : {};
  return { ...Object.fromEntries(members), ...closing };
}

/** The same schema, its references to components as absolute ones. */
function standing(schema: Json): JsonObject {
  const written = JSON.stringify(schema).replaceAll('"#/components/schemas/', '"api:');
  return object(JSON.parse(written) as Json); // JSON.parse gave it
}

test('every answer is of the documented form, and has no member that is not documented', async (t) => {
  const served = await serve(t, appOptions(fakeGate()));
  const document = await documentOf(served);
  const ajv = new Ajv2020({ strict: true, allowUnionTypes: true, strictRequired: false });
  for (const [name, schema] of Object.entries(at(document, 'components', 'schemas'))) {
    ajv.addSchema(standing(tight(schema)), `api:${name}`);
  }
  const proposal = `/v1/proposals/${PROPOSAL_ID}`;
  const calls: Readonly<Record<string, { path: string; token?: string; body?: unknown }>> = {
    preview: { path: '/v1/previews', token: TOKENS.agent, body: DRAFT },
    propose: { path: '/v1/proposals', token: TOKENS.agent, body: DRAFT },
    cancel: { path: `${proposal}/cancel`, token: TOKENS.agent },
    listProposals: { path: '/v1/proposals', token: TOKENS.agent },
    viewProposal: { path: proposal, token: TOKENS.agent },
    waitForResult: { path: `${proposal}/result`, token: TOKENS.agent },
    proposalRows: { path: `${proposal}/rows?limit=1`, token: TOKENS.agent },
    read: {
      path: '/v1/reads',
      token: TOKENS.agent,
      body: { target: 'crm', arguments: { statement: 'select 1' } },
    },
    approve: {
      path: `${proposal}/approvals`,
      token: TOKENS.person,
      body: { planDigest: DIGEST, verdict: 'approve' },
    },
    rollback: { path: `${proposal}/rollback`, token: TOKENS.agent },
    listBaselines: { path: '/v1/baselines?agent=ledger-bot', token: TOKENS.operator },
    listBudgets: { path: '/v1/budgets?agent=ledger-bot', token: TOKENS.operator },
    listFreezes: { path: '/v1/freezes', token: TOKENS.agent },
    stop: {
      path: '/v1/freezes',
      token: TOKENS.operator,
      body: { scope: { kind: 'all' }, reason: 'x' },
    },
    release: {
      path: `/v1/freezes/${FREEZE_ID}/release`,
      token: TOKENS.operator,
      body: { reason: 'x' },
    },
    issueCredential: {
      path: '/v1/credentials',
      token: TOKENS.operator,
      body: { holder: { kind: 'agent', name: 'bot' } },
    },
    listCredentials: { path: '/v1/credentials', token: TOKENS.operator },
    revokeCredential: {
      path: `/v1/credentials/${CREDENTIAL_ID}/revoke`,
      token: TOKENS.operator,
    },
    listPolicies: { path: '/v1/policies?limit=1', token: TOKENS.person },
    currentPolicy: { path: '/v1/policies/current', token: TOKENS.person },
    applyPolicy: { path: '/v1/policies', token: TOKENS.person, body: { text: 'version: 1' } },
    gatewayStatus: { path: '/v1/status' },
    listOperations: { path: '/v1/operations', token: TOKENS.agent },
    listDependents: {
      path: '/v1/dependents?resource=public.invoices',
      token: TOKENS.operator,
    },
    listResources: { path: '/v1/resources', token: TOKENS.person },
    resolve: {
      path: `/v1/proposals/${PROPOSAL_ID}/resolution`,
      token: TOKENS.operator,
      body: { outcome: 'applied', reason: 'looked' },
    },
    traceRun: { path: '/v1/runs/run-7/trace', token: TOKENS.agent },
    health: { path: '/v1/healthz' },
    readiness: { path: '/v1/readyz' },
    openApi: { path: '/v1/openapi.json' },
    problem: { path: '/v1/problems/bug' },
  };
  const seen: string[] = [];
  for (const { method, operation } of operations(document)) {
    const id = text(operation['operationId']);
    if (['readLedger', 'replayPolicy', 'suggestPolicy'].includes(id)) continue; // bytes, and lines
    const call = calls[id];
    assert.ok(call !== undefined, `${id} is called here`);
    const got = await send(served, { ...call, method: method.toUpperCase() });
    const response = at(operation, 'responses', String(got.status));
    seen.push(id);
    if (got.status === 204) continue;
    const schema = at(response, 'content', 'application/json', 'schema');
    const validate = ajv.compile(standing(schema));
    assert.ok(validate(got.json), `${id}: ${JSON.stringify(validate.errors)}`);
  }
  assert.deepEqual(seen.toSorted(), Object.keys(calls).toSorted());
});

test('every body and parameter is documented by what is a schema', async (t) => {
  const document = await documentOf(await serve(t, appOptions(fakeGate())));
  const ajv = new Ajv2020({ strict: true, allowUnionTypes: true });
  let count = 0;
  JSON.stringify(document, (key, value: Json) => {
    if (key !== 'schema') return value;
    assert.ok(ajv.validateSchema(object(value)), `${JSON.stringify(value)}: ${ajv.errorsText()}`);
    count += 1;
    return value;
  });
  assert.ok(count > 20, `${count} schemas`);
});

test('a read that was refused is of the documented form too', () => {
  const ajv = new Ajv2020({ strict: true, allowUnionTypes: true, strictRequired: false });
  const validate = ajv.compile(object(tight(READ_RESULT)));
  for (const result of Object.values(READS)) {
    assert.ok(validate(result), `${result.state}: ${JSON.stringify(validate.errors)}`);
  }
  assert.ok(!validate({ ...READS.refused, rows: [] }), 'rows in a refusal');
});

test('every state of a result is of the one form that HTTP documents and the brief one of the tools', () => {
  const ajv = new Ajv2020({ strict: true, allowUnionTypes: true, strictRequired: false });
  const validators = [
    ajv.compile(RESULT),
    ajv.compile(object(tight(RESULT))),
    ajv.compile(RESULT_BRIEF),
  ];
  for (const validate of validators) {
    for (const result of Object.values(RESULTS)) {
      assert.ok(validate(result), `${result.state}: ${JSON.stringify(validate.errors)}`);
    }
    const { receipt: _receipt, ...bare } = RESULTS.applied;
    assert.ok(!validate(bare), 'applied without a receipt');
    assert.ok(!validate({ ...RESULTS.denied, state: 'done' }), 'a state that is none');
    assert.ok(!validate({ ...RESULTS.denied, next: 'retry' }), 'a next that is none');
  }
});
