/** How much each tier allows: the figures at the head of an explanation. */
import type { AgentPolicy, Tier } from '../../model/policy.ts';
import type { ExplainedRow, ExplainedTarget, TierCount } from './explained.ts';

/**
 * Counts a resource at the strongest that some write to it is allowed, so each once: what is
 * allowed for one class alone is in the rows.
 */
export function explainCounts(
  agent: AgentPolicy,
  rows: readonly ExplainedRow[],
  targets: readonly ExplainedTarget[],
): readonly TierCount[] {
  const isKnown = targets.every(({ resources }) => resources !== null);
  const best = new Map<string, Tier>();
  for (const tier of ['read-only', 'confirm', 'autonomous'] as const) {
    for (const row of rows) {
      if (row.allows !== tier || row.tier === null) continue;
      for (const resource of row.resources) best.set(JSON.stringify([row.target, resource]), tier);
    }
  }
  const held = [...best.values()];
  return (['autonomous', 'confirm', 'read-only'] as const).map((tier) => ({
    tier,
    lines: agent.permissions.filter((line) => line.tier === tier).length,
    resources: isKnown ? held.filter((each) => each === tier).length : null,
  }));
}
