import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  approved,
  assessmentOf,
  decided,
  intended,
  lawfulLog,
  outcome,
  planOf,
  proposed,
} from '../../test/support/ledger-stories.ts';
import {
  filesOf,
  MemoryLog,
  memoryReader,
  ORIGIN,
  seededRandom,
  testSigner,
  withFolder,
} from '../../test/support/ledger.ts';
import { entryBodies } from '../../test/support/ledger-entries.ts';
import { need } from '../../test/support/gate.ts';
import { textOfUtf8, utf8 } from '../lib/bytes.ts';
import { canonicalJson } from '../lib/canonical.ts';
import type { EntryBody } from '../model/entry.ts';
import type { FreezeScope } from '../model/freeze.ts';
import { freezeId } from '../model/ids.ts';
import { signCheckpoint } from './checkpoint.ts';
import { openEntry } from './entry.ts';
import { LEDGER_FINDINGS, type LedgerFindingCode } from './findings.ts';
import { createPublisher, type LogSource } from './publish.ts';
import { formatBundle, parseBundle } from './tiles.ts';
import { leafHash, rangeOf, rootOf } from './tree.ts';
import { verifyLedger, type VerifyOptions, type VerifyReport } from './verify.ts';

type Files = Map<string, Uint8Array>;

const SIGNER = testSigner();

/** The folder that a log gives when it is published at these sizes. */
async function published(log: MemoryLog, sizes: readonly number[]): Promise<Files> {
  return withFolder(async (folder) => {
    for (const size of [...sizes, log.entriesKept.length]) {
      const source: LogSource = log.truncated(size);
      await (await createPublisher({ folder, signer: SIGNER, source })).publish();
    }
    return filesOf(folder);
  });
}

const LOG = lawfulLog(600);
const SIZE = LOG.entriesKept.length;
const FILES = await published(LOG, [200, 255, 256, 257, 512]);
const SMALL_LOG = lawfulLog(280, 'small');
const SMALL = await published(SMALL_LOG, [100, 256]);

function verify(files: Files, options: Partial<VerifyOptions> = {}): Promise<VerifyReport> {
  return verifyLedger({ reader: memoryReader(files), vkey: SIGNER.vkey, ...options });
}

function codes(report: VerifyReport): readonly LedgerFindingCode[] {
  return [...new Set(report.findings.map(({ code }) => code))];
}

/** A copy of the files with one of them changed, put in, or (null) left out. */
function changed(files: Files, path: string, bytes: Uint8Array | string | null): Files {
  const copy = new Map(files);
  if (bytes === null) copy.delete(path);
  else copy.set(path, typeof bytes === 'string' ? utf8(bytes) : bytes);
  return copy;
}

function textIn(files: Files, path: string): string {
  return need(textOfUtf8(need(files.get(path))));
}

/** Applies a change to the leaves of the bundle that holds entries 0 to 255, in all its copies. */
function withLeaves(files: Files, change: (leaves: Uint8Array[]) => Uint8Array[]): Files {
  const path = 'tile/entries/000';
  const leaves = [...need(parseBundle(need(files.get(path))))];
  return changed(files, path, formatBundle(change(leaves)));
}

test('a log of more than 600 entries over three bundles verifies, with its figures', async () => {
  const report = await verify(FILES);
  assert.deepEqual(report.findings, []);
  assert.equal(report.ok, true);
  assert.equal(report.origin, ORIGIN);
  assert.equal(report.entries, SIZE);
  const { figures } = report;
  assert.equal(
    Object.values(figures.entries).reduce((sum, each) => sum + each, 0),
    SIZE,
  );
  assert.equal(figures.entries.genesis, 1);
  assert.equal(figures.proposals, figures.entries.proposal);
  assert(figures.states.applied > 0 && figures.states.denied > 0 && figures.states.expired > 0);
  assert.equal(figures.openIntents, 0);
  assert.equal(figures.filesUnread, 0);
});

