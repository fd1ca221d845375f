/** Validations deny what does not satisfy them; what they ask for is not understood. */
import type { Policy, Validation } from '../../model/policy.ts';
import { byName, paired, type Comparison } from './changes.ts';
import { compareMatch } from './lines.ts';
import { matchText } from './words.ts';

/** A key of a validation that nobody compares does not compile. */
const PARTS: {
  readonly [Key in Exclude<keyof Validation, 'name' | 'text'>]: (
    comparison: Comparison,
    path: string,
    lines: readonly [old: Validation, present: Validation],
  ) => void;
} = {
  match: (comparison, path, [old, present]) => {
    const match = compareMatch(comparison, path, [old.match, present.match]);
    if (match !== 'wider' || old.asks.kind !== 'holds') return;
    comparison.weaker(path, 'its condition sees more steps of a chain at once');
  },
  asks: (comparison, path, [old, present]) => {
    if (old.asks.kind === present.asks.kind && old.text === present.text) return;
    comparison.weaker(path, 'asks for something else, which cannot be shown to be tighter');
  },
  reason: (comparison, path, [old, present]) => {
    if (old.reason !== present.reason) comparison.same(path, 'reason reworded');
  },
};

export function compareValidations(
  comparison: Comparison,
  before: Policy['validations'],
  after: Policy['validations'],
): void {
  for (const [name, old, present] of paired(byName(before), byName(after))) {
    const path = `validations.${name}`;
    if (present === undefined) comparison.weaker(path, 'removed');
    else if (old === undefined) comparison.tighter(path, `added for ${matchText(present.match)}`);
    else for (const compare of Object.values(PARTS)) compare(comparison, path, [old, present]);
  }
}
