/** The policies of simulations: made from a few figures that the invariants judge by, too. */
import { parseConfiguration } from '../../src/policy/parse.ts';
import { weakenings } from '../../src/policy/weakening.ts';
import type { Configuration, Tier } from '../../src/model/policy.ts';
import type { Role } from '../../src/model/principal.ts';
import type { BudgetWindow } from '../../src/model/budget.ts';

export type Tiers = Readonly<Record<'create' | 'update' | 'delete', Tier | 'none'>>;

export interface BudgetFigures {
  readonly name: string;
  readonly per: 'agent' | 'tenant' | 'target';
  readonly measure: 'writes' | 'records' | 'value:GBP';
  readonly window: BudgetWindow;
  /** Of money in pence. */
  readonly max: number;
}

/** What a policy of a simulation says, in figures. */
export interface Figures {
  readonly name: string;
  readonly mode: 'active' | 'observe';
  /** One that is left out is not an agent of the policy. */
  readonly agents: Readonly<Record<string, Tiers>>;
  readonly recordsMax: number;
  /** Over it people decide. */
  readonly recordsOver: number;
  readonly quorum: number;
  readonly releaseQuorum: number;
  readonly expiresAfterMinutes: number;
  readonly duplicateMinutes: number;
  /** Operations that may lawfully repeat. */
  readonly repeatable: readonly string[];
  readonly budgets: readonly BudgetFigures[];
  /** Values that nobody lets through: by a rule, and by a validation. */
  readonly forbidden: readonly string[];
  readonly invalid: readonly string[];
  /** Values that people look at. */
  readonly looked: readonly string[];
  /** Targets that a rule lets agents write to. */
  readonly permitted: readonly string[];
  /** The most that one write may pay, in pence; null: anything. */
  readonly paidMax: number | null;
  /** Targets on which so much relies that people look. */
  readonly critical: readonly string[];
}

export const TENANT_NAME = 'acme';
export const OWNER = 'ollie';
export const PEOPLE: Readonly<Record<string, readonly Role[]>> = {
  ollie: ['approver', 'operator'],
  ann: ['approver'],
  ben: ['approver'],
  olga: ['operator', 'policy'],
  pete: ['operator', 'policy'],
  aud: ['auditor'],
};
export const TARGETS: readonly string[] = ['ledger', 'xids', 'api', 'files', 'mail', 'sms'];

const ALONE: Tiers = { create: 'autonomous', update: 'autonomous', delete: 'confirm' };
const WITH_PEOPLE: Tiers = { create: 'confirm', update: 'confirm', delete: 'confirm' };

export const BASE: Figures = {
  name: 'base',
  mode: 'active',
  agents: { bot: ALONE, clerk: WITH_PEOPLE, temp: { ...ALONE, delete: 'none' } },
  recordsMax: 3,
  recordsOver: 2,
  quorum: 1,
  releaseQuorum: 1,
  expiresAfterMinutes: 30,
  duplicateMinutes: 60,
  repeatable: [],
  budgets: [
    { name: 'pace', per: 'agent', measure: 'writes', window: 'minute', max: 3 },
    { name: 'rows', per: 'tenant', measure: 'records', window: 'hour', max: 9 },
    { name: 'money', per: 'target', measure: 'value:GBP', window: 'day', max: 1_500 },
  ],
  forbidden: [],
  invalid: [],
  looked: [],
  permitted: TARGETS,
  paidMax: null,
  critical: [],
};

/** Any may be the first, and any may follow any. */
export const VARIANTS: readonly Figures[] = [
  BASE,
  {
    ...BASE,
    name: 'tight',
    agents: { bot: WITH_PEOPLE, clerk: WITH_PEOPLE },
    recordsOver: 1,
    quorum: 2,
    releaseQuorum: 2,
    expiresAfterMinutes: 5,
    budgets: [
      { name: 'pace', per: 'agent', measure: 'writes', window: 'minute', max: 2 },
      { name: 'rows', per: 'tenant', measure: 'records', window: 'hour', max: 5 },
      { name: 'money', per: 'target', measure: 'value:GBP', window: 'day', max: 800 },
    ],
  },
  {
    ...BASE,
    name: 'loose',
    agents: { bot: ALONE, clerk: ALONE, temp: ALONE },
    recordsOver: 3,
    expiresAfterMinutes: 60,
    duplicateMinutes: 5,
    repeatable: ['pay'],
    budgets: [
      { name: 'pace', per: 'agent', measure: 'writes', window: 'minute', max: 6 },
      { name: 'rows', per: 'tenant', measure: 'records', window: 'hour', max: 40 },
    ],
  },
  { ...BASE, name: 'observe', mode: 'observe' },
  {
    ...BASE,
    name: 'one',
    agents: { ...BASE.agents, temp: { create: 'none', update: 'none', delete: 'none' } },
    recordsMax: 1,
    duplicateMinutes: 1_440,
  },
  {
    ...BASE,
    name: 'ruled',
    agents: { ...BASE.agents, clerk: { ...ALONE, update: 'read-only' } },
    budgets: BASE.budgets.filter(({ name }) => name !== 'money'),
    forbidden: ['7'],
    invalid: ['6'],
    looked: ['8'],
    permitted: TARGETS.filter((name) => name !== 'sms'),
    paidMax: 600,
    critical: ['files'],
  },
];