test('a single bit flipped anywhere in the folder is found', async () => {
  const files = [...SMALL];
  const places = fc
    .nat(files.length - 1)
    .chain((file) =>
      fc.tuple(fc.constant(file), fc.nat(need(files[file])[1].length - 1), fc.nat(7)),
    );
  await fc.assert(
    fc.asyncProperty(places, async ([file, at, bit]) => {
      const [path, bytes] = need(files[file]);
      const flipped = Uint8Array.from(bytes);
      flipped[at] = need(flipped[at]) ^ (2 ** bit);
      const report = await verify(changed(SMALL, path, flipped));
      assert(!report.ok, `${path}, byte ${at}, bit ${bit}`);
    }),
    { numRuns: 200 },
  );
});

test('a file that is left out is found, whichever it is', async () => {
  for (const path of SMALL.keys()) {
    const isHistory = path.startsWith('checkpoints/');
    const isCovered = /\.p\/(100|256)$/.test(path);
    // Kept checkpoints, and partial tiles of which the full one is there, may be deleted.
    if (isHistory || isCovered) continue;
    assert(!(await verify(changed(SMALL, path, null))).ok, path);
  }
});

test('a file that is no part of a log is found', async () => {
  const report = await verify(changed(SMALL, 'tile/0/000.exe', 'x'));
  assert.deepEqual(codes(report), ['file-unexpected']);
});

test('an entry edited, dropped, inserted or moved is found', async () => {
  const edited = withLeaves(SMALL, (leaves) => {
    const text = need(textOfUtf8(need(leaves[7])));
    return leaves.with(7, utf8(text.replace(/"t":\d+/, '"t":1767225600001')));
  });
  const report = await verify(edited);
  assert(codes(report).includes('checkpoint-inconsistent'));
  assert(report.findings.some(({ code, index }) => code === 'tile-mismatch' && index === 7));

  const dropped = withLeaves(SMALL, (leaves) => leaves.toSpliced(7, 1));
  assert(codes(await verify(dropped)).includes('bundle-malformed'));
  const inserted = withLeaves(SMALL, (leaves) => leaves.toSpliced(7, 0, need(leaves[8])));
  assert(codes(await verify(inserted)).includes('bundle-malformed'));
  const swapped = withLeaves(SMALL, (leaves) =>
    leaves.with(7, need(leaves[8])).with(8, need(leaves[7])),
  );
  assert(codes(await verify(swapped)).includes('checkpoint-inconsistent'));
});

test('a log cut back to an earlier checkpoint verifies by itself, and not against a later one kept', async () => {
  const earlier = await published(SMALL_LOG.truncated(200), [100]);
  assert.deepEqual((await verify(earlier)).findings, []);
  const kept = textIn(SMALL, 'checkpoint');
  assert.deepEqual(codes(await verify(earlier, { against: [kept] })), ['log-truncated']);
});

test('a log that grew verifies against every checkpoint kept before', async () => {
  const against = ['checkpoints/200', 'checkpoints/256', 'checkpoint'].map((path) =>
    textIn(FILES, path),
  );
  assert.deepEqual((await verify(FILES, { against })).findings, []);
});

test('a log rewritten with its own key is found against a checkpoint kept before, and only so', async () => {
  const rewritten = await published(lawfulLog(280, 'rewritten'), [100, 256]);
  assert.deepEqual((await verify(rewritten)).findings, []);
  const against = [textIn(SMALL, 'checkpoints/100')];
  assert.deepEqual(codes(await verify(rewritten, { against })), ['checkpoint-inconsistent']);
});

test('a kept checkpoint that is no checkpoint of this log is said to be none', async () => {
  const note = await signCheckpoint({ size: 1, root: new Uint8Array(32) }, testSigner(2));
  for (const against of [note, 'garbage', '']) {
    const report = await verify(SMALL, { against: [against] });
    assert.deepEqual(codes(report), ['kept-checkpoint-refused']);
  }
});

test('`checkpoint` put back to an earlier one is found by the later one beside it', async () => {
  const back = changed(SMALL, 'checkpoint', need(SMALL.get('checkpoints/100')));
  assert(codes(await verify(back)).includes('checkpoint-behind'));
});

test('a fork kept among the checkpoints is found', async () => {
  const note = await signCheckpoint({ size: 50, root: new Uint8Array(32) }, SIGNER);
  const report = await verify(changed(SMALL, 'checkpoints/50', note));
  assert(codes(report).includes('checkpoint-inconsistent'));
});

