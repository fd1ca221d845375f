/** What a border takes: one JSON Schema that documents it, and the one parser that holds it. */
import { Ajv2020, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020.js';
import type { JsonObject } from '../../lib/json.ts';
import { quote } from '../../lib/quote.ts';
import { recordOf, type UnknownRecord } from '../../lib/record.ts';
import { Problem, type ProblemCode } from '../../model/problem.ts';

export type JsonSchema = JsonObject;

/** A form of input. `parse` throws a `Problem` that names the place, what was expected and found. */
export interface Shape<T> {
  readonly schema: JsonSchema;
  parse(value: unknown): T;
}

const OPTIONS = {
  strict: true,
  allowUnionTypes: true,
  verbose: true,
  // The test of the OpenAPI document does so, and no start has to.
  validateSchema: false,
} as const;
const ajv = new Ajv2020(OPTIONS);
// A query string has no types but text: there alone `20` may become a number.
const textAjv = new Ajv2020({ ...OPTIONS, coerceTypes: 'array' });

/** A JSON value; `T` is what `schema` describes. */
export function shape<T>(schema: JsonSchema, code: ProblemCode): Shape<T> {
  const validate = ajv.compile<T>(schema);
  return { schema, parse: (value) => checked(validate, value, code) };
}

/** A query string as Fastify parses it: every value text, or a list of texts. */
export function queryShape<T>(schema: JsonSchema): Shape<T> {
  const validate = textAjv.compile<T>(schema);
  return {
    schema,
    // The coercion writes into what it checks: give it a copy, `__proto__` copied like any name.
    parse: (value) => {
      const query = { ...recordOf(value) };
      checkDigits(schema, query);
      return checked(validate, query, 'request-invalid');
    },
  };
}

/** `0x10`, `1e3` and an empty text would become numbers too. */
function checkDigits(schema: JsonSchema, query: UnknownRecord): void {
  for (const [name, member] of Object.entries(recordOf(schema['properties']))) {
    const value = Object.hasOwn(query, name) ? query[name] : undefined;
    if (recordOf(member)['type'] !== 'integer' || typeof value !== 'string') continue;
    if (/^-?[0-9]{1,15}$/.test(value)) continue;
    throw new Problem(
      'request-invalid',
      `\`/${name}\` must be a whole number in decimal digits, found ${quote(value)}`,
      { at: `/${name}` },
    );
  }
}

function checked<T>(validate: ValidateFunction<T>, value: unknown, code: ProblemCode): T {
  if (validate(value)) return value;
  const [error] = validate.errors ?? [];
  throw new Problem(code, complaint(error), { at: error?.instancePath ?? '' });
}

function complaint(error: ErrorObject | undefined): string {
  if (error === undefined) return 'the input is not of the expected form';
  const place = error.instancePath === '' ? 'the input' : `\`${error.instancePath}\``;
  const params: UnknownRecord = error.params;
  switch (error.keyword) {
    case 'additionalProperties': {
      const known = Object.keys(recordOf(error.parentSchema?.['properties']));
      return `${place} has an unknown member ${listed([params['additionalProperty']])}; known are ${listed(known)}`;
    }
    case 'required':
      return `${place} lacks ${listed([params['missingProperty']])}; add it`;
    case 'type':
      return `${place} must be of type ${[params['type']].flat().join(' or ')}, found ${typeName(error.data)}`;
    case 'enum':
      return `${place} must be one of ${listed([params['allowedValues']].flat())}`;
    case 'const':
      return `${place} must be ${listed([params['allowedValue']])}`;
    default:
      return `${place} ${error.message ?? 'is not of the expected form'}`;
  }
}

function listed(names: readonly unknown[]): string {
  return names.map((name) => quote(String(name))).join(', ');
}

function typeName(value: unknown): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'array' : typeof value;
}
