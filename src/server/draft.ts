/** The one parser of drafts, for HTTP and MCP: nothing past it looks at an agent's bytes again. */
import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts';
import { recordOf } from '../lib/record.ts';
import type { WriteBody } from '../model/api.ts';
import type { ReadBody } from '../model/read.ts';
import { chained, DRAFT_BOUNDS, type Draft, type DraftStep } from '../model/draft.ts';
import { Problem } from '../model/problem.ts';
import { CHAIN, DRAFT, READ } from './shapes/requests.ts';

/** The names in a pointer are the agent's: enough to find the place, no more. */
const AT_LENGTH_MAX = 500;

/** Checks form and bounds of what an agent sent. Throws `draft-invalid` and says where. */
export function parseDraft(input: unknown): WriteBody {
  const body = formOf(input);
  if ('steps' in body) checkSteps(body.steps);
  else checkWhole(body.arguments);
  if (body.reason !== undefined) checkText(body.reason, '/reason');
  return body;
}

/** The form alone: what has steps is a chain. */
export function formOf(input: unknown): WriteBody {
  return 'steps' in recordOf(input) ? CHAIN.parse(input) : DRAFT.parse(input);
}

/** Each step as a write by itself, and all of them within the bounds of one. */
function checkSteps(steps: readonly DraftStep[]): void {
  for (const [index, step] of steps.entries()) {
    checkArguments(step.arguments, `/steps/${index}/arguments`, 1);
  }
  checkSize(
    steps.map((step) => step.arguments),
    '/steps',
  );
}

/** The same for a read. */
export function parseRead(input: unknown): ReadBody {
  const body = READ.parse(input);
  checkWhole(body.arguments);
  return body;
}

function checkWhole(given: JsonObject): void {
  checkArguments(given, '/arguments', 1);
  checkSize(given, '/arguments');
}

function checkSize(given: Json, at: string): void {
  const sizeBytes = Buffer.byteLength(JSON.stringify(given));
  if (sizeBytes <= DRAFT_BOUNDS.argumentsBytesMax) return;
  refuse(
    `the arguments are ${sizeBytes} bytes, at most ${DRAFT_BOUNDS.argumentsBytesMax} are taken; split the write`,
    at,
  );
}

/** A parsed draft as the gate takes it. What it compensates never comes from outside. */
export function toDraft(body: WriteBody): Draft {
  const { target, operation, arguments: given } = 'steps' in body ? chained(body.steps) : body;
  return {
    target,
    operation,
    arguments: given,
    ...('steps' in body ? { steps: body.steps } : {}),
    reason: body.reason,
    idempotencyKey: body.idempotencyKey,
    run: body.run,
    compensates: undefined,
  };
}

/** Depth, and what JSON can spell but the canonical form, or a JavaScript object, cannot hold. */
function checkArguments(value: Json, at: string, depth: number): void {
  if (typeof value === 'string') checkText(value, at);
  if (typeof value === 'number') checkNumber(value, at);
  if (typeof value !== 'object' || value === null) return;
  if (depth > DRAFT_BOUNDS.depthMax) {
    const top = at.slice(0, at.indexOf('/arguments') + '/arguments'.length);
    refuse(`the arguments are nested more than ${DRAFT_BOUNDS.depthMax} deep`, top);
  }
  if (!isJsonObject(value)) {
    value.forEach((item, index) => checkArguments(item, `${at}/${index}`, depth + 1));
    return;
  }
  for (const [name, member] of Object.entries(value)) {
    if (name === '__proto__') refuse('a member may not be called `__proto__`', at);
    checkText(name, at);
    checkArguments(member, `${at}/${pointerPart(name)}`, depth + 1);
  }
}

function checkText(text: string, at: string): void {
  if (!text.isWellFormed()) refuse('the text has half of a surrogate pair', at);
}

/** A number that would be rounded on the way is not the one that the agent meant. */
function checkNumber(value: number, at: string): void {
  if (Number.isFinite(value) && (!Number.isInteger(value) || Number.isSafeInteger(value))) return;
  refuse('the number is too large to be exact; send it as a string', at);
}

function pointerPart(name: string): string {
  return name.replaceAll('~', '~0').replaceAll('/', '~1');
}

function refuse(message: string, at: string): never {
  throw new Problem('draft-invalid', message, { at: at.slice(0, AT_LENGTH_MAX) });
}