test('a log of another key is not this log', async () => {
  const report = await verify(SMALL, { vkey: testSigner(2).vkey });
  assert(codes(report).includes('checkpoint-refused'));
  assert(codes(report).includes('vkey-mismatch'));
  assert.equal(report.size, 0);
  const malformed = await verify(SMALL, { vkey: 'no key' });
  assert.deepEqual(codes(malformed), ['vkey-malformed']);
});

test('payloads that are missing are found, unless none are asked for', async () => {
  const bare: Files = new Map([...SMALL].filter(([path]) => !path.startsWith('payloads/')));
  assert.deepEqual(codes(await verify(bare)), ['payload-missing']);
  assert.deepEqual((await verify(bare, { payloads: false })).findings, []);
});

test('a payload altered, or given to another entry, is found', async () => {
  const path = need([...SMALL.keys()].find((each) => each.startsWith('payloads/')));
  const text = textIn(SMALL, path);
  const altered = text.replace('the customer asked', 'the customer begged');
  assert.notEqual(altered, text);
  assert.deepEqual(codes(await verify(changed(SMALL, path, altered))), ['payload-mismatch']);
  const [first = '', second = '', ...rest] = text.split('\n');
  const indexOf = (line: string): string => need(/^\{"index":\d+/.exec(line)?.[0]);
  const moved = [
    first.replace(indexOf(first), indexOf(second)),
    second.replace(indexOf(second), indexOf(first)),
    ...rest,
  ].join('\n');
  assert(codes(await verify(changed(SMALL, path, moved))).includes('payload-mismatch'));
});

test('the payloads of any entries verify once published, whatever their columns are called', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(entryBodies, { minLength: 20, maxLength: 60 }), async (bodies) => {
      const log = new MemoryLog();
      for (const [at, body] of bodies.entries()) log.append(`act-${at}`, body);
      const report = await verify(await published(log, []));
      // The stories that such entries tell are not lawful; what is in the files is what was sealed.
      assert.deepEqual(
        codes(report).filter((code) => /^(?:payload|leaf|bundle|tile)-/.test(code)),
        [],
      );
    }),
    { numRuns: 15 },
  );
});

test('a column called `__proto__` is committed to, published, read back and verified', async () => {
  const plan = planOf(seededRandom('columns'));
  const image = (text: string) =>
    Object.fromEntries(['__proto__', 'constructor', 'toString'].map((name) => [name, text]));
  const effects = plan.effects.map((effect) => ({
    ...effect,
    before: image('open'),
    after: image('late'),
  }));
  const log = new MemoryLog();
  log.append('log', { type: 'genesis', origin: ORIGIN });
  log.append('prop_00000000000000000000000000', proposed());
  const assessment = assessmentOf({ ...plan, effects });
  const { leaf, payloads } = log.append('prop_00000000000000000000000000', {
    type: 'preview',
    assessment,
  });
  assert.deepEqual(openEntry(leaf, payloads), { type: 'preview', assessment });
  const files = await published(log, []);
  const path = need([...files.keys()].find((name) => name.startsWith('payloads/')));
  assert.match(textIn(files, path), /"__proto__":"late"/);
  assert.deepEqual((await verify(files)).findings, []);
});

test('a payload with the label `__proto__` is not passed over', async () => {
  const path = need([...SMALL.keys()].find((name) => name.startsWith('payloads/')));
  const member = `{"__proto__":{"nonce":"${'0'.repeat(64)}","value":1},`;
  const text = textIn(SMALL, path).replace('"payloads":{', `"payloads":${member}`);
  assert(codes(await verify(changed(SMALL, path, text))).includes('payload-malformed'));
});

test('garbage in any file is a finding and never an exception', async () => {
  const garbage = fc.oneof(
    fc.uint8Array({ maxLength: 600 }),
    fc.string().map(utf8),
    fc.json().map(utf8),
    fc.constant(utf8(`${'['.repeat(100_000)}\n`)),
    fc.constant(utf8(canonicalJson({ index: 0, payloads: { draft: 1 } }))),
  );
  const paths = [...SMALL.keys()];
  await fc.assert(
    fc.asyncProperty(fc.nat(paths.length - 1), garbage, async (at, bytes) => {
      assert(!(await verify(changed(SMALL, need(paths[at]), bytes))).ok);
    }),
    { numRuns: 60 },
  );
});

