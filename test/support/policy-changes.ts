/** Random changes of a random policy file: most of them load, and many make it tighter or leave it as it is. */
import fc from 'fast-check';
import type { Json } from '../../src/lib/json.ts';
import { policyText, PEOPLE } from './policy-arbitraries.ts';

type Line = { [key: string]: Json | undefined };
type File = { [key: string]: Json | undefined };

/** One change: `dice` choose where and what, `donor` is another random file to take lines from. */
type Mutation = (file: File, dice: Dice, donor: File) => void;

class Dice {
  readonly #rolls: readonly number[];
  #next = 0;

  constructor(rolls: readonly number[]) {
    this.#rolls = rolls;
  }

  below(count: number): number {
    const roll = this.#rolls[this.#next % this.#rolls.length] ?? 0;
    this.#next += 1;
    return count === 0 ? 0 : roll % count;
  }

  of<Item>(items: readonly Item[]): Item | undefined {
    return items[this.below(items.length)];
  }
}

const LISTS = ['never', 'limits', 'thresholds', 'budgets', 'rules'] as const;
const CONDITIONS = [
  'effect.records > 3',
  'args.n == 1',
  'risk.score > 40',
  'principal.owner == "ann"',
];
const AGENTS = ['bot', 'clerk'];

function linesOf(file: File, section: string): Line[] {
  // Files are JSON that this module made.
  return (file[section] ??= []) as Line[];
}

function recordOf(value: Json | undefined): Line {
  return (value ?? {}) as Line;
}

function nameOf(line: Line): Json | undefined {
  return line['name'] ?? line['id'];
}

function bound(keys: readonly string[], section: string): Mutation {
  return (file, dice) => {
    const line = dice.of(linesOf(file, section));
    const key = dice.of(keys);
    if (line === undefined || key === undefined) return;
    const old = line[key];
    if (typeof old === 'number' && dice.below(3) > 0) line[key] = Math.max(1, old - 1);
    else if (dice.below(3) > 0) line[key] = 1 + dice.below(12);
    else delete line[key];
  };
}

function amounts(key: string, section: string): Mutation {
  return (file, dice) => {
    const line = dice.of(linesOf(file, section));
    if (line === undefined) return;
    const currency = dice.of(['GBP', 'EUR']) ?? 'GBP';
    const amount = dice.of(['1.00', '5.00', '10.00']) ?? '1.00';
    const old = recordOf(line[key]);
    if (dice.below(4) > 0) line[key] = { ...old, [currency]: amount } as Json;
    else delete line[key];
  };
}

const VALUES: Readonly<Record<string, readonly Json[]>> = {
  agent: ['bot', 'clerk', 'b*', ['bot', 'clerk']],
  environment: ['production', 'prod*', 'staging'],
  target: ['crm', 'shop', '*', ['crm', 'shop']],
  operation: ['sql', 's*'],
  resource: ['public.a', 'public.*', 'audit.log', ['public.a', 'public.b'], '*'],
  class: ['create', 'update', 'delete', ['create', 'update']],
};

/** Widens or narrows a match by one key. */
const match: Mutation = (file, dice) => {
  const line = dice.of(linesOf(file, dice.of(LISTS) ?? 'rules'));
  if (line === undefined) return;
  const inner = { ...recordOf(line['match']) };
  const key = dice.of(Object.keys(VALUES)) ?? 'target';
  if (dice.below(2) === 0) delete inner[key];
  else inner[key] = dice.of(VALUES[key] ?? []);
  line['match'] = inner as Json;
};

const remove: Mutation = (file, dice) => {
  const lines = linesOf(file, dice.of(LISTS) ?? 'rules');
  lines.splice(dice.below(lines.length), 1);
};

const add: Mutation = (file, dice, donor) => {
  const section = dice.of(LISTS) ?? 'rules';
  const line = dice.of(linesOf(donor, section));
  if (line === undefined) return;
  const name = `x${dice.below(3)}`;
  const lines = linesOf(file, section);
  if (lines.some((each) => nameOf(each) === name)) return;
  const named = section === 'rules' ? { ...line, id: name } : { ...line, name };
  lines.splice(dice.below(lines.length + 1), 0, named as Line);
};

const reorder: Mutation = (file, dice) => {
  const lines = linesOf(file, dice.of(LISTS) ?? 'rules');
  const [moved] = lines.splice(dice.below(lines.length), 1);
  if (moved !== undefined) lines.splice(dice.below(lines.length + 1), 0, moved);
};

const rule: Mutation = (file, dice) => {
  const line = dice.of(linesOf(file, 'rules'));
  if (line === undefined) return;
  switch (dice.below(4)) {
    case 0:
      delete line['when'];
      return;
    case 1:
      line['when'] = dice.of(CONDITIONS);
      return;
    case 2:
      line['effect'] = dice.of(['permit', 'require', 'forbid', 'forbid']);
      if (line['effect'] !== 'require') delete line['route'];
      return;
    default:
      line['reason'] = 'another reason';
  }
};

