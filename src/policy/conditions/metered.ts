/**
 * Conditions as they are evaluated: every node, text and list is paid for in steps, and a text that
 * stands beside a number is read as one. The package that evaluates does neither.
 *
 * The nodes of a checked condition keep the function that evaluates them (`meta.evaluate`) and the one
 * that is given their operands (`handle`); both are wrapped here. The package is pinned, and a test
 * counts the steps of every kind of node.
 */
import type { ASTNode } from '@marcbachmann/cel-js';
import { Decimal } from '../../lib/decimal.ts';
import { isRecord, recordOf } from '../../lib/record.ts';
import { LinearMatches } from './linear-matches.ts';
import { childrenOf } from './nodes.ts';
import { callSteps, operate } from './operate.ts';
import type { Meter } from './work.ts';

/** Has every node of a checked condition pay to `meter`. */
export function meterNodes(node: ASTNode, meter: Meter): void {
  const meta = recordOf(Reflect.get(node, 'meta'));
  const { evaluate, alternate, macro } = meta;
  if (macro instanceof LinearMatches) macro.meter = meter;
  if (isHandle(evaluate)) {
    Reflect.set(meta, 'evaluate', (...given: readonly unknown[]): unknown => {
      meter.charge(1);
      return evaluate(...given);
    });
  }
  if (isRecord(alternate)) wrapLoop(alternate, meter);
  else wrapHandle(node, meter, beforeOf(node, meter));
  for (const child of childrenOf(node)) meterNodes(child, meter);
}

type Handle = (...given: readonly unknown[]) => unknown;
function isHandle(value: unknown): value is Handle {
  return typeof value === 'function';
}

/** Undefined: what the package answers. */
type Before = (...given: readonly unknown[]) => unknown;

function wrapHandle(node: object, meter: Meter, before: Before): void {
  const handle: unknown = Reflect.get(node, 'handle');
  if (!isHandle(handle)) return;
  const wrapped: Handle = (...given) => {
    try {
      return before(...given) ?? handle(...given);
    } catch (error) {
      meter.chargeError();
      throw error;
    }
  };
  Reflect.set(node, 'handle', wrapped);
}

/** What is done with the operands of an operator or a function before the package gets them. */
function beforeOf(node: ASTNode, meter: Meter): Before {
  switch (node.op) {
    case 'call':
    case 'rcall': {
      const name = node.args[0];
      return (operands) => {
        if (Array.isArray(operands)) meter.charge(callSteps(name, operands));
        return undefined;
      };
    }
    case '-_':
      return (operand) => {
        if (typeof operand !== 'string' && !(operand instanceof Decimal)) return undefined;
        return (operand instanceof Decimal ? operand : Decimal.of(operand))?.negated();
      };
    case '==':
    case '!=':
    case 'in':
    case '<':
    case '<=':
    case '>':
    case '>=':
    case '+':
    case '-':
    case '*':
    case '/':
    case '%':
      return (left, right) => operate(node, left, right, meter);
    default:
      return () => undefined;
  }
}

/** A loop is given what it walks over first; what its body throws, the body has paid for. */
function wrapLoop(node: object, meter: Meter): void {
  const handle: unknown = Reflect.get(node, 'handle');
  if (!isHandle(handle)) return;
  const wrapped: Handle = (...given) => {
    meter.chargeLoop(sizeOf(given[0]));
    return handle(...given);
  };
  Reflect.set(node, 'handle', wrapped);
}

function sizeOf(items: unknown): number {
  if (Array.isArray(items)) return items.length;
  if (items instanceof Map || items instanceof Set) return items.size;
  return Object.keys(recordOf(items)).length;
}
