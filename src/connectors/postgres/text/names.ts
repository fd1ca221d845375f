/** Judges the names in a statement and notes those that only the catalog can clear. Pure. */
import type { Json, JsonObject } from '../../../lib/json.ts';
import {
  CLOCK_FUNCTIONS,
  FUNCTIONS,
  GIVEN_FUNCTIONS,
  OPERATORS,
  SEQUENCE_FUNCTIONS,
  SYSTEM_COLUMNS,
  TYPES,
  VOLATILE_FUNCTIONS,
} from './allowed.ts';
import {
  listOf,
  location,
  objectOf,
  qualifiedName,
  Rejection,
  relationName,
  textOf,
  unsupported,
  unwrapped,
  type RelationName,
} from './tree.ts';

/** A write has to do the same at the commit as in the preview; a read is done once. */
export type Mode = 'read' | 'write';

/** What a function name turned out to be. */
export type Called = 'pure' | 'clock' | 'given';

export class Names {
  readonly reads: RelationName[] = [];
  /** Names that the connection checks for user-defined namesakes. */
  readonly functions: Set<string> = new Set();
  readonly operators: Set<string> = new Set();
  readonly fields: Set<string> = new Set();
  /** Types beside the built-in ones: the connection lets enumerations pass and no other. */
  readonly types: Map<string, RelationName> = new Map();
  parameters = 0;
  readonly mode: Mode;
  readonly #schemas: readonly string[];

  constructor(mode: Mode, schemas: readonly string[]) {
    this.mode = mode;
    this.#schemas = schemas;
  }

  relation(node: JsonObject): RelationName {
    const relation = relationName(node);
    const { schema, name, at } = relation;
    const found =
      node['catalogname'] !== undefined
        ? `\`${name}\` names another database`
        : schema === null && name.startsWith('pg_')
          ? `\`${name}\` is a system relation`
          : schema !== null && !this.#schemas.includes(schema)
            ? `\`${schema}.${name}\` is not governed`
            : null;
    if (found === null) return relation;
    const accepted = this.#schemas.map((each) => `\`${each}\``).join(', ');
    throw new Rejection('statement-relation', `${found}; expected a table of ${accepted}`, at);
  }

  /**
   * Refuses a function that is not on the list; says whether it is a clock, or `given`: new at every call,
   * which a write may only have in some places.
   */
  function(node: JsonObject): Called {
    const { schema, name } = qualifiedName(listOf(node['funcname']));
    const at = location(node);
    const spelled = schema === null ? name : `${schema}.${name}`;
    if (schema !== null && schema !== 'pg_catalog') {
      throw new Rejection(
        'statement-function',
        `\`${spelled}\` is not a built-in function; expected built-in functions without side effects`,
        at,
      );
    }
    if (schema === null) this.functions.add(name);
    if (CLOCK_FUNCTIONS.has(name)) return 'clock';
    const isVolatile = VOLATILE_FUNCTIONS.has(name);
    if (isVolatile && this.mode === 'read') return 'pure';
    if (GIVEN_FUNCTIONS.has(name)) return 'given';
    if (isVolatile || SEQUENCE_FUNCTIONS.has(name)) {
      const accepted = 'give a constant, or leave the column to its default';
      throw unapprovable(name, accepted, at);
    }
    if (FUNCTIONS.has(name)) return 'pure';
    throw new Rejection(
      'statement-function',
      `\`${spelled}\` is not on the list of functions without side effects; ` +
        'use another built-in function, or give a plain value',
      at,
    );
  }

  operator(parts: readonly Json[], node: JsonObject): void {
    if (parts.length === 0) return;
    const { schema, name } = qualifiedName(parts);
    const spelled = name.replace(/^(?:NOT )?BETWEEN(?: SYMMETRIC)?$/, 'BETWEEN');
    const isBuiltIn = schema === null || schema === 'pg_catalog';
    if (!isBuiltIn || !OPERATORS.has(spelled)) {
      throw new Rejection(
        'statement-function',
        `the operator \`${name}\` is not a known built-in one; use a built-in operator`,
        location(node),
      );
    }
    if (spelled === 'BETWEEN') for (const each of ['>=', '<=', '<', '>']) this.operators.add(each);
    else if (schema === null) this.operators.add(spelled);
  }

  /** `CASE x WHEN`, `IN (SELECT …)` and `USING (…)` look the operator up without naming it. */
  equality(): void {
    this.operators.add('=');
  }

  column(node: JsonObject): void {
    const fields = listOf(node['fields']).map((field) => unwrapped(objectOf(field)));
    const names = fields.flatMap(([kind, field]) =>
      kind === 'String' ? [textOf(field['sval'])] : [],
    );
    for (const name of names) this.systemColumn(name, node);
    // `row.f` may be a call of `f(row)`: the connection checks that no such function exists.
    for (const name of names.slice(1)) this.fields.add(name);
  }

  systemColumn(name: string, node: JsonObject): void {
    if (!SYSTEM_COLUMNS.has(name)) return;
    throw new Rejection(
      'statement-unsupported',
      `\`${name}\` is a system column; name the rows by their own columns`,
      location(node),
    );
  }

  type(node: JsonObject): void {
    const { schema, name } = qualifiedName(listOf(node['names']));
    if (node['setof'] === true || node['pct_type'] === true) throw unsupported('this type', node);
    if ((schema === null || schema === 'pg_catalog') && TYPES.has(name)) return;
    const spelled = schema === null ? name : `${schema}.${name}`;
    const isGoverned = schema === null ? !isSystemType(name) : this.#schemas.includes(schema);
    if (!isGoverned) {
      throw new Rejection(
        'statement-function',
        `a cast to \`${spelled}\` is not allowed; expected a plain built-in type or an enumeration`,
        location(node),
      );
    }
    this.types.set(JSON.stringify([schema, name]), { schema, name, at: location(node) });
  }

  collation(node: JsonObject): void {
    if (listOf(node['collname']).length > 1) throw unsupported('a qualified collation', node);
  }
}

/** The refusal of a function whose value nobody could know beforehand. */
export function unapprovable(name: string, accepted: string, at: number): Rejection {
  return new Rejection(
    'statement-function',
    `\`${name}\` gives another value at every call, so nobody could approve it; ${accepted}`,
    at,
  );
}

/**
 * Built-in types that stand for something of the database, or that hold SQL or structure: refused with
 * their place. What is left over the connection clears, among the types of the governed schemas alone.
 */
function isSystemType(name: string): boolean {
  return SYSTEM_TYPE.test(name);
}

const SYSTEM_TYPE =
  /^(?:pg_.*|_.*|reg(?:class|proc|procedure|oper|operator|type|role|namespace|config|dictionary|collation|database)|any(?:|array|element|nonarray|enum|range|multirange|compatible.*)|xml|record|void|cstring|internal|trigger|event_trigger|unknown|opaque|xid8?|cid|tid|.*_handler|txid_snapshot|refcursor|oidvector|int2vector|gtsvector|aclitem)$/;
