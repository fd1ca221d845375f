/** Changes of a policy as text: what is weaker apart from what is tighter. */
import type { PolicyChange } from '../model/api.ts';
import { counted, paragraph, type Look } from './look.ts';

/** Lays out the changes, the weaker ones first; what no decision depends on is only counted. */
export function changeLines(changes: readonly PolicyChange[], look: Look): readonly string[] {
  const of = (effect: PolicyChange['effect']) => changes.filter((each) => each.effect === effect);
  const [weaker, tighter, same] = [of('weaker'), of('tighter'), of('same')];
  if (changes.length === 0) return ['nothing differs'];
  return [
    ...section(look, 'Weaker: may let through what was denied or waited', weaker, look.paint.red),
    ...section(look, 'Tighter', tighter, look.paint.green),
    ...(same.length === 0
      ? []
      : paragraph(look, `${counted(same.length, 'other change')} that no decision depends on`)),
  ];
}

function section(
  look: Look,
  title: string,
  changes: readonly PolicyChange[],
  paint: (text: string) => string,
): readonly string[] {
  if (changes.length === 0) return [];
  return [
    ...paragraph(look, title, { paint: look.paint.bold }),
    ...changes.flatMap(({ path, sentence }) =>
      paragraph(look, `${path} ${sentence}`, { indent: '  ', paint }),
    ),
  ];
}
