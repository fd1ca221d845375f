/**
 * Risk, which limits have a part in: it is scored against the least `recordsMax` of the resource, or
 * 1,000 where there is none (`policy/stages/risk.ts`). A tighter limit makes a higher score, which tightens
 * thresholds, and may open a rule whose condition looks at it.
 */
import type { Limit, Policy } from '../../model/policy.ts';
import { conditionsOf, type Comparison } from './changes.ts';
import { covers } from './cover.ts';

/** A limit whose bound makes no higher score than no limit at all. */
const RECORDS_USUAL = 1_000;

export function compareRisk(comparison: Comparison): void {
  const [old, present] = [comparison.before.policy, comparison.after.policy];
  if (JSON.stringify(scaleOf(old)) === JSON.stringify(scaleOf(present))) return;
  riskMoves(comparison, 'limits');
  for (const limit of present.limits) {
    const { name, recordsMax } = limit;
    if (recordsMax === null || recordsMax <= RECORDS_USUAL) continue;
    // Where a limit was, that limit is compared; where none was, the usual scale was tighter.
    if (old.limits.some((each) => each.recordsMax !== null && coversResource(each, limit)))
      continue;
    comparison.weaker(`limits.${name}`, 'lowers the risk that is scored against it');
  }
}

function scaleOf({ limits }: Policy): readonly unknown[] {
  return limits
    .filter(({ recordsMax }) => recordsMax !== null)
    .map(({ name, recordsMax, match }) => [name, recordsMax, match.resource]);
}

/** A limit counts for risk by its resource alone, whatever else its match names. */
function coversResource(outer: Limit, inner: Limit): boolean {
  const only = ({ match: { resource } }: Limit) => (resource === undefined ? {} : { resource });
  return covers(only(outer), only(inner));
}

/** Notes what scores that move upwards do; `path` is where that comes from. */
export function riskMoves(comparison: Comparison, path: string): void {
  const { policy } = comparison.after;
  for (const condition of conditionsOf(policy)) {
    if (!/\brisk\b/.test(condition.text)) continue;
    comparison.weaker(path, `the risk of a write changes, at which ${condition.path} looks`);
  }
  comparison.asksDefault();
  for (const { riskOver, route } of policy.thresholds) {
    if (riskOver !== null) comparison.asked.add(route);
  }
}
