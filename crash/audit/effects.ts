/** What is in the targets: each mark as often as it took effect, and the counters beside them. */
import { ask } from '../database.ts';
import type { Lane } from '../lane.ts';

export interface Effects {
  /** How often each mark stands in the shop. */
  readonly shop: ReadonlyMap<string, number>;
  readonly books: ReadonlyMap<string, number>;
  /** Counters whose value is not the number of their marks. */
  readonly torn: readonly string[];
}

export async function readEffects(lane: Lane): Promise<Effects> {
  const inserted = await ask(lane.database('shop'), 'SELECT mark FROM marks');
  const counters = await ask(lane.database('shop'), 'SELECT id, value, marks FROM counters');
  const posted = await ask(lane.database('books'), 'SELECT mark FROM postings');
  const counted = counters.map((row) => ({
    id: Number(row['id']),
    value: Number(row['value']),
    marks: String(row['marks']).split(' ').filter(Boolean),
  }));
  return {
    shop: tally([
      ...inserted.map((row) => String(row['mark'])),
      ...counted.flatMap(({ marks }) => marks),
    ]),
    books: tally(posted.map((row) => String(row['mark']))),
    torn: counted
      .filter(({ value, marks }) => value !== marks.length)
      .map(({ id, value, marks }) => `counter ${id} is ${value} and has ${marks.length} marks`),
  };
}

function tally(marks: readonly string[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const mark of marks) counts.set(mark, (counts.get(mark) ?? 0) + 1);
  return counts;
}
