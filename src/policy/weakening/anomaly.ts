/** What is unusual: judged less often, later, or less strictly. */
import {
  SENSITIVITIES,
  type AnomalyPolicy,
  type AnomalyRule,
  type Policy,
} from '../../model/policy.ts';
import { paired, type Comparison } from './changes.ts';
import { covers, isSameMatch } from './cover.ts';
import { matchText } from './words.ts';

const VERDICTS = ['require', 'forbid'] as const;

/** A key of the section that nobody compares does not compile. */
const PARTS: {
  readonly [Key in keyof AnomalyPolicy]: (
    comparison: Comparison,
    before: AnomalyPolicy,
    after: AnomalyPolicy,
  ) => void;
} = {
  warmUp: (comparison, { warmUp: old }, { warmUp: present }) => {
    if (old === present) return;
    comparison[present > old ? 'weaker' : 'tighter']('anomaly.warmUp', `${old} → ${present}`);
  },
  otherwise: (comparison, before, after) => {
    compareRule(comparison, [before.otherwise, after.otherwise]);
  },
  lines: compareLines,
};

export function compareAnomaly(
  comparison: Comparison,
  before: Policy['anomaly'],
  after: Policy['anomaly'],
): void {
  for (const compare of Object.values(PARTS)) compare(comparison, before, after);
  // Each of them may be asked where another was, or where nothing was unusual.
  if (JSON.stringify(before) === JSON.stringify(after)) return;
  for (const { route } of [after.otherwise, ...after.lines]) comparison.asked.add(route);
}

/** A line takes the place of what holds where no line matches. */
function compareLines(comparison: Comparison, before: AnomalyPolicy, after: AnomalyPolicy): void {
  const named = (rules: readonly AnomalyRule[]) => rules.map((rule) => [rule.rule, rule] as const);
  for (const [path, old, present] of paired(named(before.lines), named(after.lines))) {
    if (present === undefined) comparison.weaker(path, 'removed');
    else if (old === undefined) {
      replaces(comparison, before.otherwise, present, `added for ${matchText(present.match)}`);
    } else {
      compareRule(comparison, [old, present]);
      if (isSameMatch(old.match, present.match)) continue;
      const change = `match ${matchText(old.match)} → ${matchText(present.match)}`;
      if (!covers(present.match, old.match)) comparison.weaker(path, change);
      else replaces(comparison, before.otherwise, present, change);
    }
  }
}

function replaces(
  comparison: Comparison,
  otherwise: AnomalyRule,
  line: AnomalyRule,
  change: string,
): void {
  if (!isAtLeast(line, otherwise)) {
    comparison.weaker(line.rule, `${change}, laxer than what holds where no line matches`);
    return;
  }
  comparison.tighter(line.rule, change);
  if (otherwise.sensitivity !== 'off') comparison.route(line.rule, otherwise.route, line.route);
}

function isAtLeast(rule: AnomalyRule, other: AnomalyRule): boolean {
  if (other.sensitivity === 'off') return true;
  return (
    SENSITIVITIES.indexOf(rule.sensitivity) >= SENSITIVITIES.indexOf(other.sensitivity) &&
    VERDICTS.indexOf(rule.verdict) >= VERDICTS.indexOf(other.verdict)
  );
}

/** A key of a rule that nobody compares does not compile. */
const RANKS: {
  readonly [Key in Exclude<keyof AnomalyRule, 'rule' | 'match' | 'route'>]: (
    rule: AnomalyRule,
  ) => readonly [rank: number, text: string];
} = {
  sensitivity: ({ sensitivity }) => [SENSITIVITIES.indexOf(sensitivity), sensitivity],
  verdict: ({ verdict }) => [VERDICTS.indexOf(verdict), verdict],
};

function compareRule(
  comparison: Comparison,
  [old, present]: readonly [AnomalyRule, AnomalyRule],
): void {
  for (const [name, rankOf] of Object.entries(RANKS)) {
    const [[from, fromText], [to, toText]] = [rankOf(old), rankOf(present)];
    if (from === to) continue;
    const change = `${name} ${fromText} → ${toText}`;
    comparison[to < from ? 'weaker' : 'tighter'](present.rule, change);
  }
  if (old.sensitivity !== 'off') comparison.route(present.rule, old.route, present.route);
}
