/** The form of `writegate.yaml`, checked against its published JSON Schema. */
import { Ajv2020, type ErrorObject } from 'ajv/dist/2020.js';
import schema from '../../../schema/writegate.schema.json' with { type: 'json' };
import type { Json, JsonObject } from '../../lib/json.ts';
import { nearest } from '../../lib/nearest.ts';
import { isRecord, recordOf } from '../../lib/record.ts';
import type { BudgetMeasure, BudgetWindow } from '../../model/budget.ts';
import type { Criticality } from '../../model/dependents.ts';
import type { EffectClass } from '../../model/plan.ts';
import type { Sensitivity, Tier } from '../../model/policy.ts';
import type { Role } from '../../model/principal.ts';
import { withoutPasswords } from './secrets.ts';
import { keyOffset, valueOffset, type Fault, type Path, type Source } from './source.ts';

/** Where the file takes a list it takes one value for a list of one. */
export type OneOrMany<Item> = Item | readonly Item[];

export type EarlyMatchShape = {
  readonly agent?: OneOrMany<string>;
  readonly environment?: OneOrMany<string>;
  readonly target?: OneOrMany<string>;
  readonly operation?: OneOrMany<string>;
};

export type MatchShape = EarlyMatchShape & {
  readonly resource?: OneOrMany<string>;
  readonly class?: OneOrMany<EffectClass>;
};

export type PermissionShape = Omit<MatchShape, 'agent'> & { readonly tier: Tier };

/** Amounts in major units as decimals, by currency. */
export type AmountsShape = { readonly [currency: string]: string };

export type NeverShape = {
  readonly name: string;
  readonly match: MatchShape;
  readonly reason: string;
};

export type LimitShape = {
  readonly name: string;
  readonly match?: MatchShape;
  readonly recordsMax?: number;
  readonly recordsPerResourceMax?: number;
  readonly valueMax?: AmountsShape;
  readonly recipientsMax?: number;
  readonly bytesMax?: number;
  readonly amplificationMax?: number;
};

export type ThresholdShape = {
  readonly name: string;
  readonly match?: MatchShape;
  readonly recordsOver?: number;
  readonly recordsPerResourceOver?: number;
  readonly valueOver?: AmountsShape;
  readonly recipientsOver?: number;
  readonly bytesOver?: number;
  readonly amplificationOver?: number;
  readonly riskOver?: number;
  readonly route?: string;
};

export type BudgetShape = {
  readonly name: string;
  readonly match?: MatchShape;
  readonly per?: OneOrMany<'tenant' | 'agent' | 'run' | 'target' | 'resource'>;
  readonly measure: BudgetMeasure;
  readonly window: BudgetWindow;
  /** A string where value is measured. */
  readonly max: number | string;
};

export type RuleShape = {
  readonly id: string;
  readonly effect: 'permit' | 'require' | 'forbid';
  readonly match?: MatchShape;
  readonly when?: string;
  readonly reason: string;
  readonly route?: string;
};

export type AnomalyLineShape = {
  readonly name: string;
  readonly match: EarlyMatchShape;
  readonly sensitivity?: Sensitivity;
  readonly verdict?: 'require' | 'forbid';
  readonly route?: string;
};

export type AnomalyShape = Omit<AnomalyLineShape, 'name' | 'match'> & {
  readonly warmUp?: number;
  readonly lines?: readonly AnomalyLineShape[];
};

export type ValidationShape = {
  readonly name: string;
  readonly match?: MatchShape;
  readonly reason: string;
  readonly holds?: string;
  readonly schema?: JsonObject | boolean;
  readonly check?: string;
};

export type RouteShape = {
  readonly steps: readonly { readonly groups?: OneOrMany<string>; readonly quorum?: number }[];
  readonly expiresAfter?: string;
};

