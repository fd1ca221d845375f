/** Test 8.3, pre-write state: the images in the log equal what a superuser saw before and after. */
import { strict as assert } from 'node:assert';
import type { Effect } from '../../src/client/index.ts';
import type { Figures } from '../check.ts';
import { changeOf, changesBetween, counted, rowsIn, rowText, type Change } from './snapshot.ts';
import type { Story } from './writes.ts';

/** Holds every image of a write against the snapshots taken beside the gateway. */
export function imagesMatch(story: Story): Figures {
  const seen = changesBetween(story.before.images, story.after.images);
  const logged = changesOf(story.effects);
  for (const name of new Set([...seen, ...logged].map(({ table }) => table))) {
    const [expected, found] = [tableIn(seen, name), tableIn(logged, name)];
    const place = `${story.kind.name}: ${name}`;
    assert.deepEqual(found?.gone ?? [], expected?.gone ?? [], `${place}: images before`);
    assert.deepEqual(found?.came ?? [], expected?.came ?? [], `${place}: images after`);
  }
  assert.ok(seen.length > 0, `${story.kind.name}: the write changed nothing`);
  attributed(story);
  return { images: rowsIn(seen), tables: seen.length, records: story.records };
}

/** What became of each table by the effects alone; an image that is in both lists is no change. */
function changesOf(effects: readonly Effect[]): readonly Change[] {
  const tables = new Set(effects.map(({ resource }) => resource));
  return [...tables].toSorted().flatMap((table) => {
    const own = effects.filter(({ resource }) => resource === table);
    const images = (image: 'before' | 'after') =>
      counted(own.flatMap((effect) => (effect[image] === null ? [] : [rowText(effect[image])])));
    return changeOf(table, images('before'), images('after'));
  });
}

function tableIn(changes: readonly Change[], name: string): Change | undefined {
  return changes.find(({ table }) => table === name);
}

/** What the statement did itself, and what followed from it, are told apart as they were. */
function attributed({ kind, effects }: Story): void {
  for (const { resource, by } of effects) {
    const expected = kind.indirect?.[resource];
    if (expected === undefined) continue;
    assert.equal(by?.attribution, expected, `${kind.name}: ${resource} is attributed`);
  }
}