const lineRoute: Mutation = (file, dice) => {
  const lines = [
    ...linesOf(file, 'thresholds'),
    ...linesOf(file, 'rules').filter((line) => line['effect'] === 'require'),
  ];
  const line = dice.of(lines);
  if (line !== undefined) line['route'] = dice.of(['finance', 'two', 'chain', 'default']);
};

const STEPS: readonly Json[] = [
  [{ groups: 'finance' }],
  [{ quorum: 2 }],
  [{ quorum: 3 }],
  [{ groups: 'finance' }, {}],
  [{ groups: ['finance', 'legal'] }],
  [{ groups: ['finance', 'legal'], quorum: 2 }],
  [{ groups: 'finance', quorum: 2 }],
];

const route: Mutation = (file, dice) => {
  const routes = recordOf(file['routes']);
  const name = dice.of(['finance', 'two', 'chain', 'default']) ?? 'two';
  const expiry = dice.of([undefined, undefined, '10m', '2h']);
  const steps = dice.of(STEPS);
  routes[name] = { steps, ...(expiry !== undefined && { expiresAfter: expiry }) } as Json;
};

const permission: Mutation = (file, dice, donor) => {
  const name = dice.of(AGENTS) ?? 'bot';
  const agent = recordOf(recordOf(file['agents'])[name]);
  const lines = linesOf(agent, 'permissions');
  const line = dice.of(lines);
  switch (dice.below(4)) {
    case 0:
      lines.splice(dice.below(lines.length), 1);
      return;
    case 1: {
      const given = dice.of(linesOf(recordOf(recordOf(donor['agents'])[name]), 'permissions'));
      if (given !== undefined) lines.push({ ...given });
      return;
    }
    case 2:
      if (line !== undefined) line['tier'] = dice.of(['read-only', 'confirm', 'autonomous']);
      return;
    default:
      if (line !== undefined) line['resource'] = dice.of(VALUES['resource'] ?? []);
  }
};

const owner: Mutation = (file, dice) => {
  const agent = recordOf(recordOf(file['agents'])[dice.of(AGENTS) ?? 'bot']);
  if (dice.below(3) === 0) delete agent['owner'];
  else agent['owner'] = dice.of(PEOPLE);
};

const person: Mutation = (file, dice) => {
  const people = recordOf(file['people']);
  const someone = recordOf(people[dice.of(PEOPLE) ?? 'ann']);
  if (dice.below(2) === 0)
    someone['roles'] = dice.of([['approver'], ['approver', 'operator'], ['operator']]);
  else someone['groups'] = dice.of([['finance'], ['legal'], ['finance', 'legal'], []]);
};

const whole: Mutation = (file, dice) => {
  switch (dice.below(4)) {
    case 0:
      file['mode'] = dice.of(['observe', 'active']);
      return;
    case 1:
      file['defaultRoute'] = dice.of(['default', 'two', 'finance', 'chain']);
      return;
    case 2:
      file['duplicates'] = { window: dice.of(['1h', '24h', '48h']) ?? '1h' };
      return;
    default:
      file['duplicates'] = { repeatable: [{ target: dice.of(['crm', '*']) ?? 'crm' }] };
  }
};

const budget: Mutation = (file, dice) => {
  const line = dice.of(linesOf(file, 'budgets'));
  if (line === undefined) return;
  if (dice.below(3) === 0) line['per'] = dice.of(['agent', ['agent', 'target'], 'resource']);
  else if (dice.below(2) === 0) line['window'] = dice.of(['minute', 'hour', 'day']);
  else line['max'] = line['measure'] === 'value:GBP' ? '3.00' : 1 + dice.below(12);
};

const MUTATIONS: readonly Mutation[] = [
  bound(['recordsMax', 'recordsPerResourceMax', 'recipientsMax', 'bytesMax'], 'limits'),
  bound(['recordsOver', 'riskOver', 'recipientsOver'], 'thresholds'),
  amounts('valueMax', 'limits'),
  amounts('valueOver', 'thresholds'),
  match,
  match,
  remove,
  add,
  reorder,
  rule,
  lineRoute,
  route,
  permission,
  owner,
  person,
  whole,
  budget,
];

const change = fc.record({
  which: fc.nat({ max: MUTATIONS.length - 1 }),
  rolls: fc.array(fc.nat({ max: 2_520 }), { minLength: 6, maxLength: 6 }),
});

function changed(
  text: string,
  donor: string,
  changes: readonly { readonly which: number; readonly rolls: readonly number[] }[],
): string {
  // Both are JSON that an arbitrary made.
  const [file, other] = [JSON.parse(text) as File, JSON.parse(donor) as File];
  for (const { which, rolls } of changes) MUTATIONS[which]?.(file, new Dice(rolls), other);
  return JSON.stringify(file);
}

/** Two texts of a policy file, the second a few changes away from the first; either may not load. */
export const changedTexts: fc.Arbitrary<readonly [before: string, after: string]> = fc
  .tuple(
    policyText,
    policyText,
    fc.array(change, { maxLength: 6 }),
    fc.array(change, { minLength: 1, maxLength: 2 }),
  )
  .map(([text, donor, first, second]) => {
    const before = changed(text, donor, first);
    return [before, changed(before, donor, second)];
  });
