import assert from 'node:assert/strict';
import { readdir, readFile, rm, stat, writeFile, chmod, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { newEvidenceId, newProposalId, type EvidenceId } from '../model/ids.ts';
import type { Effect } from '../model/plan.ts';
import type { EvidenceReader } from '../model/ports.ts';
import { openEvidenceFiles, type EvidenceFolder, type EvidenceOptions } from './evidence-files.ts';

const AT = Date.UTC(2026, 10, 20);
const OWNER = newProposalId(AT, new Uint8Array(10));

async function options(t: TestContext): Promise<EvidenceOptions> {
  const data = await mkdtemp(join(tmpdir(), 'writegate-evidence-'));
  t.after(() => rm(data, { recursive: true, force: true }));
  return { folder: join(data, 'evidence'), keyPath: join(data, 'evidence.key'), now: () => AT };
}

function effects(count: number, from = 0): readonly Effect[] {
  return Array.from({ length: count }, (_, row) => ({
    resource: 'public.customers',
    kind: 'update' as const,
    key: [String(from + row)],
    before: { id: String(from + row), note: `before "${from + row}"\n\ud83d\ude00`, gone: null },
    after: { id: String(from + row), note: 'x'.repeat(200), gone: null },
    ...(row % 2 === 0 ? {} : { by: { attribution: 'trigger' as const, via: 'log_it' } }),
  }));
}

async function written(files: EvidenceFolder, rows: readonly Effect[]): Promise<EvidenceId> {
  const writer = await files.create(OWNER);
  for (let at = 0; at < rows.length; at += 700) await writer.append(rows.slice(at, at + 700));
  const reference = await writer.finish();
  assert.equal(reference.rows, rows.length);
  return reference.id;
}

async function opened(files: EvidenceFolder, id: EvidenceId): Promise<EvidenceReader> {
  const reader = await files.open(id);
  assert.ok(reader !== undefined);
  return reader;
}

async function everything(reader: EvidenceReader): Promise<readonly Effect[]> {
  const rows: Effect[] = [];
  for await (const batch of reader.batches()) rows.push(...batch);
  return rows;
}

/** Reads every row, and fails where that works: what was changed may not be read at all. */
async function assertUnreadable(
  files: EvidenceFolder,
  id: EvidenceId,
  what: string,
): Promise<void> {
  const read = async (): Promise<unknown> => everything(await opened(files, id));
  await assert.rejects(read(), { name: 'Problem', code: 'store-unusable' }, what);
}

test('what was appended comes back, in order, page by page and all at once', async (t) => {
  const files = await openEvidenceFiles(await options(t));
  const rows = effects(5_000);
  const id = await written(files, rows);
  const reader = await opened(files, id);
  assert.equal(reader.rows, 5_000);
  assert.deepEqual(await everything(reader), rows);
  for (const [from, limit] of [
    [0, 1],
    [0, 5_000],
    [699, 702],
    [1_234, 3_000],
    [4_999, 10],
    [5_000, 10],
    [90_000, 1],
  ] as const) {
    assert.deepEqual(await reader.page(from, limit), rows.slice(from, from + limit));
  }
  await reader.close();
});

test('a file without effects is one too', async (t) => {
  const files = await openEvidenceFiles(await options(t));
  const reader = await opened(files, await written(files, []));
  assert.deepEqual([reader.rows, await reader.page(0, 10)], [0, []]);
  assert.deepEqual(await everything(reader), []);
  await reader.close();
});

test('no value stands in the file, and files and key are their owner’s alone', async (t) => {
  const given = await options(t);
  const files = await openEvidenceFiles(given);
  const id = await written(files, effects(50));
  const path = join(given.folder, `${id}.evidence`);
  const bytes = await readFile(path, 'latin1');
  assert.ok(!bytes.includes('xxxxx') && !bytes.includes('customers'));
  for (const file of [path, given.keyPath]) assert.equal((await stat(file)).mode & 0o777, 0o600);
  assert.equal((await stat(given.folder)).mode & 0o777, 0o700);
});

test('a restart reads what an earlier run wrote, and removes what it did not finish', async (t) => {
  const given = await options(t);
  const first = await openEvidenceFiles(given);
  const rows = effects(10);
  const id = await written(first, rows);
  const unfinished = await first.create();
  await unfinished.append(effects(3_000));
  assert.equal((await readdir(given.folder)).length, 2);
  const second = await openEvidenceFiles(given);
  assert.deepEqual(await readdir(given.folder), [`${id}.evidence`]);
  const reader = await opened(second, id);
  assert.deepEqual(await everything(reader), rows);
  await reader.close();
  await unfinished.discard();
});

test('a file that was discarded or removed is gone, twice as well as once', async (t) => {
  const given = await options(t);
  const files = await openEvidenceFiles(given);
  const writer = await files.create();
  await writer.append(effects(5));
  await writer.discard();
  await writer.discard();
  await assert.rejects(writer.append(effects(1)), /takes no more/);
  const id = await written(files, effects(5));
  await files.remove(id);
  await files.remove(id);
  assert.equal(await files.open(id), undefined);
  assert.equal(await files.open(newEvidenceId(AT, new Uint8Array(10))), undefined);
  assert.deepEqual(await readdir(given.folder), []);
});

test('the list says of each file whose it is and since when', async (t) => {
  const given = await options(t);
  const files = await openEvidenceFiles(given);
  const id = await written(files, effects(1));
  const nobodys = await (await files.create()).finish();
  await writeFile(join(given.folder, `${newEvidenceId(AT, new Uint8Array(10))}.evidence`), 'no');
  const list = (await files.list()).toSorted((left, right) => (left.id < right.id ? -1 : 1));
  const expected = [
    { id, owner: OWNER, createdAt: AT },
    { id: nobodys.id, owner: null, createdAt: AT },
  ].toSorted((left, right) => (left.id < right.id ? -1 : 1));
  assert.deepEqual(list, expected);
});

describe('what is not as it was written is a problem and never other rows', () => {
  test('wherever one byte is another', async (t) => {
    const given = await options(t);
    const files = await openEvidenceFiles(given);
    const id = await written(files, effects(1_500));
    const path = join(given.folder, `${id}.evidence`);
    const bytes = await readFile(path);
    const places = [0, 8, 20, 40, 70, 80, 100, 136, 137, 5_000, bytes.length - 30];
    for (const place of [...places, ...[8, 7, 4, 3, 1].map((back) => bytes.length - back)]) {
      const changed = Buffer.from(bytes);
      changed[place] = (changed[place] ?? 0) ^ 1;
      await writeFile(path, changed);
      await assertUnreadable(files, id, `byte ${place}`);
    }
    await writeFile(path, bytes);
    await (await opened(files, id)).close();
  });

  test('wherever it was cut, or was made longer', async (t) => {
    const given = await options(t);
    const files = await openEvidenceFiles(given);
    const id = await written(files, effects(1_500));
    const path = join(given.folder, `${id}.evidence`);
    const bytes = await readFile(path);
    for (const end of [0, 1, 136, 137, 145, 5_000, bytes.length - 8, bytes.length - 1]) {
      await writeFile(path, bytes.subarray(0, end));
      await assertUnreadable(files, id, `cut at ${end}`);
    }
    await writeFile(path, Buffer.concat([bytes, Buffer.alloc(8)]));
    await assertUnreadable(files, id, 'longer');
  });

  test('where frames were swapped, dropped, or taken from another file', async (t) => {
    const given = await options(t);
    const files = await openEvidenceFiles(given);
    // Rows of one length make frames of one length, so that only their place tells them apart.
    const uniform = (mark: string): readonly Effect[] =>
      Array.from({ length: 3_000 }, () => uniformEffect(mark));
    const [mine, other] = [await written(files, uniform('a')), await written(files, uniform('b'))];
    const read = (id: EvidenceId) => readFile(join(given.folder, `${id}.evidence`));
    const [bytes, others] = [await read(mine), await read(other)];
    const number = bytes.readUInt32BE(bytes.length - 8);
    assert.ok(number >= 3, 'the test needs frames to swap');
    const closing = bytes.readUInt32BE(bytes.length - 4);
    const size = frameSize(bytes, closing);
    const frame = (from: Buffer, at: number) =>
      from.subarray(137 + at * size, 137 + (at + 1) * size);
    const tail = bytes.subarray(137 + 2 * size);
    const attacks: readonly (readonly [string, Buffer])[] = [
      ['swapped', Buffer.concat([bytes.subarray(0, 137), frame(bytes, 1), frame(bytes, 0), tail])],
      ['dropped', Buffer.concat([bytes.subarray(0, 137), frame(bytes, 1), tail])],
      ['doubled', Buffer.concat([bytes.subarray(0, 137 + size), frame(bytes, 0), tail])],
      ['foreign', Buffer.concat([bytes.subarray(0, 137), frame(others, 0), frame(bytes, 1), tail])],
      ['foreign head', Buffer.concat([others.subarray(0, 137), bytes.subarray(137)])],
      ['another file', others],
    ];
    for (const [what, attack] of attacks) {
      await writeFile(join(given.folder, `${mine}.evidence`), attack);
      await assertUnreadable(files, mine, what);
    }
  });

  test('where the key is another, is gone, is open to others, or is none', async (t) => {
    const given = await options(t);
    const id = await written(await openEvidenceFiles(given), effects(3));
    const key = await readFile(given.keyPath, 'utf8');
    await writeFile(given.keyPath, `writegate-evidence-key-1 ${'0'.repeat(64)}\n`);
    const other = await openEvidenceFiles(given);
    await assert.rejects(other.open(id), { code: 'store-unusable', message: /another key/ });
    for (const [text, mode, message] of [
      ['no key', 0o600, /one line/],
      [key, 0o644, /mode 600, found 644/],
    ] as const) {
      await writeFile(given.keyPath, text);
      await chmod(given.keyPath, mode);
      await assert.rejects(openEvidenceFiles(given), { code: 'store-unusable', message });
    }
    await rm(given.keyPath);
    const gone = { code: 'store-unusable', message: /put it back from your copy/ };
    await assert.rejects(openEvidenceFiles(given), gone);
  });
});

/** All frames but the last are of one size: the first that fits a whole number of them. */
function frameSize(bytes: Buffer, closing: number): number {
  const lines = Math.ceil((256 * 1024) / lineLength());
  const size = lines * (lineLength() + 1) - 1 + 16;
  assert.ok(137 + 2 * size < bytes.length - 8 - closing);
  return size;
}

function lineLength(): number {
  return JSON.stringify(uniformEffect('a')).length;
}

function uniformEffect(mark: string): Effect {
  const after = { note: 'y'.repeat(300) };
  return { resource: 'public.customers', kind: 'update', key: [mark], before: null, after };
}

test('effects that are lines are read as effects, in their place among others', async (t) => {
  const files = await openEvidenceFiles(await options(t));
  const writer = await files.create(OWNER);
  const common = { resource: 'public.a', columns: ['id', 'note'], places: [1, 0], key: [1] };
  const by = { attribution: 'trigger', via: 'log_it' } as const;
  const makings = [
    { ...common, kind: 'update' },
    { ...common, kind: 'delete', by },
    { ...common, kind: 'create' },
  ] as const;
  const lines = ['0\told\t1\t\\N\t1', String.raw`1	a\\N\tb\n	2`, '2\t\t3', ''].join('\n');
  const [first, last] = [effects(3), effects(2, 10)];
  await writer.append(first);
  assert(writer.appendLines !== undefined);
  await writer.appendLines({ makings, lines: Buffer.from(lines), rows: 3 });
  await writer.append(last);
  const { id } = await writer.finish();
  const reader = await opened(files, id);
  const found = await everything(reader);
  assert.deepEqual(found, [
    ...first,
    {
      resource: 'public.a',
      kind: 'update',
      key: ['1'],
      before: { id: '1', note: 'old' },
      after: { id: '1', note: null },
    },
    {
      resource: 'public.a',
      kind: 'delete',
      key: ['2'],
      before: { id: '2', note: 'a\\N\tb\n' },
      after: null,
      by,
    },
    {
      resource: 'public.a',
      kind: 'create',
      key: ['3'],
      before: null,
      after: { id: '3', note: '' },
    },
    ...last,
  ]);
  assert.deepEqual(await reader.page(2, 3), found.slice(2, 5));
  await reader.close();
});
