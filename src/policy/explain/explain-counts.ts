/** How much there is of each allowance: the figures at the head of an explanation. */
import {
  ALLOWANCES,
  type ExplainedRow,
  type ExplainedTarget,
  type TierCount,
} from './explained.ts';

/** Counts what the rows of each allowance have: a figure is 0 where there is no such row. */
export function explainCounts(
  rows: readonly ExplainedRow[],
  targets: readonly ExplainedTarget[],
): readonly TierCount[] {
  const isKnown = targets.every(({ resources }) => resources !== null);
  return ALLOWANCES.map((tier) => {
    const these = rows.filter(({ allows }) => allows === tier);
    const names = these.flatMap(({ target, resources }) =>
      resources.map((resource) => JSON.stringify([target, resource])),
    );
    return {
      tier,
      lines: new Set(these.map(({ because }) => because).filter(isLine)).size,
      resources: isKnown ? new Set(names).size : null,
    };
  });
}

/** `rules` is that no rule permits it, `agents.NAME` that no line names it: neither is a line. */
export function isLine(because: string): boolean {
  return (
    because !== 'rules' && (!because.startsWith('agents.') || because.includes('.permissions['))
  );
}
