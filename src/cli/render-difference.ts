/** The difference between the plan that was shown and the one that the target would do now. */
import type { Effect, PlanDifference } from '../model/plan.ts';
import { counted, paragraph, shown, type Look } from './look.ts';

/** Lays out every count and row of a difference; says how many rows it does not hold. */
export function differenceLines(difference: PlanDifference, look: Look): readonly string[] {
  const row = (text: string): readonly string[] => paragraph(look, text, { indent: '    ' });
  return [
    look.paint.yellow('The target moved since the plan was shown'),
    ...paragraph(look, difference.sentence, { indent: '  ' }),
    ...difference.counts.flatMap((count) =>
      row(`${count.resource} (${count.attribution}): ${tally(count.shown)} → ${tally(count.now)}`),
    ),
    ...difference.rowsGone.flatMap((effect) => row(`no longer: ${effectName(effect)}`)),
    ...difference.rowsNew.flatMap((effect) => row(`newly: ${effectName(effect)}`)),
    ...difference.rowsMoved.flatMap((moved) => [
      ...row(`moved: ${moved.resource} ${moved.key.map(shown).join(', ')}`),
      ...moved.columns.flatMap((column) =>
        paragraph(
          look,
          `${column.column} (${column.image}): ${shown(column.shown)} → ${shown(column.now)}`,
          { indent: '      ' },
        ),
      ),
    ]),
    ...(difference.rowsOmitted === 0
      ? []
      : row(`and ${counted(difference.rowsOmitted, 'more row')} that differ and are not listed`)),
  ];
}

function tally(count: {
  readonly created: number;
  readonly updated: number;
  readonly deleted: number;
}): string {
  return `${count.deleted} deleted, ${count.updated} updated, ${count.created} created`;
}

/** `update public.customers "17"`. */
export function effectName(effect: Effect): string {
  const key = effect.key.map(shown).join(', ');
  return `${effect.kind} ${effect.resource} ${key === '' ? '(no key)' : key}`;
}
