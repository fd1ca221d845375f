import assert from 'node:assert/strict';
import { cp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { lawfulLog } from '../../test/support/ledger-stories.ts';
import {
  filesOf,
  MemoryLog,
  ORIGIN,
  seededRandom,
  testSigner,
  withFolder,
} from '../../test/support/ledger.ts';
import { need } from '../../test/support/gate.ts';
import vectors from '../../test/vectors/ledger.json' with { type: 'json' };
import { hexOf } from '../lib/bytes.ts';
import { Problem } from '../model/problem.ts';
import { createPublisher, type LogSource } from './publish.ts';
import { formatBundle, formatPath, parseBundle, parsePath, partialPaths } from './tiles.ts';
import { folderReader } from './folder.ts';
import { verifyLedger } from './verify.ts';

const SIGNER = testSigner();
const LOG = lawfulLog(600);
const SIZE = LOG.entriesKept.length;

async function publishAt(folder: string, sizes: readonly number[]): Promise<void> {
  for (const size of sizes) {
    const publisher = await createPublisher({
      folder,
      signer: SIGNER,
      source: LOG.truncated(size),
    });
    assert.equal((await publisher.publish()).size, size);
  }
}

function inconsistent(error: unknown): boolean {
  return error instanceof Problem && error.code === 'ledger-inconsistent';
}

function refused(folder: string, source: LogSource, signer = SIGNER): Promise<void> {
  return assert.rejects(createPublisher({ folder, signer, source }), inconsistent);
}

test('paths are those of C2SP tlog-tiles, and only they are read', () => {
  const known: [string, Parameters<typeof formatPath>[0]][] = [
    ['tile/0/x001/x234/067', { kind: 'tile', level: 0, index: 1_234_067, width: 256 }],
    ['tile/1/000.p/1', { kind: 'tile', level: 1, index: 0, width: 1 }],
    ['tile/entries/x001/000.p/255', { kind: 'bundle', index: 1_000, width: 255 }],
    ['checkpoints/0', { kind: 'history', size: 0 }],
    ['payloads/256-511.jsonl', { kind: 'payloads', first: 256, last: 511 }],
  ];
  for (const [text, path] of known) {
    assert.equal(formatPath(path), text);
    assert.deepEqual(parsePath(text), path);
  }
  const wrong = [
    'tile/0/1',
    'tile/00/000',
    'tile/64/000',
    'tile/0/x000/001',
    'tile/0/000.p/0',
    'tile/0/000.p/256',
    'tile/0/000.p/01',
    'tile/0/../checkpoint',
    'tile/entries/x999/x999/x999/x999/x999/999',
    'checkpoints/007',
    'payloads/255-256.jsonl',
    'payloads/5-4.jsonl',
    'Checkpoint',
    '',
  ];
  for (const text of wrong) assert.equal(parsePath(text), undefined, text);
});

test('the known log’s bundle comes out byte for byte, and is read back', () => {
  const leaves = vectors.log.entries.map((entry) => Buffer.from(entry));
  assert.equal(hexOf(formatBundle(leaves)), vectors.log.bundleHex);
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 20 }), (any) => {
      assert.deepEqual(parseBundle(formatBundle(any))?.map(hexOf), any.map(hexOf));
    }),
  );
  assert.equal(parseBundle(Uint8Array.of(0)), undefined);
  assert.equal(parseBundle(Uint8Array.of(0, 2, 1)), undefined);
});

test('a log of 70,000 entries has the partial tiles that the specification counts', () => {
  assert.deepEqual(partialPaths(70_000).map(formatPath), [
    'tile/entries/273.p/112',
    'tile/0/273.p/112',
    'tile/1/001.p/17',
    'tile/2/000.p/1',
  ]);
  assert.deepEqual(partialPaths(256).map(formatPath), ['tile/1/000.p/1']);
});

test('what is published by and by is what is published at once, and the partial tiles of each size', async () => {
  await withFolder(async (byAndBy) => {
    await withFolder(async (atOnce) => {
      const sizes = [1, 2, 255, 256, 257, 300, 511, 512, 513, SIZE];
      await publishAt(byAndBy, sizes);
      await publishAt(atOnce, [SIZE]);
      const [some, all] = [await filesOf(atOnce), await filesOf(byAndBy)];
      for (const [path, bytes] of some) {
        if (path.startsWith('payloads/')) continue;
        assert.deepEqual(all.get(path), bytes, path);
      }
      for (const size of sizes) {
        for (const path of partialPaths(size)) assert(all.has(formatPath(path)));
        assert(all.has(`checkpoints/${size}`));
      }
      const reader = folderReader(byAndBy);
      const report = await verifyLedger({ reader, vkey: SIGNER.vkey });
      assert.deepEqual(report.findings, []);
      assert.equal(report.figures.filesUnread, 0);
      assert.equal(report.size, SIZE);
      assert.equal(report.figures.checkpoints, sizes.length + 1);
    });
  });
});

test('what lies beside the leaves of a bundle is one file, and each entry is in one alone', async () => {
  await withFolder(async (folder) => {
    await publishAt(folder, [SIZE]);
    const spans = [...(await filesOf(folder)).keys()]
      .map(parsePath)
      .flatMap((path) => (path?.kind === 'payloads' ? [path] : []))
      .toSorted((left, right) => left.first - right.first);
    assert.equal(spans.length, Math.ceil(SIZE / 256));
    for (const [at, { first, last }] of spans.entries()) {
      assert.equal(Math.floor(first / 256), at);
      assert.equal(Math.floor(last / 256), at);
    }
  });
});

