/** Test 8.3, tamper evidence: whatever is done to the published log, `ledger verify` finds it. */
import { strict as assert } from 'node:assert';
import { cp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Figures } from '../check.ts';
import type { Head, World } from './world.ts';

interface Attack {
  readonly name: string;
  /** Does it to a copy. */
  run(folder: string, earlier: Head): Promise<void>;
}

/** Every attack on a copy, verified with the key and two heads that were kept elsewhere. */
export async function everyAttackIsFound(world: World, earlier: Head): Promise<Figures> {
  const kept = await world.published();
  const against = [earlier.checkpoint, kept.checkpoint];
  const sound = await world.verify(world.ledgerFolder, against);
  assert.deepEqual(sound.findings, [], 'the log as it was published');
  assert.equal(sound.size, kept.size);
  const copy = join(world.folder, 'attacked');
  const fresh = async (): Promise<void> => {
    await rm(copy, { recursive: true, force: true });
    await cp(world.ledgerFolder, copy, { recursive: true });
  };
  const missed: string[] = [];
  let attacks = 0;
  const hold = async (name: string): Promise<void> => {
    attacks += 1;
    const report = await world.verify(copy, against);
    if (report.ok) missed.push(name);
  };
  await fresh();
  const files = await filesIn(copy);
  for (const file of files) {
    const target = { path: join(copy, file), file, isPast: isPast(file, files) };
    await attackFile(target, hold);
  }
  for (const attack of ATTACKS) {
    await fresh();
    await attack.run(copy, earlier);
    await hold(attack.name);
  }
  await rm(copy, { recursive: true, force: true });
  assert.deepEqual(missed, [], 'attacks that were not found');
  return { entries: kept.size, attacks, found: attacks - missed.length };
}

async function filesIn(folder: string): Promise<readonly string[]> {
  const found = await readdir(folder, { recursive: true, withFileTypes: true });
  return (
    found
      .filter((each) => each.isFile())
      .map((each) => join(each.parentPath, each.name).slice(folder.length + 1))
      // The key in the folder is for convenience: who verifies brings another.
      .filter((file) => file !== 'vkey')
  );
}

type Hold = (name: string) => Promise<void>;

/** Does to one file whatever can be done to a file, and leaves it as it was. */
async function attackFile(
  { path, file, isPast: isOfThePast }: { path: string; file: string; isPast: boolean },
  hold: Hold,
): Promise<void> {
  const bytes = await readFile(path);
  const middle = Math.floor(bytes.length / 2);
  const edits = [
    ['edited in its middle', flipped(bytes, middle)],
    ['cut by half', bytes.subarray(0, middle)],
  ] as const;
  const more = [
    ['edited at its start', flipped(bytes, 0)],
    ['edited at its end', flipped(bytes, bytes.length - 2)],
    ['emptied', Buffer.alloc(0)],
  ] as const;
  // There are many of the past, one for each head that was signed.
  for (const [what, changed] of isOfThePast ? edits : [...edits, ...more]) {
    await writeFile(path, changed);
    await hold(`\`${file}\` ${what}`);
  }
  await rm(path);
  if (!isOfThePast) await hold(`\`${file}\` removed`);
  await writeFile(path, bytes);
}

/**
 * A head of the past, or a bundle that a longer one holds whole: nothing goes with it, and the heads
 * that were kept elsewhere still hold the log.
 */
function isPast(file: string, files: readonly string[]): boolean {
  if (file.startsWith('checkpoints/')) return true;
  const [, bundle, width] = /^(tile\/.+)\.p\/(\d+)$/.exec(file) ?? [];
  if (bundle === undefined) return false;
  return files.some((other) => {
    const longer = Number(other.slice(`${bundle}.p/`.length));
    return other === bundle || (other.startsWith(`${bundle}.p/`) && longer > Number(width));
  });
}

function flipped(bytes: Buffer, at: number): Buffer {
  const changed = Buffer.from(bytes);
  changed[Math.max(at, 0)] = (changed[Math.max(at, 0)] ?? 0) ^ 1;
  return changed;
}

const LENGTH_BYTES = 2;

/** The leaves of every entry bundle, as C2SP `tlog-tiles` frames them. */
function leavesOf(bytes: Buffer): readonly Buffer[] {
  const leaves: Buffer[] = [];
  for (let at = 0; at < bytes.length;) {
    const end = at + LENGTH_BYTES + bytes.readUInt16BE(at);
    leaves.push(bytes.subarray(at, end));
    at = end;
  }
  return leaves;
}

function bundles(change: (leaves: readonly Buffer[]) => readonly Buffer[]) {
  return async (copy: string): Promise<void> => {
    const entries = join(copy, 'tile', 'entries');
    const found = await readdir(entries, { recursive: true, withFileTypes: true });
    for (const each of found.filter((file) => file.isFile())) {
      const path = join(each.parentPath, each.name);
      const leaves = leavesOf(await readFile(path));
      await writeFile(path, Buffer.concat(change(leaves)));
    }
  };
}

/** What somebody would do who knows the format; every bundle that holds the entry is changed. */
const ATTACKS: readonly Attack[] = [
  { name: 'an entry dropped', run: bundles((leaves) => leaves.toSpliced(2, 1)) },
  {
    name: 'two entries in the other order',
    run: bundles((leaves) => leaves.toSpliced(1, 2, ...leaves.slice(1, 3).toReversed())),
  },
  {
    name: 'an entry doubled',
    run: bundles((leaves) => leaves.toSpliced(1, 0, ...leaves.slice(1, 2))),
  },
  { name: 'the last entry dropped', run: bundles((leaves) => leaves.slice(0, -1)) },
  {
    name: 'an agent replaced by another in every entry',
    run: bundles((leaves) =>
      leaves.map((leaf) => {
        const text = leaf.subarray(LENGTH_BYTES).toString('utf8').replaceAll('prober', 'nobody');
        const frame = Buffer.alloc(LENGTH_BYTES);
        frame.writeUInt16BE(Buffer.byteLength(text));
        return Buffer.concat([frame, Buffer.from(text)]);
      }),
    ),
  },
  {
    name: 'an earlier head put in place of the present one',
    run: async (copy, earlier) => {
      await writeFile(join(copy, 'checkpoint'), earlier.checkpoint);
    },
  },
  {
    name: 'the log cut back to an earlier head, every trace of the rest removed',
    run: async (copy, earlier) => {
      await writeFile(join(copy, 'checkpoint'), earlier.checkpoint);
      for (const size of await readdir(join(copy, 'checkpoints'))) {
        if (Number(size) > earlier.size) await rm(join(copy, 'checkpoints', size));
      }
    },
  },
];
