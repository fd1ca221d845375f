import type { ASTNode } from '@marcbachmann/cel-js';
import { RE2JS } from 're2js';
import type { Meter } from './work.ts';

/**
 * The package's own `matches` backtracks: 27 characters held it for seconds. It cannot be
 * replaced by an overload, but a macro is looked up by name and number of arguments alone, before
 * any overload: declared on lists, it takes every `matches`, and strings never reach the original.
 */
export const LINEAR_MATCHES = 'list.matches(ast): bool';

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

export function linearMatches(call: MacroCall): LinearMatches {
  return new LinearMatches(call);
}

/** One `matches` of a condition, its pattern compiled when the condition is checked. */
export class LinearMatches {
  readonly async = false;
  /** Who is paid for the text that is searched. */
  meter: Meter | null = null;
  readonly #call: MacroCall;
  #pattern: RE2JS | null = null;

  constructor(call: MacroCall) {
    this.#call = call;
  }

  typeCheck(checker: MacroChecker, _call: unknown, context: unknown): unknown {
    const { ast, args, receiver } = this.#call;
    const [literal] = args;
    const type = checker.check(receiver, context).name;
    if (type !== 'string' && type !== 'dyn') {
      throw checker.createError('no_matching_overload', `\`${type}\` has no \`matches\``, ast);
    }
    if (literal?.op !== 'value' || typeof literal.args !== 'string') {
      const message = 'expected a quoted pattern, which is compiled once at load';
      throw checker.createError('invalid_regular_expression', message, literal ?? ast);
    }
    try {
      this.#pattern = RE2JS.compile(literal.args);
    } catch {
      const message = `expected a pattern in RE2 syntax, found \`${literal.args}\``;
      throw checker.createError('invalid_regular_expression', message, literal);
    }
    return checker.getType('bool');
  }

  /** At worst each character is held against every step of the pattern. */
  evaluate(evaluator: MacroEvaluator, _call: unknown, context: unknown): boolean {
    const subject = evaluator.run(this.#call.receiver, context);
    if (typeof subject !== 'string' || this.#pattern === null) {
      throw new TypeError('only a string matches a pattern');
    }
    this.meter?.charge(subject.length * this.#pattern.programSize());
    return this.#pattern.test(subject);
  }
}
