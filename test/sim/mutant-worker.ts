/** Plays seeds against a product with a mutant in it, in a thread of its own, until one notices. */
import { strict as assert } from 'node:assert';
import { registerHooks } from 'node:module';
import { parentPort, workerData } from 'node:worker_threads';
import type { Edit } from './mutants/mutant.ts';
import { MUTANTS } from './mutants.ts';

/** Null: none of the seeds noticed. */
export type Noticed = {
  readonly seed: number;
  readonly invariant: string;
  readonly message: string;
} | null;

export interface MutantTask {
  readonly name: string;
  readonly seeds: number;
}

const ROOT = new URL('../../', import.meta.url);

function mutated(source: string, edits: readonly Edit[]): string {
  let text = source;
  for (const { file, find, replace } of edits) {
    const times = text.split(find).length - 1;
    assert.equal(times, 1, `\`${find}\` is ${times} times in ${file}; the mutant wants mending`);
    text = text.replace(find, () => replace);
  }
  return text;
}

// What starts this thread says which.
const { name, seeds } = workerData as MutantTask;
const mutant = MUTANTS.find((each) => each.name === name);
assert(mutant !== undefined, `there is no mutant \`${name}\``);
const left = Map.groupBy(mutant.edits, ({ file }) => new URL(file, ROOT).href);
registerHooks({
  load(url, context, nextLoad) {
    const loaded = nextLoad(url, context);
    const edits = left.get(url);
    if (edits === undefined || loaded.source === undefined || loaded.source === null) return loaded;
    left.delete(url);
    const { source } = loaded;
    const text = typeof source === 'string' ? source : Buffer.from(source as Uint8Array).toString();
    return { ...loaded, source: mutated(text, edits) };
  },
});
const { simulate } = await import('./run.ts');
assert.deepEqual([...left.keys()], [], 'every file of a mutant is part of the simulation');

async function play(): Promise<Noticed> {
  for (let seed = 1; seed <= seeds; seed += 1) {
    const { violation, trace } = await simulate(seed);
    if (violation === null) continue;
    const { invariant, message } = violation;
    return { seed, invariant, message: trace.named(message) };
  }
  return null;
}

parentPort?.postMessage(await play());
