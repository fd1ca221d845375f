/** What else is wrong with the arguments of a structured write, once something is. */
import { Ajv2020, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020.js';
import type { JsonObject } from '../../../lib/json.ts';
import { Refused } from '../../connector.ts';
import { compile, type Compiled, type StructuredOperation } from './structured.ts';
import { OPERATION_SCHEMAS } from './structured-schemas.ts';

/** Arguments beyond which only the first fault is told: each fault costs memory, and an agent sends them. */
const LENGTH_MAX = 65_536;
/** Further places that one refusal names. */
const PLACES_MAX = 20;

const validators = new Map<StructuredOperation, ValidateFunction>();

/** As `compile`, but the refusal names every other place where the operation's own schema is not met. */
export function compileAll(operation: StructuredOperation, args: JsonObject): Compiled {
  try {
    return compile(operation, args);
  } catch (error) {
    if (!(error instanceof Refused) || error.refusal.code !== 'arguments-invalid') throw error;
    const { code, reason } = error.refusal;
    const others = placesOf(operation, args).filter((at) => !reason.includes(`\`${at}\``));
    if (others.length === 0) throw error;
    const shown = others.slice(0, PLACES_MAX).map((at) => `\`${at}\``);
    const rest = others.length - shown.length;
    if (rest > 0) shown.push(`${rest} more places`);
    throw new Refused(code, `${reason}; also wrong at ${shown.join(', ')}`);
  }
}

function placesOf(operation: StructuredOperation, args: JsonObject): readonly string[] {
  if (JSON.stringify(args).length > LENGTH_MAX) return [];
  const known = validators.get(operation);
  const validate =
    known ??
    new Ajv2020({ allErrors: true, strict: false, logger: false }).compile(
      OPERATION_SCHEMAS[operation] ?? true,
    );
  validators.set(operation, validate);
  if (validate(args)) return [];
  // What stands in one branch of several was perhaps not meant: the whole is named instead.
  const told = (validate.errors ?? []).filter(
    ({ schemaPath }) => !/(?:any|one)Of\/\d/.test(schemaPath),
  );
  return [...new Set(told.map(placeOf))];
}

function placeOf({ instancePath, params }: ErrorObject): string {
  const member: unknown = params['missingProperty'] ?? params['additionalProperty'];
  const name =
    typeof member === 'string' ? member.slice(0, 100).replaceAll(/[^ !-_a-~]/g, '?') : '';
  const at = instancePath.slice(0, 300).replaceAll(/[^ !-_a-~]/g, '?');
  if (name === '') return at === '' ? '/' : at;
  return `${at}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`;
}