test('a folder that cannot be read, or is empty, is a finding', async () => {
  const unreadable = { ...memoryReader(SMALL), read: () => Promise.reject(new Error('torn disk')) };
  const report = await verifyLedger({ reader: unreadable, vkey: SIGNER.vkey });
  assert(codes(report).includes('file-unreadable'));
  assert(codes(await verify(new Map())).includes('checkpoint-missing'));
  const gone = {
    paths: () => Promise.reject(Object.assign(new Error('gone'), { syscall: 'scandir' })),
    read: () => Promise.reject(new Error('gone')),
  };
  const nowhere = await verifyLedger({ reader: gone, vkey: SIGNER.vkey });
  assert.deepEqual(codes(nowhere), ['file-unreadable']);
});

test('findings are bounded, and what is left out is counted', async () => {
  const many = new Map(SMALL);
  for (let at = 0; at < 1_100; at += 1) many.set(`stray-${at}`, utf8(''));
  const { findings } = await verify(many);
  assert.equal(findings.length, 1_001);
  assert.equal(findings.at(-1)?.code, 'findings-omitted');
});

// ---- logs that are well signed and tell something that cannot be

const ACT = 'prop_00000000000000000000000000';
const SHOWN = assessmentOf(planOf(seededRandom('shown')));
const OTHER = assessmentOf(planOf(seededRandom('other')));
const PREVIEW: EntryBody = { type: 'preview', assessment: SHOWN };

function asProposer(approval: EntryBody): EntryBody {
  const opening = proposed();
  assert(opening.type === 'proposal' && approval.type === 'approval');
  return { ...approval, credential: opening.proposer.credential };
}

const UNLAWFUL: readonly (readonly [string, LedgerFindingCode, readonly EntryBody[]])[] = [
  ['an act that does not begin with its proposal', 'entry-misplaced', [PREVIEW]],
  ['a second proposal in one act', 'entry-misplaced', [proposed(), proposed()]],
  ['a second genesis', 'genesis-misplaced', [{ type: 'genesis', origin: ORIGIN }]],
  [
    'a decision before the preview',
    'decision-unbound',
    [proposed(), decided('allow', SHOWN.planDigest)],
  ],
  [
    'a decision on another plan',
    'decision-unbound',
    [proposed(), PREVIEW, decided('allow', OTHER.planDigest)],
  ],
  [
    'a plan with another digest than was decided on',
    'plan-digest-mismatch',
    [proposed(), { type: 'preview', assessment: { ...SHOWN, plan: OTHER.plan } }],
  ],
  [
    'an intent without a decision',
    'intent-without-allow',
    [proposed(), PREVIEW, intended(SHOWN.planDigest)],
  ],
  [
    'an intent after a denial',
    'intent-without-allow',
    [proposed(), PREVIEW, decided('deny', SHOWN.planDigest), intended(SHOWN.planDigest)],
  ],
  [
    'an intent for another plan',
    'intent-without-allow',
    [proposed(), PREVIEW, decided('allow', SHOWN.planDigest), intended(OTHER.planDigest)],
  ],
  [
    'an attempt that is left out',
    'lifecycle-broken',
    [proposed(), PREVIEW, decided('allow', SHOWN.planDigest), intended(SHOWN.planDigest, 2)],
  ],
  [
    'an allow after a wait that nobody approved',
    'allow-without-approval',
    [proposed(), PREVIEW, decided('wait', SHOWN.planDigest), decided('allow', SHOWN.planDigest)],
  ],
  [
    'an allow by people who said no',
    'allow-without-approval',
    [
      proposed(),
      PREVIEW,
      decided('wait', SHOWN.planDigest),
      approved(SHOWN.planDigest, 'deny'),
      decided('allow', SHOWN.planDigest, 'approved'),
    ],
  ],
  [
    'an approval of a plan that was not shown',
    'approval-unbound',
    [proposed(), PREVIEW, decided('wait', SHOWN.planDigest), approved(OTHER.planDigest)],
  ],
  [
    'an approval by the proposer',
    'approval-by-proposer',
    [
      proposed(),
      PREVIEW,
      decided('wait', SHOWN.planDigest),
      asProposer(approved(SHOWN.planDigest)),
    ],
  ],
  [
    'an effect without an intent',
    'outcome-without-intent',
    [proposed(), PREVIEW, decided('allow', SHOWN.planDigest), outcome('applied', SHOWN.planDigest)],
  ],
  [
    'an outcome of another attempt',
    'outcome-without-intent',
    [
      proposed(),
      PREVIEW,
      decided('allow', SHOWN.planDigest),
      intended(SHOWN.planDigest),
      outcome('refused', null, 2),
    ],
  ],
  [
    'an effect other than the intended one',
    'outcome-mismatch',
    [
      proposed(),
      PREVIEW,
      decided('allow', SHOWN.planDigest),
      intended(SHOWN.planDigest),
      outcome('applied', OTHER.planDigest),
    ],
  ],
  [
    'a second effect of one proposal',
    'applied-twice',
    [
      proposed(),
      PREVIEW,
      decided('allow', SHOWN.planDigest),
      intended(SHOWN.planDigest),
      outcome('applied', SHOWN.planDigest),
      outcome('applied', SHOWN.planDigest),
    ],
  ],
  [
    'a rollback by a proposal that is not there',
    'rollback-unlinked',
    [
      proposed(),
      PREVIEW,
      decided('allow', SHOWN.planDigest),
      intended(SHOWN.planDigest),
      outcome('applied', SHOWN.planDigest),
      { type: 'rollback', compensatedBy: 'prop_00000000000000000000000001' },
    ],
  ],
];

