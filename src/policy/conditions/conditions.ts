import { strict as assert } from 'node:assert';
import {
  Environment,
  EvaluationError,
  ParseError,
  TypeError as CelTypeError,
  type ASTNode,
  type ParseResult,
} from '@marcbachmann/cel-js';
import { Decimal } from '../../lib/decimal.ts';
import type { RuleFacts } from '../../model/policy.ts';
import { LINEAR_MATCHES, linearMatches } from './linear-matches.ts';
import { meterNodes } from './metered.ts';
import { neverHolds, type Surroundings } from '../load/never-holds.ts';
import { childrenOf } from './nodes.ts';
import { slipText } from './slips.ts';
import {
  contextOf,
  EffectView,
  OperationView,
  PrincipalView,
  RiskView,
  RowView,
  Withheld,
} from './views.ts';
import { Meter, type Spent } from './work.ts';

/** Bounds on a condition's text; beyond them it does not load. `VIEW_BOUNDS` has what it may look through. */
export const CONDITION_BOUNDS = {
  nodesMax: 500,
  depthMax: 50,
  literalsMax: 200,
} as const;

/** A condition ready to be asked, or why it is none: `offset` is UTF-16 units into its text. */
export type Condition =
  | { readonly kind: 'compiled'; readonly holds: (facts: RuleFacts) => boolean }
  | { readonly kind: 'invalid'; readonly offset: number; readonly message: string };

/**
 * Parses and type-checks a CEL condition, and where its surroundings are given, finds whether it can
 * hold at all. `holds` throws where the condition cannot be evaluated:
 * a missing key, a wrong type, an overflow, rows, columns or value that the plan does not have in full.
 */
export function compileCondition(text: string, surroundings?: Surroundings): Condition {
  const parsed = attempt(() => ENVIRONMENT.parse(text));
  if (!parsed.ok) return invalid(parsed.thrown, text);
  const expression = parsed.value;
  const checked = expression.check();
  if (!checked.valid) return invalid(checked.error, text);
  if (checked.type !== 'bool') {
    const message = `expected a condition that is true or false, found one of type \`${checked.type ?? 'unknown'}\`; compare it with something`;
    return { kind: 'invalid', offset: 0, message };
  }
  const inner = loopInLoop(expression.ast, false);
  if (inner !== undefined) {
    const message =
      'expected no loop inside a loop, since its time would grow with the square of what an agent sends; move the inner one out';
    return { kind: 'invalid', offset: inner.start, message };
  }
  if (surroundings !== undefined) {
    const dead = neverHolds(expression.ast, surroundings, constantOf);
    if (dead !== undefined) return { kind: 'invalid', ...dead };
  }
  const meter = new Meter();
  meterNodes(expression.ast, meter);
  return { kind: 'compiled', holds: (facts) => ask(expression, meter, facts) };
}

function constantOf(text: string): unknown {
  const parsed = ENVIRONMENT.parse(text);
  const answer: unknown = parsed.check().valid ? parsed({}) : undefined;
  return answer;
}

/** Has the conditions on these facts take their steps from a stage, which others may share. */
export function beginStage(facts: RuleFacts, spent: Spent): void {
  contextOf(facts).spent = spent;
}

function ask(expression: ParseResult, meter: Meter, facts: RuleFacts): boolean {
  const context = contextOf(facts);
  const { effect } = context;
  effect.show();
  meter.begin(effect, context.spent);
  const answer: unknown = expression(context);
  // `error || true` is true in CEL: a look at what is withheld must not get lost in it.
  if (effect.withheld !== null) throw effect.withheld;
  if (typeof answer !== 'boolean') throw new TypeError('the condition gave no true or false');
  return answer;
}

// ---- the language

const LOOPS: ReadonlySet<string> = new Set(['all', 'exists', 'exists_one', 'map', 'filter']);

const IMAGE = 'map<string, dyn>';

/** In the order in which one is made of another. */
const VIEWS = {
  Principal: { ctor: PrincipalView, fields: { name: 'string', kind: 'string', owner: 'string' } },
  Operation: {
    ctor: OperationView,
    fields: { name: 'string', class: 'string', target: 'string', resource: 'string' },
  },
  Risk: { ctor: RiskView, fields: { score: 'int', level: 'string' } },
  Row: {
    ctor: RowView,
    fields: { resource: 'string', kind: 'string', before: IMAGE, after: IMAGE },
  },
  Effect: {
    ctor: EffectView,
    fields: {
      records: 'int',
      recordsDirect: 'int',
      recordsIndirect: 'int',
      recordsDeleted: 'int',
      resources: 'int',
      recipients: 'int',
      bytes: 'int',
      amplification: 'double',
      reversibility: 'string',
      valueMinor: 'map<string, int>',
      rows: 'list<Row>',
    },
  },
} as const;

