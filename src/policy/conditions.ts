import {
  Environment,
  EvaluationError,
  ParseError,
  TypeError as CelTypeError,
  type ASTNode,
  type ParseResult,
} from '@marcbachmann/cel-js';
import { RE2JS } from 're2js';
import type { RuleFacts } from '../model/policy.ts';
import {
  contextOf,
  EffectView,
  OperationView,
  PrincipalView,
  RiskView,
  RowView,
  Withheld,
} from './views.ts';

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
 * Parses and type-checks a CEL condition. `holds` throws where the condition cannot be evaluated:
 * a missing key, a wrong type, an overflow, rows, columns or value that the plan does not have in full.
 */
export function compileCondition(text: string): Condition {
  const parsed = attempt(() => ENVIRONMENT.parse(text));
  if (!parsed.ok) return invalid(parsed.thrown);
  const expression = parsed.value;
  const checked = expression.check();
  if (!checked.valid) return invalid(checked.error);
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
  return { kind: 'compiled', holds: (facts) => ask(expression, facts) };
}

function ask(expression: ParseResult, facts: RuleFacts): boolean {
  const context = contextOf(facts);
  context.effect.withheld = null;
  const answer: unknown = expression(context);
  // `error || true` is true in CEL: a look at what is withheld must not get lost in it.
  if (context.effect.withheld !== null) throw new Withheld(context.effect.withheld);
  if (typeof answer !== 'boolean') throw new TypeError('the condition gave no true or false');
  return answer;
}

// ---- the language

/**
 * The package's own `matches` backtracks: 27 characters held it for seconds. It cannot be
 * replaced by an overload, but a macro is looked up by name and number of arguments alone, before
 * any overload: declared on lists, it takes every `matches`, and strings never reach the original.
 */
const LINEAR_MATCHES = 'list.matches(ast): bool';

const LOOPS: ReadonlySet<string> = new Set(['all', 'exists', 'exists_one', 'map', 'filter']);

const ENVIRONMENT = environment();

function environment(): Environment {
  const image = 'map<string, dyn>';
  return new Environment({
    limits: {
      maxAstNodes: CONDITION_BOUNDS.nodesMax,
      maxDepth: CONDITION_BOUNDS.depthMax,
      maxListElements: CONDITION_BOUNDS.literalsMax,
      maxMapEntries: CONDITION_BOUNDS.literalsMax,
      maxCallArguments: 8,
    },
  })
    .registerType('Principal', {
      ctor: PrincipalView,
      fields: { name: 'string', kind: 'string', owner: 'string' },
    })
    .registerType('Operation', {
      ctor: OperationView,
      fields: { name: 'string', class: 'string', target: 'string', resource: 'string' },
    })
    .registerType('Risk', { ctor: RiskView, fields: { score: 'int', level: 'string' } })
    .registerType('Row', {
      ctor: RowView,
      fields: { resource: 'string', kind: 'string', before: image, after: image },
    })
    .registerType('Effect', {
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
    })
    .registerVariable('principal', 'Principal')
    .registerVariable('operation', 'Operation')
    .registerVariable('args', 'map<string, dyn>')
    .registerVariable('effect', 'Effect')
    .registerVariable('risk', 'Risk')
    .registerVariable('run', 'string')
    .registerVariable('environment', 'string')
    .registerVariable('now', 'google.protobuf.Timestamp')
    .registerFunction(LINEAR_MATCHES, linearMatches);
}

interface MacroCall {
  readonly ast: ASTNode;
  readonly args: readonly ASTNode[];
  readonly receiver: ASTNode;
}

interface MacroChecker {
  check(node: ASTNode, context: unknown): { readonly name: string };
  getType(name: string): unknown;
  createError(code: string, message: string, node: ASTNode): Error;
}

interface MacroEvaluator {
  run(node: ASTNode, context: unknown): unknown;
}

function linearMatches({ ast, args, receiver }: MacroCall) {
  let pattern: RE2JS | undefined;
  return {
    async: false,
    typeCheck(checker: MacroChecker, _call: unknown, context: unknown): unknown {
      const [literal] = args;
      const type = checker.check(receiver, context).name;
      if (type !== 'string' && type !== 'dyn') {
        throw checker.createError('no_matching_overload', `\`${type}\` has no \`matches\``, ast);
      }
      if (literal?.op !== 'value' || typeof literal.args !== 'string') {
        const message = 'expected a quoted pattern, which is compiled once at load';
        throw checker.createError('invalid_regular_expression', message, literal ?? ast);
      }
      const text = literal.args;
      const compiled = attempt(() => RE2JS.compile(text));
      if (!compiled.ok) {
        const message = `expected a pattern in RE2 syntax, found \`${text}\``;
        throw checker.createError('invalid_regular_expression', message, literal);
      }
      pattern = compiled.value;
      return checker.getType('bool');
    },
    evaluate(evaluator: MacroEvaluator, _call: unknown, context: unknown): boolean {
      const subject = evaluator.run(receiver, context);
      if (typeof subject !== 'string' || pattern === undefined) {
        throw new TypeError('only a string matches a pattern');
      }
      return pattern.test(subject);
    },
  };
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

function childrenOf(node: ASTNode): readonly ASTNode[] {
  switch (node.op) {
    case 'value':
    case 'id':
      return [];
    case '.':
    case '.?':
      return [node.args[0]];
    case 'call':
      return node.args[1];
    case 'rcall':
      return [node.args[1], ...node.args[2]];
    case 'map':
      return node.args.flat();
    case '!_':
    case '-_':
      return [node.args];
    default:
      return node.args;
  }
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

/** The summary, because CEL's message repeats the text; the place is mapped into the file by the caller. */
function invalid(thrown: unknown): Condition {
  if (!(thrown instanceof ParseError || thrown instanceof CelTypeError)) {
    return {
      kind: 'invalid',
      offset: 0,
      message: 'expected a condition in CEL, found one that does not parse',
    };
  }
  const found = thrown.summary.charAt(0).toLowerCase() + thrown.summary.slice(1);
  const message = found.startsWith('expected')
    ? found
    : `expected a condition in CEL, found ${found}`;
  return { kind: 'invalid', offset: thrown.range?.start ?? 0, message };
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
