/** What operators mean where the package that evaluates conditions would err, or not know its bounds. */
import { EvaluationError, type ASTNode, type BinaryOperator } from '@marcbachmann/cel-js';
import { Decimal } from '../../lib/decimal.ts';
import { isRecord } from '../../lib/record.ts';
import type { Meter } from './work.ts';

export type BinaryNode = Extract<ASTNode, { readonly op: BinaryOperator }>;

/**
 * Answers an operator that has a text or an exact decimal beside a number, or that looks through
 * lists and maps; undefined leaves it to the package, whose errors deny. Pays for what it looks through.
 */
export function operate(node: BinaryNode, left: unknown, right: unknown, meter: Meter): unknown {
  meter.charge(textSteps(left) + textSteps(right));
  switch (node.op) {
    case '==':
    case '!=': {
      const isEqual = equal(node, left, right, meter);
      if (isEqual === undefined) return undefined;
      return isEqual === (node.op === '==');
    }
    case 'in':
      return isList(right) ? isAmong(left, right, meter) : undefined;
    case '+':
      if (isList(left) && isList(right)) {
        meter.charge(left.length + right.length);
        return [...left, ...right];
      }
      return calculated(node, left, right);
    default:
      return calculated(node, left, right);
  }
}

/** A text costs by its characters, whatever is done with it. */
function textSteps(value: unknown): number {
  if (typeof value === 'string' || value instanceof Uint8Array) return value.length >> 2;
  return 0;
}

// ---- equality

/** A number is not silently unequal to what is none: that may be what the rule is there for. */
function equal(node: BinaryNode, left: unknown, right: unknown, meter: Meter): boolean | undefined {
  if (isCollection(left) && isCollection(right)) return isSame(left, right, meter);
  if (!isNumber(left) && !isNumber(right)) return undefined;
  if (typeof left === typeof right && typeof left !== 'object') return undefined;
  const [one, other] = [decimalOf(left), decimalOf(right)];
  if (one !== undefined && other !== undefined) return one.compare(other) === 0;
  const isText = (each: unknown) => typeof each === 'string' || each === null;
  if (isText(left) || isText(right)) throw noNumber(node);
  return undefined;
}

function isAmong(value: unknown, items: readonly unknown[], meter: Meter): boolean {
  return items.some((item) => isSame(value, item, meter));
}

/** Lists by their items, maps by their members, however deep; what is of another kind is another. */
function isSame(left: unknown, right: unknown, meter: Meter): boolean {
  meter.charge(1 + Math.min(textSteps(left), textSteps(right)));
  if (left === right) return true;
  if (Array.isArray(left) && Array.isArray(right)) {
    return left.length === right.length && left.every((each, at) => isSame(each, right[at], meter));
  }
  if (isCollection(left) && isCollection(right)) {
    const [one, other] = [entriesOf(left), entriesOf(right)];
    if (one === undefined || other === undefined || one.size !== other.size) return false;
    return [...one].every(([key, value]) => other.has(key) && isSame(value, other.get(key), meter));
  }
  if (typeof left !== typeof right && (isNumber(left) || isNumber(right))) {
    const [one, other] = [decimalOf(left), decimalOf(right)];
    return one !== undefined && other !== undefined && one.compare(other) === 0;
  }
  return isRecord(left) && isRecord(right) && isSameMoment(left, right);
}

/** Timestamps and durations, which have a value; a row is only the same as itself. */
function isSameMoment(left: object, right: object): boolean {
  const [one, other]: readonly unknown[] = [left.valueOf(), right.valueOf()];
  return left.constructor === right.constructor && typeof one !== 'object' && one === other;
}

function isList(value: unknown): value is readonly unknown[] {
  return Array.isArray(value);
}

/** Lists and maps; not the views of rows, nor timestamps and durations. */
function isCollection(value: unknown): value is object {
  if (!isRecord(value)) return false;
  if (Array.isArray(value) || value instanceof Map || value instanceof Set) return true;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype;
}

function entriesOf(value: object): ReadonlyMap<unknown, unknown> | undefined {
  if (value instanceof Map) return value;
  return Array.isArray(value) || value instanceof Set ? undefined : new Map(Object.entries(value));
}

// ---- numbers

interface Pair {
  readonly left: Decimal;
  readonly right: Decimal;
}