const VARIABLES = {
  principal: 'Principal',
  operation: 'Operation',
  args: IMAGE,
  effect: 'Effect',
  risk: 'Risk',
  run: 'string',
  environment: 'string',
  now: 'google.protobuf.Timestamp',
} as const;

const NAMES = {
  variables: Object.keys(VARIABLES),
  fields: [...new Set(Object.values(VIEWS).flatMap(({ fields }) => Object.keys(fields)))],
};

const ENVIRONMENT = language();

function language(): Environment {
  const bare = new Environment({
    limits: {
      maxAstNodes: CONDITION_BOUNDS.nodesMax,
      maxDepth: CONDITION_BOUNDS.depthMax,
      maxListElements: CONDITION_BOUNDS.literalsMax,
      maxMapEntries: CONDITION_BOUNDS.literalsMax,
      maxCallArguments: 8,
    },
  });
  for (const [name, { ctor, fields }] of Object.entries(VIEWS)) {
    bare.registerType(name, { ctor, fields });
  }
  for (const [name, type] of Object.entries(VARIABLES)) bare.registerVariable(name, type);
  const environment = bare
    .registerType('Decimal', { ctor: Decimal, fields: {} })
    .registerFunction('int(Decimal): int', (value: Decimal) => value.truncated())
    .registerFunction('double(Decimal): double', (value: Decimal) => value.valueOf())
    .registerFunction('string(Decimal): string', String)
    .registerFunction(LINEAR_MATCHES, linearMatches);
  for (const operator of ['+', '-', '*', '/', '%']) {
    for (const number of ['int', 'double']) {
      // So that what is calculated from a column is not taken for an `int`: `operate` answers it.
      environment.registerOperator(`dyn<Decimal> ${operator} ${number}: Decimal`, unreached);
      environment.registerOperator(`${number} ${operator} dyn<Decimal>: Decimal`, unreached);
    }
  }
  forgetShapes(environment);
  return environment;
}

function unreached(): never {
  throw new Error('an exact decimal was calculated with by the package');
}

/**
 * The package names the type of every nested value that it meets, by all that is in it, and keeps the
 * name for good: arguments of ever other shapes would fill the memory. A list or a map is enough to know.
 */
function forgetShapes(environment: Environment): void {
  const probe = environment.parse('1 + 1');
  probe.check();
  const shallow = (_left: unknown, _right: unknown, _node: unknown, evaluator: object): bigint => {
    const debugType: unknown = Reflect.get(evaluator, 'debugType');
    assert(typeof debugType === 'function');
    Reflect.set(evaluator, 'debugTypeDeep', debugType);
    return 2n;
  };
  Reflect.set(probe.ast, 'handle', shallow);
  assert(probe() === 2n, 'the evaluator was not reached');
}

/** Finds a loop over a list that stands inside the body of another. */
function loopInLoop(node: ASTNode, isInBody: boolean): ASTNode | undefined {
  const isLoop = node.op === 'rcall' && LOOPS.has(node.args[0]);
  if (isLoop && isInBody) return node;
  if (isLoop) {
    const [, receiver, body] = node.args;
    return (
      loopInLoop(receiver, isInBody) ?? firstOf(body, (argument) => loopInLoop(argument, true))
    );
  }
  return firstOf(childrenOf(node), (child) => loopInLoop(child, isInBody));
}

function firstOf<Item, Found>(
  items: readonly Item[],
  find: (item: Item) => Found | undefined,
): Found | undefined {
  for (const item of items) {
    const found = find(item);
    if (found !== undefined) return found;
  }
  return undefined;
}

// ---- what CEL throws

type Attempt<Value> =
  | { readonly ok: true; readonly value: Value }
  | { readonly ok: false; readonly thrown: unknown };

function attempt<Value>(make: () => Value): Attempt<Value> {
  try {
    return { ok: true, value: make() };
  } catch (thrown) {
    return { ok: false, thrown };
  }
}

/** By the summary, because CEL's message repeats the text; the place is mapped into the file by the caller. */
function invalid(thrown: unknown, text: string): Condition {
  if (!(thrown instanceof ParseError || thrown instanceof CelTypeError)) {
    return {
      kind: 'invalid',
      offset: 0,
      message: 'expected a condition in CEL, found one that does not parse; correct it',
    };
  }
  const offset = thrown.range?.start ?? 0;
  return {
    kind: 'invalid',
    offset,
    message: slipText(thrown.summary, { text, offset, ...NAMES }),
  };
}

/**
 * Says why a condition could not be evaluated, without the text of what was thrown: that may quote
 * rows of the target.
 */
export function whyErrored(thrown: unknown): string {
  if (thrown instanceof Withheld) return thrown.message;
  if (!(thrown instanceof EvaluationError)) return 'its condition could not be evaluated';
  const from = thrown.range === undefined ? '' : ` at character ${thrown.range.start + 1}`;
  return `its condition met \`${thrown.code}\`${from}`;
}
