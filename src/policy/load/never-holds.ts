/**
 * Finds conditions that can never be true, whatever is proposed. Pure, and sound: what it says nothing of
 * may hold or not; what it names does not.
 *
 * A condition is taken apart into the alternatives that would make it true, each a set of bounds on what
 * it compares with constants. One whose bounds leave nothing is dropped; where none is left, none can hold.
 */
import type { ASTNode } from '@marcbachmann/cel-js';
import { nearest } from '../../lib/nearest.ts';
import { EFFECT_CLASSES, type EffectClass } from '../../model/plan.ts';
import { childrenOf } from '../conditions/nodes.ts';

/** What is wrong with a condition, and where: UTF-16 units into its text. */
export interface NeverHolds {
  readonly offset: number;
  readonly message: string;
}

/** What the file says of who and what a line can meet. */
export interface Surroundings {
  /** By variable: what it can be at all, where that is a closed set. */
  readonly values: ReadonlyMap<string, readonly string[]>;
  /** As `values`, for what the line's own match leaves. */
  readonly matched: ReadonlyMap<string, readonly string[]>;
}

/** Alternatives beyond which a condition is taken to hold somehow. */
const ALTERNATIVES_MAX = 64;

const CLOSED: ReadonlyMap<string, readonly string[]> = new Map<string, readonly string[]>([
  ['operation.class', EFFECT_CLASSES satisfies readonly EffectClass[]],
  ['principal.kind', ['agent', 'person']],
  ['effect.reversibility', ['proved', 'conditional', 'one-way']],
  ['risk.level', ['low', 'medium', 'high', 'critical']],
  ['row.kind', ['create', 'update', 'delete']],
]);

const COUNTS = [
  'records',
  'recordsDirect',
  'recordsIndirect',
  'recordsDeleted',
  'resources',
  'recipients',
  'bytes',
];

/** Figures with their least and greatest value; whole numbers but for the amplification. */
const FIGURES: ReadonlyMap<string, Interval> = new Map<string, Interval>([
  ...COUNTS.map((name) => [`effect.${name}`, { least: 0, most: Infinity, isWhole: true }] as const),
  ['effect.amplification', { least: 0, most: Infinity, isWhole: false }],
  ['risk.score', { least: 0, most: 100, isWhole: true }],
]);

interface Interval {
  readonly least: number;
  readonly most: number;
  readonly isWhole: boolean;
  /** Whether the end itself is left out. */
  readonly isAbove?: boolean;
  readonly isBelow?: boolean;
}

/** What is left for each variable; what is not in it has no bounds. */
type Bounds = ReadonlyMap<string, Interval | readonly string[]>;

/** Looks through a condition that type-checks. `evaluate` answers a part without variables, or throws. */
export function neverHolds(
  ast: ASTNode,
  surroundings: Surroundings,
  evaluate: (text: string) => unknown,
): NeverHolds | undefined {
  const search = new Search(surroundings, evaluate);
  const alternatives = search.ways(ast, true, new Map());
  // A value that nothing can have is a slip wherever it stands.
  const [slip] = search.slips;
  if (slip !== undefined) return slip;
  if (alternatives.length > 0) return undefined;
  const [dead] = search.dead;
  return (
    dead ?? {
      offset: ast.start,
      message: 'expected a condition that can hold, found one that is always false; change it',
    }
  );
}

class Search {
  readonly slips: NeverHolds[] = [];
  readonly dead: NeverHolds[] = [];
  readonly #surroundings: Surroundings;
  readonly #evaluate: (text: string) => unknown;

  constructor(surroundings: Surroundings, evaluate: (text: string) => unknown) {
    this.#surroundings = surroundings;
    this.#evaluate = evaluate;
  }

