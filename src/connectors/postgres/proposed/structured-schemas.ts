/** The JSON Schemas of the structured writes, for tools and documents that agents read. */
import type { JsonObject } from '../../../lib/json.ts';
import { FILTER_BOUNDS } from './filter.ts';
import { STRUCTURED_BOUNDS, type StructuredOperation } from './structured.ts';

const TABLE: JsonObject = { type: 'string', description: '`table` or `schema.table`' };
const VALUE: JsonObject = {
  description:
    'bound to the type of its column; numbers beyond 2^53, dates and arrays (`{1,2}`) as text; ' +
    'an object or list is the value of a json column',
};
const COMPARED: JsonObject = { type: ['string', 'number', 'boolean'] };
const ROW: JsonObject = { type: 'object', minProperties: 1, additionalProperties: VALUE };
const KEY: JsonObject = { type: 'object', minProperties: 1, additionalProperties: COMPARED };
const KEYS: JsonObject = {
  type: 'array',
  minItems: 1,
  maxItems: FILTER_BOUNDS.itemsMax,
  items: KEY,
};

const COMPARISON: JsonObject = {
  type: 'object',
  minProperties: 1,
  additionalProperties: false,
  properties: {
    eq: COMPARED,
    ne: COMPARED,
    lt: COMPARED,
    lte: COMPARED,
    gt: COMPARED,
    gte: COMPARED,
    like: { type: 'string' },
    in: { type: 'array', minItems: 1, maxItems: FILTER_BOUNDS.itemsMax, items: COMPARED },
    between: { type: 'array', minItems: 2, maxItems: 2, items: COMPARED },
    isNull: { type: 'boolean' },
  },
};

const FILTER_LIST: JsonObject = {
  type: 'array',
  minItems: 1,
  items: { $ref: '#/$defs/filter' },
};

/** Members hold together; a column that is called `and`, `or` or `not` cannot be compared. */
const FILTER: JsonObject = {
  type: 'object',
  minProperties: 1,
  description: '`{"column": {"operator": value}}`; all members hold together',
  properties: { and: FILTER_LIST, or: FILTER_LIST, not: { $ref: '#/$defs/filter' } },
  additionalProperties: COMPARISON,
};

const DEFS: JsonObject = { filter: FILTER };

const SET: JsonObject = {
  type: 'object',
  minProperties: 1,
  description: '`{"column": value}`, or `{"column": {"increment": n}}` to add to what is there',
  additionalProperties: VALUE,
};

const WHICH: JsonObject = { key: KEY, keys: KEYS, filter: { $ref: '#/$defs/filter' } };
const ONE_OF_WHICH: readonly JsonObject[] = ['key', 'keys', 'filter'].map((name) => ({
  required: [name],
}));

/** The arguments of each structured write. */
export const OPERATION_SCHEMAS: Readonly<Record<StructuredOperation, JsonObject>> = {
  insert: {
    type: 'object',
    required: ['table', 'rows'],
    additionalProperties: false,
    properties: {
      table: TABLE,
      rows: { type: 'array', minItems: 1, maxItems: STRUCTURED_BOUNDS.rowsMax, items: ROW },
      onConflict: {
        type: 'object',
        required: ['columns', 'do'],
        additionalProperties: false,
        properties: {
          columns: { type: 'array', minItems: 1, items: { type: 'string' } },
          do: { enum: ['nothing', 'update'] },
          set: { ...SET, description: 'without it every given column is taken over' },
        },
      },
    },
  },
  update: {
    type: 'object',
    required: ['table', 'set'],
    additionalProperties: false,
    properties: { table: TABLE, set: SET, ...WHICH },
    oneOf: ONE_OF_WHICH,
    $defs: DEFS,
  },
  delete: {
    type: 'object',
    required: ['table'],
    additionalProperties: false,
    properties: { table: TABLE, ...WHICH },
    oneOf: ONE_OF_WHICH,
    $defs: DEFS,
  },
  import: {
    type: 'object',
    required: ['table', 'upload', 'format'],
    additionalProperties: false,
    properties: {
      table: TABLE,
      upload: { type: 'string', pattern: '^upl_[0-9a-f]{64}$', description: 'the id of an upload' },
      format: { enum: ['csv', 'ndjson'] },
      columns: {
        type: 'array',
        minItems: 1,
        maxItems: STRUCTURED_BOUNDS.columnsMax,
        items: { type: 'string' },
        description: 'what the fields of the file are; without it the first line names them',
      },
    },
  },
};