/** Of acts of their own, one after the other. */
const STOP_ID = 'frz_00000000000000000000000000';
const STOPPED = (scope: FreezeScope): EntryBody => ({
  type: 'freeze',
  freeze: { id: need(freezeId(STOP_ID)), scope, reason: 'r', by: 'ada', at: 1, releasedAt: null },
});
const VOICE = { type: 'release', freezeId: STOP_ID, reason: 'r', quorum: 2 } as const;
const WRITTEN: readonly EntryBody[] = [
  proposed(),
  PREVIEW,
  decided('allow', SHOWN.planDigest),
  intended(SHOWN.planDigest),
];

async function stopped(...bodies: readonly EntryBody[]): Promise<readonly string[]> {
  const log = new MemoryLog();
  log.append('log', { type: 'genesis', origin: ORIGIN });
  for (const body of bodies) {
    log.append(body.type === 'freeze' || body.type === 'release' ? STOP_ID : ACT, body);
  }
  return codes(await verify(await published(log, [])));
}

test('an intent under a stop that covers it is found, and one of something else is not', async () => {
  const covering: readonly FreezeScope[] = [
    { kind: 'all' },
    { kind: 'tenant' },
    { kind: 'agent', name: 'ledger-bot' },
    { kind: 'target', name: 'orders-db' },
    { kind: 'run', name: 'run-1' },
  ];
  for (const scope of covering) {
    assert.deepEqual(await stopped(STOPPED(scope), ...WRITTEN), ['intent-under-stop']);
    const lifted = { ...VOICE, by: 'ada', quorum: 1 };
    assert.deepEqual(await stopped(STOPPED(scope), lifted, ...WRITTEN), []);
    assert.deepEqual(await stopped(...WRITTEN, STOPPED(scope)), []);
  }
  for (const kind of ['agent', 'target', 'run'] as const) {
    assert.deepEqual(await stopped(STOPPED({ kind, name: 'ledger-bot2' }), ...WRITTEN), []);
  }
});

test('a release with one voice counted twice, with too few, or after the last is found', async () => {
  const all = STOPPED({ kind: 'all' });
  const open = (by: string, credential: string): EntryBody => ({
    ...VOICE,
    by,
    credential,
    missing: 1,
  });
  const last = (by: string, credential: string): EntryBody => ({ ...VOICE, by, credential });
  assert.deepEqual(await stopped(all, open('ada', 'c1'), last('ben', 'c2')), []);
  const unlawful = [
    [open('ada', 'c1'), open('ada', 'c1')],
    [open('ada', 'c1'), open('ada', 'c2')],
    [last('ada', 'c1')],
    [open('ada', 'c1'), last('ada', 'c2')],
    [open('ada', 'c1'), last('ben', 'c2'), last('cy', 'c3')],
  ];
  for (const voices of unlawful) {
    assert.deepEqual(await stopped(all, ...voices), ['release-unlawful']);
  }
});

