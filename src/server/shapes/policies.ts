/** What the HTTP API takes and gives about policies. The interfaces are in `model/api.ts`. */
import type { PolicyBody } from '../../model/api.ts';
import { PAGE_MAX } from '../../model/ports.ts';
import {
  AT,
  closed,
  described,
  list,
  object,
  oneOf,
  TEXT,
  TEXT_OR_NULL,
  WHOLE,
  WHOLE_OR_NULL,
  YES_NO,
} from './schema.ts';
import { queryShape, shape, type JsonSchema, type Shape } from './shape.ts';

/** A file of the largest size that loads, each of its bytes escaped. */
export const POLICY_BODY_BYTES_MAX: number = 6 * 1024 * 1024 + 64;

export const POLICY_BODY: Shape<PolicyBody> = shape(
  closed({ text: described(TEXT, "of the whole file, as it is on the gateway's host") }),
  'request-invalid',
);

const MODE = oneOf('active', 'observe');

const POLICY_CHANGE: JsonSchema = object({
  path: described(TEXT, 'as the file names it: `limits.customers`'),
  sentence: TEXT,
  effect: described(
    oneOf('weaker', 'tighter', 'same'),
    '`weaker` may let through what was denied or waited',
  ),
});

export const POLICY_APPLIED: JsonSchema = object({
  digest: TEXT,
  mode: MODE,
  weakens: described(WHOLE, 'in how many ways it is weaker than the one that was in force'),
  changes: list(POLICY_CHANGE),
  inForce: described(
    oneOf('now', 'at-start'),
    '`at-start` where something changed that takes a restart',
  ),
});

export const POLICY_VIEW: JsonSchema = object({
  digest: TEXT,
  mode: MODE,
  text: described(TEXT, 'of the file, as it came into force'),
  problem: described(TEXT_OR_NULL, 'why the file as it is now is not in force'),
});

export const POLICY_PAGE: JsonSchema = object({
  items: list(
    object({
      digest: TEXT,
      mode: MODE,
      at: AT,
      index: described(WHOLE, 'of its entry in the ledger'),
      by: described(
        TEXT_OR_NULL,
        "a person's name, `host`, or null where it came into force by itself",
      ),
      weakens: described(
        WHOLE_OR_NULL,
        'in how many ways it was weaker; null where it cannot be told, or came into force by itself',
      ),
      atStart: described(YES_NO, 'whether it came into force at the start after it was let in'),
    }),
  ),
  before: described(WHOLE_OR_NULL, 'give as `before` for the next page; null at the end'),
});

export interface PolicyQuery {
  readonly limit?: number;
  readonly before?: number;
}

export const POLICY_QUERY: Shape<PolicyQuery> = queryShape(
  closed(
    {
      limit: { type: 'integer', minimum: 1, maximum: PAGE_MAX },
      before: { type: 'integer', minimum: 1 },
    },
    ['limit', 'before'],
  ),
);
