/**
 * Rules. One that cannot be evaluated denies, whatever its effect: so a permit with a condition that
 * is gone, or holds for less, may let through what it denied by failing.
 */
import type { Policy, Rule } from '../../model/policy.ts';
import { paired, type Comparison } from './changes.ts';
import { areApart, covers, isSameMatch } from './cover.ts';
import { matchText } from './words.ts';

const STRICTNESS = { permit: 0, require: 1, forbid: 2 } as const;

export function compareRules(
  comparison: Comparison,
  before: Policy['rules'],
  after: Policy['rules'],
): void {
  const byId = (rules: Policy['rules']) => rules.map((rule) => [rule.id, rule] as const);
  for (const [id, old, present] of paired(byId(before), byId(after))) {
    const path = `rules.${id}`;
    if (old !== undefined && present !== undefined) compareRule(comparison, path, [old, present]);
    else if (old !== undefined) removed(comparison, path, old);
    else if (present !== undefined) added(comparison, path, present);
  }
}

function added(comparison: Comparison, path: string, rule: Rule): void {
  const sentence = `(${rule.effect}) added for ${matchText(rule.match)}`;
  if (rule.effect === 'permit') return comparison.weaker(path, sentence);
  comparison.tighter(path, sentence);
  if (rule.route !== null) comparison.asked.add(rule.route);
}

function removed(comparison: Comparison, path: string, rule: Rule): void {
  const sentence = `(${rule.effect}) removed`;
  if (rule.effect !== 'permit') return comparison.weaker(path, sentence);
  if (!mayHaveFailed(comparison, rule)) return comparison.tighter(path, sentence);
  comparison.weaker(path, `${sentence}: where its condition failed, it denied`);
}

/** Whether a condition that failed may have denied what another rule permits now. */
function mayHaveFailed({ after }: Comparison, rule: Rule): boolean {
  return (
    rule.when !== null &&
    after.policy.rules.some(
      ({ id, effect, match }) =>
        id !== rule.id && effect === 'permit' && !areApart(match, rule.match),
    )
  );
}

/** Keys of a rule that are compared; another one does not compile. */
const COMPARED: {
  readonly [Key in Exclude<keyof Rule, 'id' | 'when'>]: (
    comparison: Comparison,
    path: string,
    rules: readonly [Rule, Rule],
  ) => void;
} = {
  effect: (comparison, path, [old, present]) => {
    if (old.effect === present.effect) return;
    const isStricter = STRICTNESS[present.effect] > STRICTNESS[old.effect];
    const change = `(${old.effect}) → ${present.effect}`;
    comparison[isStricter ? 'tighter' : 'weaker'](path, change);
    if (present.route !== null) comparison.asked.add(present.route);
  },
  match: compareRuleMatch,
  whenText: compareCondition,
  reason: (comparison, path, [old, present]) => {
    if (old.reason !== present.reason) comparison.same(path, 'reason reworded');
  },
  route: (comparison, path, [old, present]) => {
    if (old.route !== null && present.route !== null) {
      comparison.route(path, old.route, present.route);
    }
  },
};

function compareRule(comparison: Comparison, path: string, rules: readonly [Rule, Rule]): void {
  for (const compare of Object.values(COMPARED)) compare(comparison, path, rules);
}

function compareRuleMatch(
  comparison: Comparison,
  path: string,
  [old, present]: readonly [Rule, Rule],
): void {
  if (isSameMatch(old.match, present.match)) return;
  const change = `match ${matchText(old.match)} → ${matchText(present.match)}`;
  const isWider = covers(present.match, old.match);
  const isNarrower = covers(old.match, present.match);
  if (present.effect !== 'permit') {
    // What was a permit need not go on concerning anything, but for its failures.
    const mustCover = old.effect !== 'permit' || mayHaveFailed(comparison, old);
    if (mustCover && !isWider) return comparison.weaker(path, change);
    if (mustCover && old.when !== null) {
      return comparison.weaker(path, `${change}: its condition sees more steps of a chain at once`);
    }
    comparison.tighter(path, change);
    if (present.route !== null) comparison.asked.add(present.route);
    return;
  }
  if (!isNarrower) return comparison.weaker(path, change);
  if (!mayHaveFailed(comparison, old)) return comparison.tighter(path, change);
  comparison.weaker(path, `${change}: where its condition failed, it denied`);
}

/** The text of a condition is not understood: another one is a weakening, whatever it says. */
function compareCondition(
  comparison: Comparison,
  path: string,
  [old, present]: readonly [Rule, Rule],
): void {
  if (old.whenText === present.whenText) return;
  if (old.whenText === null) {
    if (present.effect === 'permit') return comparison.tighter(path, 'holds on a condition now');
    // A permit always held: as another effect it may hold for as little as it likes.
    if (old.effect === 'permit') return comparison.tighter(path, 'holds on a condition now');
    return comparison.weaker(path, 'holds only on a condition now');
  }
  if (present.whenText === null && present.effect === 'forbid') {
    return comparison.tighter(path, 'holds without its condition now');
  }
  if (present.whenText === null) {
    return comparison.weaker(path, 'lost its condition: where that failed, it denied');
  }
  comparison.weaker(path, 'has another condition, which cannot be shown to be tighter');
}