/**
 * The two as exact numbers, where that is not what the package sees: one is a decimal, or a text
 * beside a number. Undefined where both are plain, or one is no number at all.
 */
function numbersOf(left: unknown, right: unknown, areTexts = false): Pair | undefined {
  const isExact = left instanceof Decimal || right instanceof Decimal;
  const isMixed =
    (typeof left === 'string' && isNumber(right)) || (typeof right === 'string' && isNumber(left));
  const isOfTexts = areTexts && typeof left === 'string' && typeof right === 'string';
  if (!isExact && !isMixed && !isOfTexts) return undefined;
  const [one, other] = [decimalOf(left), decimalOf(right)];
  return one === undefined || other === undefined ? undefined : { left: one, right: other };
}

function isNumber(value: unknown): value is number | bigint | Decimal {
  return typeof value === 'number' || typeof value === 'bigint' || value instanceof Decimal;
}

function decimalOf(value: unknown): Decimal | undefined {
  if (value instanceof Decimal) return value;
  const isRead =
    typeof value === 'string' || typeof value === 'number' || typeof value === 'bigint';
  return isRead ? Decimal.of(value) : undefined;
}

/** Between two texts `-`, `*`, `/` and `%` can only mean numbers; `+` joins them and `<` goes by letters. */
const OF_TEXTS: ReadonlySet<string> = new Set(['-', '*', '/', '%']);

function calculated(node: BinaryNode, left: unknown, right: unknown): unknown {
  const pair = numbersOf(left, right, OF_TEXTS.has(node.op));
  if (pair === undefined) {
    // The package would go by the nearest double of a decimal, and know no text as a number.
    if (left instanceof Decimal || right instanceof Decimal) throw noNumber(node);
    return undefined;
  }
  const answer = calculate(node, pair);
  if (answer instanceof Decimal && answer.isLong()) throw noNumber(node);
  return answer;
}

function calculate(node: BinaryNode, { left, right }: Pair): Decimal | boolean {
  switch (node.op) {
    case '<':
      return left.compare(right) < 0;
    case '<=':
      return left.compare(right) <= 0;
    case '>':
      return left.compare(right) > 0;
    case '>=':
      return left.compare(right) >= 0;
    case '+':
      return left.plus(right);
    case '-':
      return left.minus(right);
    case '*':
      return left.times(right);
    default:
      return divided(node, left.whole(), right.whole());
  }
}

/** As CEL divides whole numbers; others have no exact quotient. */
function divided(node: BinaryNode, left: bigint | undefined, right: bigint | undefined): Decimal {
  if (left === undefined || right === undefined || right === 0n) throw noNumber(node);
  return new Decimal(node.op === '/' ? left / right : left % right, 0);
}

function noNumber(node: ASTNode): EvaluationError {
  const message = `no such overload: an exact number ${node.op} something that is none`;
  return new EvaluationError({ code: 'no_such_overload', message, range: node.range });
}

// ---- functions

const ZONE_STEPS = 20_000;

/** What a call takes, by what it is given, before it is made. */
export function callSteps(name: string, operands: readonly unknown[]): number {
  const [subject, given] = operands;
  const steps = operands.reduce<number>((sum, each) => sum + textSteps(each), 1);
  if (typeof subject !== 'string') {
    return steps + otherSteps(name, subject, given);
  }
  switch (name) {
    case 'duration':
      // Its pattern tries every way to read a run of digits.
      return steps + Math.ceil(subject.length ** 3 / 64);
    case 'split':
      return steps + subject.length;
    case 'contains':
    case 'indexOf':
    case 'lastIndexOf':
      // The search looks at the whole needle again and again where the text all but has it.
      return (
        steps + (typeof given === 'string' ? Math.ceil((subject.length * given.length) / 128) : 0)
      );
    default:
      return steps;
  }
}

function otherSteps(name: string, subject: unknown, given: unknown): number {
  if (Array.isArray(subject) && name === 'join') {
    const between = typeof given === 'string' ? given.length : 0;
    return subject.reduce<number>((sum, each) => sum + 1 + textSteps(each) + (between >> 2), 0);
  }
  if (subject instanceof Uint8Array) return subject.length;
  // A time zone's calendar is slow to ask.
  return typeof given === 'string' ? ZONE_STEPS : 0;
}
