/** What a comparison of two policies notes down. */
import type { Configuration, Policy } from '../../model/policy.ts';

/** One way in which a policy differs from another. */
export interface Change {
  /** As the file names it: `limits.customers`, `agents.billing-bot`, `mode`. */
  readonly path: string;
  /** What changes there, in plain words: `recordsMax 100 → 1,000`. */
  readonly sentence: string;
  /** `weaker`: it may let through what was denied or waited; `same`: no decision can differ. */
  readonly effect: 'weaker' | 'tighter' | 'same';
}

/** A line that asks a route, before and after. */
export interface RoutePair {
  readonly path: string;
  readonly before: string;
  readonly after: string;
}

/** Of a configuration, what a policy's meaning depends on. */
export type Compared = Omit<Configuration, 'text' | 'listen' | 'allowedHosts' | 'store'>;

/** A comparison under way: the two, what was found so far, and what routes have to do with it. */
export class Comparison {
  readonly before: Compared;
  readonly after: Compared;
  readonly changes: Change[] = [];
  /** Which route each line asked, and asks now: names, and what they mean may change too. */
  readonly routes: RoutePair[] = [];
  /** Routes that may be asked now where they were not before. */
  readonly asked: Set<string> = new Set();

  constructor(before: Compared, after: Compared) {
    this.before = before;
    this.after = after;
  }

  weaker(path: string, sentence: string): void {
    this.changes.push({ path, sentence, effect: 'weaker' });
  }

  tighter(path: string, sentence: string): void {
    this.changes.push({ path, sentence, effect: 'tighter' });
  }

  same(path: string, sentence: string): void {
    this.changes.push({ path, sentence, effect: 'same' });
  }

  route(path: string, before: string, after: string): void {
    this.routes.push({ path, before, after });
  }

  /** The default route may be asked by writes that it was not asked by before. */
  asksDefault(): void {
    this.asked.add(this.after.policy.defaultRoute);
  }
}

/** Pairs lines of two versions by name: one of each pair may be missing. */
export function paired<Line>(
  before: Iterable<readonly [string, Line]>,
  after: Iterable<readonly [string, Line]>,
): readonly (readonly [name: string, before: Line | undefined, after: Line | undefined])[] {
  const [old, present] = [new Map(before), new Map(after)];
  const names = new Set([...old.keys(), ...present.keys()]);
  return [...names].map((name) => [name, old.get(name), present.get(name)] as const);
}

/** Lines of a list by their name. */
export function byName<Line extends { readonly name: string }>(
  lines: readonly Line[],
): readonly (readonly [string, Line])[] {
  return lines.map((line) => [line.name, line] as const);
}

/** The conditions of a policy that a write can be let through or kept back by, and whose they are. */
export function conditionsOf({
  rules,
  validations,
}: Policy): readonly { readonly path: string; readonly text: string }[] {
  return [
    ...rules.map(({ id, whenText }) => ({ path: `rules.${id}`, text: whenText ?? '' })),
    ...validations
      .filter(({ asks }) => asks.kind === 'holds')
      .map(({ name, text }) => ({ path: `validations.${name}`, text })),
  ];
}