export type DependentShape = {
  readonly name: string;
  readonly target?: OneOrMany<string>;
  readonly resource?: OneOrMany<string>;
  readonly dependsOn?: OneOrMany<string>;
  readonly criticality?: Criticality;
  readonly how?: string;
};

export type StoreShape = {
  readonly url: string;
  readonly listenUrl?: string | null;
  readonly schema?: string;
  readonly connectionsMax?: number;
};

/** The file as the schema lets it through. */
export type FileShape = {
  readonly version: 1;
  readonly tenant?: string;
  readonly environment?: string;
  readonly listen?: string;
  readonly allowedHosts?: readonly string[];
  readonly store?: StoreShape;
  readonly mode?: 'active' | 'observe';
  readonly writes?: { readonly enabled?: boolean };
  readonly stop?: {
    readonly release?: { readonly quorum?: number; readonly groups?: OneOrMany<string> };
  };
  readonly targets?: {
    readonly [name: string]: { readonly kind: string; readonly [setting: string]: Json };
  };
  readonly people?: {
    readonly [name: string]: {
      readonly roles?: OneOrMany<Role>;
      readonly groups?: OneOrMany<string>;
    };
  };
  readonly agents?: {
    readonly [name: string]: {
      readonly owner?: string;
      readonly permissions?: readonly PermissionShape[];
    };
  };
  readonly never?: readonly NeverShape[];
  readonly limits?: readonly LimitShape[];
  readonly thresholds?: readonly ThresholdShape[];
  readonly budgets?: readonly BudgetShape[];
  readonly rules?: readonly RuleShape[];
  readonly validations?: readonly ValidationShape[];
  readonly duplicates?: {
    readonly window?: string;
    readonly repeatable?: readonly EarlyMatchShape[];
  };
  readonly dependents?: readonly DependentShape[];
  readonly anomaly?: AnomalyShape;
  readonly routes?: { readonly [name: string]: RouteShape };
  readonly defaultRoute?: string;
};

const VALIDATE = new Ajv2020({
  allErrors: true,
  verbose: true,
  strict: true,
  allowUnionTypes: true,
  // A test holds it against what a schema may be; to do so at each start takes longer than to compile it.
  validateSchema: false,
})
  // `compile` takes the type on trust: the schema test holds the two together.
  .compile<FileShape>(schema);

/** Checks the file's value: the shape, or what stands in its way. */
export function checkShape(
  source: Source,
  value: unknown,
):
  | { readonly kind: 'file'; readonly file: FileShape }
  | { readonly kind: 'faults'; readonly faults: readonly Fault[] } {
  if (VALIDATE(value)) return { kind: 'file', file: value };
  return { kind: 'faults', faults: schemaFaults(source, value, VALIDATE.errors ?? []) };
}

/** What a schema finds wrong with a value of the source, each in its place and in our words. */
export function schemaFaults(
  source: Source,
  value: unknown,
  errors: readonly ErrorObject[],
): readonly Fault[] {
  return meant(errors).map((each) => fault(source, value, each));
}

/** Returns the item or items as a list; none is an empty one. */
export function many<Item extends string>(items: OneOrMany<Item> | undefined): readonly Item[] {
  if (items === undefined) return [];
  return typeof items === 'string' ? [items] : items;
}

/**
 * Leaves out what only repeats another error: of a value that is neither one name nor a list of
 * them, the branch of the schema that the author did not mean.
 */
function meant(errors: readonly ErrorObject[]): readonly ErrorObject[] {
  const unions = new Map<string, ErrorObject>();
  const above = new Set<string>();
  for (const error of errors) {
    if (error.keyword === 'anyOf') unions.set(error.instancePath, error);
    above.add(error.instancePath.slice(0, error.instancePath.lastIndexOf('/')));
  }
  const kept = errors.filter((error) => {
    if (error.keyword === 'if' || error.keyword === 'propertyNames') return false;
    const union = unions.get(error.instancePath);
    if (union === undefined) return true;
    // A slip in one item of a list says it all.
    if (above.has(union.instancePath)) return false;
    return branchOf(union.data).includes(error.keyword);
  });
  return kept.length === 0 ? errors : kept;
}