/** Rules of agents' writes: those that permit, forbid, and have people look. */
function rulesOf({ forbidden, looked, permitted }: Figures): readonly object[] {
  const reason = 'a simulation';
  const has = (value: string) =>
    `effect.rows.exists(row, has(row.after.value) && row.after.value == "${value}")`;
  return [
    { id: 'all', effect: 'permit', reason, match: { target: permitted } },
    ...forbidden.map((value) => {
      return { id: `no-${value}`, effect: 'forbid', reason, when: has(value) };
    }),
    // Of what it does not ask first whether it is there it cannot be told, and then it denies.
    ...forbidden.map((value) => {
      const when = `effect.rows.exists(row, row.after.value == "${value}")`;
      return { id: `blind-${value}`, effect: 'forbid', reason, match: { operation: 'set' }, when };
    }),
    ...looked.map((value) => {
      return { id: `look-${value}`, effect: 'require', reason, when: has(value) };
    }),
  ];
}

export interface Variant {
  readonly figures: Figures;
  readonly configuration: Configuration;
}

/** Parsed once for all seeds: policies are immutable. */
export const PARSED: readonly Variant[] = VARIANTS.map((figures) => ({
  figures,
  configuration: parseConfiguration(textOf(figures), `${figures.name}.yaml`),
}));

const WEAKENINGS = new Map<string, number>();

/** In how many ways one lets more through than the other, as the product tells it. */
export function weakeningsOf(before: Variant, after: Variant): number {
  const key = `${before.figures.name} ${after.figures.name}`;
  const known = WEAKENINGS.get(key) ?? weakenings(before.configuration, after.configuration).length;
  WEAKENINGS.set(key, known);
  return known;
}

export function figuresOf(digest: string): Figures {
  const found = PARSED.find(({ configuration }) => configuration.policy.digest === digest);
  if (found === undefined) throw new Error(`no simulated policy has the digest ${digest}`);
  return found.figures;
}

function textOf(figures: Figures): string {
  const { agents, budgets, repeatable, quorum, expiresAfterMinutes, recordsOver } = figures;
  return JSON.stringify({
    version: 1,
    tenant: TENANT_NAME,
    environment: 'test',
    mode: figures.mode,
    stop: { release: { quorum: figures.releaseQuorum } },
    targets: Object.fromEntries(TARGETS.map((name) => [name, { kind: 'simulated' }])),
    people: Object.fromEntries(Object.entries(PEOPLE).map(([name, roles]) => [name, { roles }])),
    agents: Object.fromEntries(
      Object.entries(agents).map(([name, tiers]) => [
        name,
        { owner: OWNER, permissions: permissions(tiers) },
      ]),
    ),
    rules: rulesOf(figures),
    validations: figures.invalid.map((value) => ({
      name: `not-${value}`,
      reason: 'a simulation',
      holds: `effect.rows.all(row, !has(row.after.value) || row.after.value != "${value}")`,
    })),
    limits: [
      { name: 'records', recordsMax: figures.recordsMax },
      ...(figures.paidMax === null ? [] : [paidLimit(figures.paidMax)]),
    ],
    // Three that rely on it are enough for the highest risk that there is.
    dependents: figures.critical.flatMap((target) =>
      ['shop', 'books', 'mail'].map((name) => {
        const criticality = 'critical';
        return { name: `${name}-of-${target}`, target, resource: 'rows', criticality };
      }),
    ),
    thresholds: [{ name: 'records', recordsOver }],
    budgets: budgets.map(({ name, per, measure, window, max }) => {
      return {
        name,
        per,
        measure,
        window,
        max: measure === 'value:GBP' ? (max / 100).toFixed(2) : max,
      };
    }),
    anomaly: { sensitivity: 'off' },
    duplicates: {
      window: `${figures.duplicateMinutes}m`,
      repeatable: repeatable.map((operation) => ({ operation })),
    },
    routes: { people: { steps: [{ quorum }], expiresAfter: `${expiresAfterMinutes}m` } },
    defaultRoute: 'people',
  });
}

function paidLimit(pence: number): object {
  return { name: 'paid', match: { operation: 'pay' }, valueMax: { GBP: (pence / 100).toFixed(2) } };
}

function permissions(tiers: Tiers): readonly object[] {
  return Object.entries(tiers)
    .filter(([, tier]) => tier !== 'none')
    .flatMap(([name, tier]) =>
      // A delete has to be named for each target and resource.
      name === 'delete'
        ? TARGETS.map((target) => ({ target, resource: 'rows', class: name, tier }))
        : [{ class: name, tier }],
    );
}
