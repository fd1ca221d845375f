import type {
  BudgetRule,
  Limit,
  Match,
  Policy,
  Rule,
  Threshold,
  Validation,
} from '../../model/policy.ts';
import { isPattern, matchesBeside, type MatchSubject } from './match.ts';

/** The lines of a policy whose match holds for a kind of write, whatever the resource. */
export interface Candidates {
  readonly never: Policy['never'];
  readonly limits: readonly Limit[];
  readonly thresholds: readonly Threshold[];
  readonly budgets: readonly BudgetRule[];
  readonly rules: RuleIndex;
  readonly validations: readonly Validation[];
}

/** Rules by the resources that they name: most name one in full, and most writes are of another. */
export class RuleIndex {
  readonly #rules: readonly Rule[];
  /** Places of the rules that name the resource in full. */
  readonly #named = new Map<string, number[]>();
  /** Places of the rules that name none, or a pattern. */
  readonly #open: number[] = [];

  constructor(rules: readonly Rule[]) {
    this.#rules = rules;
    for (const [place, { match }] of rules.entries()) {
      const { resource } = match;
      if (resource === undefined || resource.some(isPattern)) this.#open.push(place);
      else for (const name of new Set(resource)) this.#at(name).push(place);
    }
  }

  /** The rules that can be about any of the names, in the order of the file. */
  about(names: Iterable<string>): readonly Rule[] {
    const places = new Set(this.#open);
    for (const name of names) for (const place of this.#named.get(name) ?? []) places.add(place);
    return [...places]
      .toSorted((left, right) => left - right)
      .flatMap((place) => this.#rules[place] ?? []);
  }

  #at(name: string): number[] {
    const places = this.#named.get(name) ?? [];
    this.#named.set(name, places);
    return places;
  }
}

/** Kinds of write remembered per policy; beyond them the index begins anew. */
const KINDS_MAX = 4_096;

/**
 * By policy, by agent, environment, target, operation and class. A policy never changes once it is
 * loaded, so what matches a kind of write is settled at its first and looked up after that.
 */
const INDEX = new WeakMap<Policy, Map<string, Candidates>>();
/** By the subject itself, which the stages of one decision share. */
const LOOKED_UP = new WeakMap<
  MatchSubject,
  { readonly policy: Policy; readonly found: Candidates }
>();

/** Returns the lines that can concern the subject; what they say of resources is still to be asked. */
export function candidatesOf(policy: Policy, subject: MatchSubject): Candidates {
  const lookedUp = LOOKED_UP.get(subject);
  if (lookedUp?.policy === policy) return lookedUp.found;
  const found = lookUp(policy, subject);
  LOOKED_UP.set(subject, { policy, found });
  return found;
}

function lookUp(policy: Policy, subject: MatchSubject): Candidates {
  const kinds = INDEX.get(policy) ?? new Map<string, Candidates>();
  INDEX.set(policy, kinds);
  const { agent, environment, target, operation, class: effectClass } = subject;
  const key = JSON.stringify([agent, environment, target, operation, effectClass]);
  const known = kinds.get(key);
  if (known !== undefined) return known;
  const concern = (line: { readonly match: Match }) => matchesBeside(line.match, subject);
  const found: Candidates = {
    never: policy.never.filter(concern),
    limits: policy.limits.filter(concern),
    thresholds: policy.thresholds.filter(concern),
    budgets: policy.budgets.filter(concern),
    rules: new RuleIndex(policy.rules.filter(concern)),
    validations: policy.validations.filter(concern),
  };
  if (kinds.size >= KINDS_MAX) kinds.clear();
  kinds.set(key, found);
  return found;
}