for (const [what, code, bodies] of UNLAWFUL) {
  test(`${what} is found, though everything is signed: ${code}`, async () => {
    const log = new MemoryLog();
    log.append('log', { type: 'genesis', origin: ORIGIN });
    for (const body of bodies) log.append(ACT, body);
    const report = await verify(await published(log, []));
    assert(codes(report).includes(code), codes(report).join());
  });
}

/** Signs leaves that the sequencer would never have made. */
async function forged(change: (leaves: string[]) => string[]): Promise<VerifyReport> {
  const log = new MemoryLog();
  log.append('log', { type: 'genesis', origin: ORIGIN });
  log.append(ACT, proposed());
  log.append(ACT, PREVIEW);
  log.append(ACT, decided('allow', SHOWN.planDigest));
  const files = await published(log, []);
  const old = log.entriesKept.map(({ leaf }) => need(textOfUtf8(leaf)));
  const leaves = change(old).map(utf8);
  const hashes = leaves.map(leafHash);
  const root = rootOf(rangeOf(hashes).hashes);
  const note = await signCheckpoint({ size: leaves.length, root }, SIGNER);
  return verify(
    new Map([
      ...files,
      ['checkpoint', utf8(note)],
      [`checkpoints/${leaves.length}`, utf8(note)],
      [`tile/0/000.p/${leaves.length}`, Buffer.concat(hashes)],
      [`tile/entries/000.p/${leaves.length}`, formatBundle(leaves)],
    ]),
  );
}

const FORGED: readonly (readonly [LedgerFindingCode, (leaves: string[]) => string[]])[] = [
  ['leaf-not-canonical', (leaves) => leaves.with(3, `${need(leaves[3])} `)],
  ['leaf-malformed', (leaves) => leaves.with(3, '{}')],
  [
    'leaf-malformed',
    (leaves) => leaves.with(1, need(leaves[1]).replace(/"payloads":\{[^}]*\}/, '"payloads":{}')),
  ],
  [
    'payload-disagrees',
    (leaves) => leaves.with(1, need(leaves[1]).replace('"production"', '"staging"')),
  ],
  ['step-mismatch', (leaves) => leaves.with(3, need(leaves[3]).replace('"step":3', '"step":4'))],
  [
    'prev-mismatch',
    (leaves) => leaves.with(3, need(leaves[3]).replace(/"prev":"[^"]*"/, '"prev":null')),
  ],
  [
    'binds-mismatch',
    (leaves) => leaves.with(3, need(leaves[3]).replace(/"binds":"[^"]*"/, '"binds":null')),
  ],
  [
    'id-repeated',
    (leaves) => {
      const id = need(/"id":"[0-9a-f]{32}"/.exec(need(leaves[2]))?.[0]);
      return leaves.with(3, need(leaves[3]).replace(/"id":"[0-9a-f]{32}"/, id));
    },
  ],
  ['genesis-misplaced', (leaves) => leaves.with(0, need(leaves[0]).replace('/acme', '/acmf'))],
];

for (const [at, [code, change]] of FORGED.entries()) {
  test(`a forged leaf under a true signature is found: ${code} (${at})`, async () => {
    const report = await forged(change);
    assert(codes(report).includes(code), codes(report).join());
  });
}

test('leaves that are not forged verify by the same way', async () => {
  assert.deepEqual((await forged((leaves) => leaves)).findings, []);
});

test('every finding code is documented, and no other', () => {
  const text = readFileSync(join(import.meta.dirname, '../../docs/spec/ledger.md'), 'utf8');
  const table = text.slice(text.indexOf('| Code'), text.indexOf('## What is not claimed'));
  const rows = table.split('\n').map((row) => row.split('|')[1] ?? '');
  const documented = rows.flatMap((cell) =>
    [...cell.matchAll(/`([a-z-]+)`/g)].map(([, code]) => code),
  );
  assert.deepEqual(new Set(documented), new Set<string | undefined>(LEDGER_FINDINGS));
});