  /** The ways in which a node comes out as wanted; none where it never does. */
  ways(node: ASTNode, wanted: boolean, names: ReadonlyMap<string, string>): readonly Bounds[] {
    const constant = this.#constant(node);
    if (typeof constant === 'boolean') return constant === wanted ? ANY : [];
    switch (node.op) {
      case '!_':
        return this.ways(node.args, !wanted, names);
      case '&&':
      case '||': {
        const [left, right] = node.args.map((each) => this.ways(each, wanted, names));
        if (left === undefined || right === undefined) return ANY;
        return (node.op === '&&') === wanted ? this.#both(left, right, node) : either(left, right);
      }
      case '?:': {
        const [condition, then, otherwise] = node.args;
        const yes = this.#both(
          this.ways(condition, true, names),
          this.ways(then, wanted, names),
          node,
        );
        const no = this.#both(
          this.ways(condition, false, names),
          this.ways(otherwise, wanted, names),
          node,
        );
        return either(yes, no);
      }
      case 'rcall':
        return this.#loop(node, wanted, names);
      case 'in':
        return this.#among(node, wanted, names);
      case '==':
      case '!=':
      case '<':
      case '<=':
      case '>':
      case '>=':
        return this.#compared(node, wanted, names);
      default:
        return ANY;
    }
  }

  /** Undefined of what has variables, or cannot be evaluated. */
  #constant(node: ASTNode): unknown {
    if (node.op === 'value') return node.args;
    if (hasNames(node)) return undefined;
    try {
      return this.#evaluate(node.input.slice(node.start, node.end));
    } catch {
      return undefined;
    }
  }

  /** `exists` holds where its body does of some item, `all` does not where its body does not. */
  #loop(
    node: Extract<ASTNode, { op: 'rcall' }>,
    wanted: boolean,
    names: ReadonlyMap<string, string>,
  ): readonly Bounds[] {
    const [macro, receiver, [variable, body]] = node.args;
    const isSought = wanted === (macro === 'exists' || macro === 'exists_one');
    const isLoop = ['all', 'exists', 'exists_one'].includes(macro);
    if (!isLoop || variable?.op !== 'id' || body === undefined) return ANY;
    const isOfRows = pathOf(receiver, names) === 'effect.rows';
    const inner = new Map(names).set(variable.args, isOfRows ? 'row' : '');
    const ways = this.ways(body, macro !== 'all', inner);
    return isSought && ways.length === 0 ? [] : ANY;
  }

  #among(
    node: Extract<ASTNode, { op: 'in' }>,
    wanted: boolean,
    names: ReadonlyMap<string, string>,
  ): readonly Bounds[] {
    const [subject, list] = node.args;
    const path = pathOf(subject, names);
    if (path === undefined || list.op !== 'list') return ANY;
    const items = list.args.map((each) => ({ each, value: this.#constant(each) }));
    const texts: string[] = [];
    for (const { each, value } of items) {
      if (typeof value !== 'string') return ANY;
      this.#checkKnown(path, value, each);
      texts.push(value);
    }
    return this.#oneOf(path, texts, wanted, node);
  }

  #compared(
    node: Extract<ASTNode, { op: '==' | '!=' | '<' | '<=' | '>' | '>=' }>,
    wanted: boolean,
    names: ReadonlyMap<string, string>,
  ): readonly Bounds[] {
    const [left, right] = node.args;
    const isTurned = pathOf(left, names) === undefined;
    const path = pathOf(isTurned ? right : left, names);
    const other = isTurned ? left : right;
    const value = this.#constant(other);
    if (path === undefined) return ANY;
    if (typeof value === 'string') {
      if (node.op !== '==' && node.op !== '!=') return ANY;
      if (node.op === '==') this.#checkKnown(path, value, other);
      return this.#oneOf(path, [value], wanted === (node.op === '=='), node);
    }
    if (typeof value !== 'bigint' && typeof value !== 'number') return ANY;
    if (Math.abs(Number(value)) > Number.MAX_SAFE_INTEGER) return ANY;
    const figure = FIGURES.get(path);
    if (figure === undefined) return ANY;
    const asked = intervals(relation(node.op, isTurned, wanted), Number(value), figure.isWhole);
    const known = [new Map([[path, figure]])];
    return asked.flatMap((each) => this.#both(known, [new Map([[path, each]])], node));
  }

  #oneOf(path: string, values: readonly string[], isIn: boolean, node: ASTNode): readonly Bounds[] {
    const { matched, values: known } = this.#surroundings;
    const all = matched.get(path) ?? known.get(path) ?? CLOSED.get(path);
    if (all === undefined) return isIn ? [new Map([[path, values]])] : ANY;
    const left = all.filter((each) => values.includes(each) === isIn);
    if (left.length > 0) return [new Map([[path, left]])];
    this.dead.push({
      offset: node.start,
      message: `expected a condition that can hold, found \`${path}\` compared so that it never does: here it is ${listed(all)}; change it`,
    });
    return [];
  }

  /** A text that the variable never is, beside any other: a slip. */
  #checkKnown(path: string, value: string, node: ASTNode): void {
    const known = this.#surroundings.values.get(path) ?? CLOSED.get(path);
    if (known === undefined || known.includes(value)) return;
    const near = nearest(value, known);
    const remedy = near === undefined ? `it is ${listed(known)}` : `write \`${near}\``;
    this.slips.push({
      offset: node.start,
      message: `expected a value that \`${path}\` can have, found \`${value}\`; ${remedy}`,
    });
  }

  #both(left: readonly Bounds[], right: readonly Bounds[], node: ASTNode): readonly Bounds[] {
    if (left.length * right.length > ALTERNATIVES_MAX) return ANY;
    return left.flatMap((one) =>
      right.flatMap((other) => {
        const merged = meet(one, other);
        if (typeof merged !== 'string') return [merged];
        this.dead.push({
          offset: node.start,
          message: `expected a condition that can hold, found bounds on \`${merged}\` that leave it no value; change them`,
        });
        return [];
      }),
    );
  }
}