test('an empty log is published too, and nothing twice', async () => {
  await withFolder(async (folder) => {
    const log = new MemoryLog();
    const publisher = await createPublisher({ folder, signer: SIGNER, source: log });
    await publisher.publish();
    const before = await filesOf(folder);
    assert.deepEqual([...before.keys()], ['checkpoint', 'checkpoints/0', 'vkey']);
    await publisher.publish();
    log.append('log', { type: 'genesis', origin: ORIGIN });
    const both = await Promise.all([publisher.publish(), publisher.publish()]);
    assert.deepEqual(
      both.map(({ size }) => size),
      [1, 1],
    );
    const report = await verifyLedger({ reader: folderReader(folder), vkey: SIGNER.vkey });
    assert.deepEqual(report.findings, []);
  });
});

test('a folder that is ahead of the store is not signed over', async () => {
  await withFolder(async (folder) => {
    await publishAt(folder, [300]);
    const before = await filesOf(folder);
    await refused(folder, LOG.truncated(299));
    await refused(folder, LOG.truncated(10));
    await refused(folder, LOG.truncated(0));
    assert.deepEqual(await filesOf(folder), before);
  });
});

test('a store that shrinks or forks under a running publisher is not signed', async () => {
  await withFolder(async (folder) => {
    let source: LogSource = LOG.truncated(300);
    const publisher = await createPublisher({
      folder,
      signer: SIGNER,
      source: {
        tree: () => source.tree(),
        entries: (from, limit) => source.entries(from, limit),
      },
    });
    await publisher.publish();
    source = LOG.truncated(290);
    await assert.rejects(publisher.publish(), inconsistent);
    source = lawfulLog(400, 'another');
    await assert.rejects(publisher.publish(), inconsistent);
    source = LOG.truncated(400);
    assert.equal((await publisher.publish()).size, 400);
    const report = await verifyLedger({ reader: folderReader(folder), vkey: SIGNER.vkey });
    assert.deepEqual(report.findings, []);
  });
});

test('a folder of another log, of another key, or with a checkpoint altered or gone is refused', async () => {
  await withFolder(async (folder) => {
    await publishAt(folder, [100, 260]);
    await refused(folder, lawfulLog(300, 'another'));
    await refused(folder, LOG, testSigner(2));
    await refused(folder, LOG, testSigner(1, 'writegate.local/other'));
    const earlier = await filesOf(folder);
    await writeFile(join(folder, 'checkpoint'), earlier.get('checkpoints/100') ?? '');
    await refused(folder, LOG);
    await writeFile(join(folder, 'checkpoint'), 'nothing of the kind\n');
    await refused(folder, LOG);
    await rm(join(folder, 'checkpoint'));
    await refused(folder, LOG);
    await writeFile(join(folder, 'checkpoint'), earlier.get('checkpoint') ?? '');
    await rm(join(folder, 'tile/1/000.p/1'));
    await refused(folder, LOG);
  });
});

test('an entry that does not hash to what its store says is not published', async () => {
  await withFolder(async (folder) => {
    await publishAt(folder, [30]);
    const before = await filesOf(folder);
    const source: LogSource = {
      tree: () => LOG.tree(),
      entries: async (from, limit) => {
        const entries = await LOG.entries(from, limit);
        const at = entries.findIndex(({ index }) => index === 40);
        const altered = { ...need(entries[0]), index: 40, leaf: Buffer.from('{}') };
        return at < 0 ? entries : entries.with(at, altered);
      },
    };
    await refused(folder, source);
    assert.deepEqual(await filesOf(folder), before);
  });
});

/** A crash is a folder in which some of the last publication's files are not there yet. */
test('whatever a crash leaves of a publication, the next one ends it', async () => {
  await withFolder(async (before) => {
    await publishAt(before, [250]);
    const old = await filesOf(before);
    await withFolder(async (after) => {
      await cp(before, after, { recursive: true });
      await publishAt(after, [520]);
      const written = [...(await filesOf(after))].filter(
        ([path, bytes]) =>
          old.get(path) === undefined || path === 'checkpoint' || bytes.length === 0,
      );
      // The order in which they are written: the checkpoint, then its copy for later.
      const last = ['checkpoint', 'checkpoints/520'];
      const order = [
        ...written.map(([path]) => path).filter((path) => !last.includes(path)),
        ...last,
      ];
      for (const kept of [1, 3, order.length - 2, order.length - 1]) {
        await withFolder(async (crashed) => {
          await cp(after, crashed, { recursive: true });
          for (const path of order.slice(kept)) await rm(join(crashed, path));
          if (kept < order.length - 1) {
            await writeFile(join(crashed, 'checkpoint'), old.get('checkpoint') ?? '');
          }
          const reader = folderReader(crashed);
          const found = await verifyLedger({ reader, vkey: SIGNER.vkey });
          assert.deepEqual(found.findings, [], `after ${kept} files`);
          await publishAt(crashed, [SIZE]);
          const report = await verifyLedger({ reader, vkey: SIGNER.vkey });
          assert.deepEqual(report.findings, []);
        });
      }
    });
  });
});

test('two logs sealed with other randomness have other roots', async () => {
  const [one, other] = [new MemoryLog(seededRandom('1')), new MemoryLog(seededRandom('2'))];
  for (const log of [one, other]) log.append('log', { type: 'genesis', origin: ORIGIN });
  assert.notDeepEqual(await one.tree(), await other.tree());
});
