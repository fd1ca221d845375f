/** Cases that a policy must decide as they say: the file beside `writegate.yaml`, loaded and checked. */
import { Ajv2020 } from 'ajv/dist/2020.js';
import schema from '../../../schema/policy-tests.schema.json' with { type: 'json' };
import { minorDigits, toMinor } from '../../lib/money.ts';
import { nearest } from '../../lib/nearest.ts';
import { parseInstant } from '../../lib/instant.ts';
import type { JsonObject } from '../../lib/json.ts';
import type { Attribution, EffectClass, Image, Reversibility } from '../../model/plan.ts';
import type { Configuration, Policy } from '../../model/policy.ts';
import { currencyOf } from '../stages/lines.ts';
import { many, schemaFaults, type OneOrMany } from '../load/shape.ts';
import {
  place,
  plainValue,
  readSource,
  refuse,
  valueOffset,
  type Fault,
  type Path,
} from '../load/source.ts';

/** One case as the file has it. */
export type CaseShape = {
  readonly name: string;
  readonly agent?: string;
  readonly person?: string;
  readonly environment?: string;
  readonly target: string;
  readonly operation?: string;
  readonly resource: string;
  readonly class: EffectClass;
  readonly compensates?: EffectClass;
  readonly records?: number;
  readonly also?: readonly {
    readonly resource: string;
    readonly class: EffectClass;
    readonly records: number;
    readonly by?: Attribution;
  }[];
  readonly rows?: readonly {
    readonly resource?: string;
    readonly before?: Image;
    readonly after?: Image;
  }[];
  readonly value?: { readonly [currency: string]: string };
  readonly valueComplete?: boolean;
  readonly recipients?: number;
  readonly bytes?: number;
  readonly reversibility?: Reversibility['kind'];
  readonly warnings?: readonly string[];
  readonly resourceSize?: number;
  readonly partOf?: readonly string[];
  readonly arguments?: JsonObject;
  readonly run?: string;
  readonly at?: string;
  readonly used?: { readonly [budget: string]: number | string };
  readonly duplicate?: boolean;
  readonly stopped?: boolean;
  readonly approvals?: readonly {
    readonly person: string;
    readonly verdict?: 'approve' | 'deny';
  }[];
  readonly expect: 'allow' | 'wait' | 'deny';
  readonly rule?: string;
  readonly code?: string;
  readonly route?: OneOrMany<string>;
};

export type CasesShape = { readonly version: 1; readonly cases: readonly CaseShape[] };

/** A case, and where it stands. */
export interface Case {
  readonly shape: CaseShape;
  /** `file:line:column`. */
  readonly at: string;
}

const VALIDATE = new Ajv2020({
  allErrors: true,
  verbose: true,
  strict: true,
  allowUnionTypes: true,
})
  // `compile` takes the type on trust: the schema test holds the two together.
  .compile<CasesShape>(schema);

/**
 * Reads a file of cases for a configuration. Throws `configuration-invalid` with at most 20 lines
 * `file:line:column: expected …, found …`: YAML, then form, then names that the policy must have.
 */
export function parseCases(
  text: string,
  fileName: string,
  { policy }: Configuration,
): readonly Case[] {
  const source = readSource(text, fileName);
  const value: unknown = plainValue(source);
  if (!VALIDATE(value)) return refuse(source, schemaFaults(source, value, VALIDATE.errors ?? []));
  const faults = value.cases.flatMap((each, index) =>
    caseFaults(each, policy, value.cases.slice(0, index)).map(({ path, message }): Fault => {
      return { offset: valueOffset(source, ['cases', index, ...path]), message };
    }),
  );
  if (faults.length > 0) refuse(source, faults);
  return value.cases.map((shape, index) => ({
    shape,
    at: `${fileName}:${place(source, valueOffset(source, ['cases', index]))}`,
  }));
}

interface Found {
  readonly path: Path;
  readonly message: string;
}

function caseFaults(
  shape: CaseShape,
  policy: Policy,
  earlier: readonly CaseShape[],
): readonly Found[] {
  return [
    ...(earlier.some(({ name }) => name === shape.name)
      ? [found(['name'], `expected a name of its own, found \`${shape.name}\` again; rename it`)]
      : []),
    ...whoFaults(shape),
    ...Object.entries(shape.value ?? {}).flatMap(([currency, amount]) =>
      amountFault(['value', currency], amount, currency),
    ),
    ...(shape.at !== undefined && parseInstant(shape.at) === undefined
      ? [found(['at'], `expected a time that there is, found \`${shape.at}\`; change it`)]
      : []),
    ...Object.entries(shape.used ?? {}).flatMap(([name, used]) => usedFault(policy, name, used)),
    ...(shape.approvals ?? []).flatMap(({ person }, index) =>
      unknown(['approvals', index, 'person'], 'a person', person, [...policy.people.keys()]),
    ),
    ...many(shape.route).flatMap((route) =>
      unknown(['route'], 'a route', route, [...policy.routes.keys()]),
    ),
    ...(shape.route !== undefined && shape.expect !== 'wait'
      ? [
          found(
            ['route'],
            `expected a route where it waits, found one with \`${shape.expect}\`; remove it`,
          ),
        ]
      : []),
  ];
}

function whoFaults({ agent, person, compensates }: CaseShape): readonly Found[] {
  if ((agent === undefined) === (person === undefined)) {
    return [found(['name'], 'expected one of `agent` and `person`, found both or none; keep one')];
  }
  if (person === undefined || compensates !== undefined) return [];
  const message =
    'expected `compensates` beside `person`, found none; people propose nothing but to take back';
  return [found(['person'], message)];
}

function usedFault(policy: Policy, name: string, used: number | string): readonly Found[] {
  const path = ['used', name] as const;
  const budget = policy.budgets.find((each) => each.name === name);
  if (budget === undefined) {
    return unknown(
      path,
      'a budget',
      name,
      policy.budgets.map((each) => each.name),
    );
  }
  const currency = currencyOf(budget);
  if (currency === undefined) {
    return typeof used === 'number'
      ? []
      : [
          found(
            path,
            `expected a whole number for budget \`${name}\`, found \`${used}\`; change it`,
          ),
        ];
  }
  return typeof used === 'string'
    ? amountFault(path, used, currency)
    : [
        found(
          path,
          `expected an amount in quotes for budget \`${name}\`, found \`${used}\`; change it`,
        ),
      ];
}

function amountFault(path: Path, amount: string, currency: string): readonly Found[] {
  if (toMinor(amount, currency) !== undefined) return [];
  const most = `at most ${minorDigits(currency)} decimals for ${currency}`;
  return [found(path, `expected an amount with ${most}, found \`${amount}\`; change it`)];
}

function unknown(
  path: Path,
  what: string,
  name: string,
  known: readonly string[],
): readonly Found[] {
  if (known.includes(name)) return [];
  const near = nearest(name, known);
  const remedy = near === undefined ? 'name one that it has' : `write \`${near}\``;
  return [found(path, `expected ${what} of writegate.yaml, found \`${name}\`; ${remedy}`)];
}

function found(path: Path, message: string): Found {
  return { path, message };
}