const ANY: readonly Bounds[] = [new Map()];

function either(left: readonly Bounds[], right: readonly Bounds[]): readonly Bounds[] {
  return left.length + right.length > ALTERNATIVES_MAX ? ANY : [...left, ...right];
}

/** Both bounds at once, or the name of what they leave no value. */
function meet(left: Bounds, right: Bounds): Bounds | string {
  const merged = new Map(left);
  for (const [path, other] of right) {
    const one = merged.get(path);
    const both = one === undefined ? other : overlap(one, other);
    if (both === undefined) return path;
    merged.set(path, both);
  }
  return merged;
}

function overlap(
  left: Interval | readonly string[],
  right: Interval | readonly string[],
): Interval | readonly string[] | undefined {
  if ('least' in left) {
    return 'least' in right ? common(left, right) : left;
  }
  if ('least' in right) return right;
  const shared = left.filter((each) => right.includes(each));
  return shared.length === 0 ? undefined : shared;
}

function common(left: Interval, right: Interval): Interval | undefined {
  const least = Math.max(left.least, right.least);
  const most = Math.min(left.most, right.most);
  const isAbove = [left, right].some((each) => each.isAbove === true && each.least === least);
  const isBelow = [left, right].some((each) => each.isBelow === true && each.most === most);
  if (least > most || (least === most && (isAbove || isBelow))) return undefined;
  return { least, most, isWhole: left.isWhole || right.isWhole, isAbove, isBelow };
}

type Relation = '==' | '!=' | '<' | '<=' | '>' | '>=';

const TURNED = { '==': '==', '!=': '!=', '<': '>', '<=': '>=', '>': '<', '>=': '<=' } as const;
const DENIED = { '==': '!=', '!=': '==', '<': '>=', '<=': '>', '>': '<=', '>=': '<' } as const;

function relation(op: Relation, isTurned: boolean, wanted: boolean): Relation {
  const turned = isTurned ? TURNED[op] : op;
  return wanted ? turned : DENIED[turned];
}

/** Where a figure stands in the relation to a value; of whole numbers the ends are whole and included. */
function intervals(asked: Relation, value: number, isWhole: boolean): readonly Interval[] {
  const below: Interval = isWhole
    ? { least: -Infinity, most: Math.ceil(value) - 1, isWhole }
    : { least: -Infinity, most: value, isWhole, isBelow: true };
  const above: Interval = isWhole
    ? { least: Math.floor(value) + 1, most: Infinity, isWhole }
    : { least: value, most: Infinity, isWhole, isAbove: true };
  switch (asked) {
    case '<':
      return [below];
    case '>':
      return [above];
    case '<=':
      return [{ least: -Infinity, most: isWhole ? Math.floor(value) : value, isWhole }];
    case '>=':
      return [{ least: isWhole ? Math.ceil(value) : value, most: Infinity, isWhole }];
    case '==':
      return isWhole && !Number.isInteger(value) ? [] : [{ least: value, most: value, isWhole }];
    case '!=':
      return [below, above];
  }
}

function hasNames(node: ASTNode): boolean {
  return node.op === 'id' || childrenOf(node).some(hasNames);
}

/** `operation.class`; of the rows of the effect `row.kind`. Undefined of anything but names. */
function pathOf(node: ASTNode, names: ReadonlyMap<string, string>): string | undefined {
  if (node.op === 'id') {
    const renamed = names.get(node.args);
    return renamed === '' ? undefined : (renamed ?? node.args);
  }
  if (node.op !== '.') return undefined;
  const owner = pathOf(node.args[0], names);
  return owner === undefined ? undefined : `${owner}.${node.args[1]}`;
}

function listed(values: readonly string[]): string {
  const shown = values.slice(0, 8).map((each) => `\`${each}\``);
  const rest = values.length > shown.length ? ' and others' : '';
  return values.length === 0 ? 'nothing at all' : `${shown.join(', ')}${rest}`;
}