function branchOf(value: unknown): readonly string[] {
  if (typeof value === 'string') return ['pattern', 'enum'];
  return Array.isArray(value) ? ['minItems', 'maxItems', 'uniqueItems'] : ['anyOf'];
}

function fault(source: Source, root: unknown, error: ErrorObject): Fault {
  const path = pointerPath(root, error.instancePath);
  switch (error.keyword) {
    case 'additionalProperties':
      return unknownKey(source, path, error);
    case 'required': {
      const message = `expected \`${String(error.params['missingProperty'])}\` in ${pathText(path)}, found none; add it`;
      return { offset: valueOffset(source, path), message };
    }
    default: {
      const expected = titleOf(error) ?? error.message ?? 'another value';
      if (error.propertyName !== undefined) {
        const message = `expected ${expected} as a key of ${pathText(path)}, found \`${error.propertyName}\`; rename it`;
        return { offset: keyOffset(source, [...path, error.propertyName]), message };
      }
      const message = `expected ${expected} for ${pathText(path)}, found ${shown(path, error.data)}; ${remedy(error)}`;
      return { offset: valueOffset(source, path), message };
    }
  }
}

function unknownKey(source: Source, path: Path, error: ErrorObject): Fault {
  const key = String(error.params['additionalProperty']);
  const known = Object.keys(recordOf(error.parentSchema?.['properties']));
  const near = nearest(key, known);
  const remedyText =
    near === undefined
      ? `its keys are ${known.map((name) => `\`${name}\``).join(', ')}`
      : `write \`${near}\``;
  const message = `expected a known key in ${pathText(path)}, found \`${key}\`; ${remedyText}`;
  return { offset: keyOffset(source, [...path, key]), message };
}

function titleOf(error: ErrorObject): string | undefined {
  const title: unknown = error.parentSchema?.['title'];
  return typeof title === 'string' ? title : undefined;
}

function remedy(error: ErrorObject): string {
  const allowed: unknown = error.params['allowedValues'];
  if (Array.isArray(allowed) && typeof error.data === 'string') {
    const near = nearest(error.data, allowed.map(String));
    if (near !== undefined) return `write \`${near}\``;
  }
  if (
    error.keyword === 'type' &&
    error.params['type'] === 'string' &&
    typeof error.data === 'number'
  ) {
    return 'put it in quotes';
  }
  return 'change it';
}

const SHOWN_LENGTH_MAX = 60;

/** What was found; never a setting of a target, which may be a secret. */
function shown(path: Path, value: unknown): string {
  if (value === null || value === undefined) return 'nothing';
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list';
  if (isRecord(value)) return Object.keys(value).length === 0 ? 'an empty mapping' : 'a mapping';
  if (path[0] === 'targets' || path[0] === 'store') return `a ${typeof value}`;
  const text = withoutPasswords(typeof value === 'string' ? value : JSON.stringify(value));
  return `\`${text.length > SHOWN_LENGTH_MAX ? `${text.slice(0, SHOWN_LENGTH_MAX)}…` : text}\``;
}

/** Writes a path for people: `limits[0].match`. */
export function pathText(path: Path): string {
  if (path.length === 0) return 'the file';
  const text = path.map((step) => (typeof step === 'number' ? `[${step}]` : `.${step}`)).join('');
  return `\`${text.replace(/^\./, '')}\``;
}

function pointerPath(root: unknown, pointer: string): Path {
  const path: (string | number)[] = [];
  let value = root;
  for (const step of pointer.split('/').slice(1)) {
    const key = step.replaceAll('~1', '/').replaceAll('~0', '~');
    const isIndex = Array.isArray(value);
    path.push(isIndex ? Number(key) : key);
    value = recordOf(value)[key];
  }
  return path;
}
