import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { entryBodies } from '../../test/support/ledger-entries.ts';
import {
  assessmentOf,
  decided,
  intended,
  planOf,
  proposed,
} from '../../test/support/ledger-stories.ts';
import { MemoryLog, seededRandom } from '../../test/support/ledger.ts';
import vectors from '../../test/vectors/ledger.json' with { type: 'json' };
import { bytesOfHex, hexOf, utf8 } from '../lib/bytes.ts';
import { isJsonObject } from '../lib/json.ts';
import type { EntryBody } from '../model/entry.ts';
import { Problem } from '../model/problem.ts';
import { need } from '../../test/support/gate.ts';
import { commitmentOf } from './commitment.ts';
import { leafAgrees, openEntry } from './entry.ts';
import { LEAF_BYTES_MAX, parseLeaf, type Leaf } from './leaf.ts';
import { createSequencer } from './sequencer.ts';
import { leafHash, rangeOf } from './tree.ts';

const ACT = 'prop_00000000000000000000000000';

function leafOf(bytes: Uint8Array): Leaf {
  const parsed = parseLeaf(bytes);
  assert(parsed.kind === 'leaf');
  return parsed.leaf;
}

test('any entry is rebuilt from its leaf and payloads, and the leaf says what the entry says', () => {
  fc.assert(
    fc.property(entryBodies, (body) => {
      const { leaf, leafHash: hash, payloads } = new MemoryLog().append(ACT, body);
      assert.deepEqual(openEntry(leaf, payloads), body);
      assert(leafAgrees(leafOf(leaf), body));
      assert.equal(hash, hexOf(leafHash(leaf)));
    }),
    { numRuns: 1_000 },
  );
});

test('the same entry sealed twice has commitments that differ', () => {
  const log = new MemoryLog();
  const [first, second] = [log.append(ACT, proposed()), log.append(ACT, proposed())];
  assert.notEqual(first.payloads[0]?.commitment, second.payloads[0]?.commitment);
});

test('nothing that an agent wrote is in a leaf', () => {
  fc.assert(
    fc.property(
      fc.string({ minLength: 8, maxLength: 40, unit: fc.constantFrom('ж', 'я') }),
      (words) => {
        const body = proposed();
        assert(body.type === 'proposal');
        const draft = {
          target: words,
          operation: words,
          arguments: { [words]: words },
          reason: words,
          idempotencyKey: words,
          run: words,
          compensates: undefined,
        };
        const { leaf } = new MemoryLog().append(ACT, { ...body, draft, known: false });
        assert(!Buffer.from(leaf).toString().includes(words.slice(0, 8)));
      },
    ),
  );
});

test('a person is in a leaf by credential alone, an agent by name', () => {
  const log = new MemoryLog();
  const body = proposed();
  assert(body.type === 'proposal');
  const person = { ...body.proposer, kind: 'person', name: 'Grace Hopper', owner: null } as const;
  const byPerson = Buffer.from(log.append(ACT, { ...body, proposer: person }).leaf).toString();
  assert(!byPerson.includes('Grace'));
  assert(byPerson.includes(person.credential));
  const byAgent = Buffer.from(log.append(ACT, body).leaf).toString();
  assert(byAgent.includes('"name":"ledger-bot"'));
  assert(!byAgent.includes('ada'), 'the owner is a person too');
});

test('rows, statements and their digests are in no leaf', () => {
  const log = new MemoryLog();
  const assessment = assessmentOf(planOf(seededRandom('rows')));
  const leaves = [
    log.append(ACT, proposed()),
    log.append(ACT, { type: 'preview', assessment }),
    log.append(ACT, decided('allow', assessment.planDigest)),
    log.append(ACT, intended(assessment.planDigest)),
  ].map(({ leaf }) => Buffer.from(leaf).toString());
  const secrets = ['late', 'UPDATE', 'customer asked', 'run-1', 'public.orders', 'd'.repeat(64)];
  const own = leaves.map((leaf) => leaf.replace(/"policy_digest":"[^"]*"/, ''));
  for (const secret of secrets) for (const leaf of own) assert(!leaf.includes(secret), secret);
});

test('a payload that is missing, moved to another label or altered is a problem', () => {
  const { leaf, payloads } = new MemoryLog().append(ACT, proposed());
  const payload = need(payloads[0]);
  assert(isJsonObject(payload.value));
  const wrong = [
    [],
    [{ ...payload, label: 'assessment' }],
    [{ ...payload, value: { ...payload.value, environment: 'staging' } }],
    [{ ...payload, nonce: new Uint8Array(32) }],
  ];
  for (const each of wrong) {
    assert.throws(
      () => openEntry(leaf, each),
      (error) => error instanceof Problem && error.code === 'ledger-inconsistent',
    );
  }
  assert.throws(() => openEntry(utf8('{}'), payloads), Problem);
});

test('a leaf is read only in its canonical form and of its closed shape', () => {
  const { leaf } = new MemoryLog().append(ACT, proposed());
  const text = Buffer.from(leaf).toString();
  const notCanonical = [
    ` ${text}`,
    `${text}\n`,
    text.replace('"v":1', '"v":1.0'),
    text.replace('"v":1', '"v":1,"v":1'),
    text.replace('"act"', '"\\u0061ct"'),
    text.slice(0, -1),
    `${'['.repeat(30_000)}${']'.repeat(30_000)}`,
    '',
  ];
  for (const each of notCanonical) assert.equal(parseLeaf(utf8(each)).kind, 'not-canonical');
  assert.equal(parseLeaf(Uint8Array.of(0xff, 0xfe)).kind, 'not-canonical');
  const notLeaves = [
    'null',
    '[]',
    text.replace('"v":1', '"v":2'),
    text.replace(/"v":1\}$/, '"v":1,"x":1}'),
    text.replace('"step":1', '"step":0'),
    text.replace('"type":"proposal"', '"type":"preview"'),
    text.replace('c1:', 'c2:'),
  ];
  for (const each of notLeaves) assert.equal(parseLeaf(utf8(each)).kind, 'not-a-leaf', each);
});

test('a leaf over 65,535 bytes is not sealed', () => {
  const position = { id: '0'.repeat(32), act: ACT, step: 1, previous: '', binds: '', at: 0 };
  const random = seededRandom('bound');
  const sealed = (idLength: number): number => {
    const sequencer = createSequencer({ gateway: { id: 'g'.repeat(idLength) } });
    return sequencer.seal(proposed(), position, random).leaf.length;
  };
  assert(sealed(1_000) < LEAF_BYTES_MAX);
  assert.throws(() => sealed(LEAF_BYTES_MAX), /a leaf has at most 65535 bytes/);
  assert.throws(() => sealed(2_000), /no leaf that can be read back/);
});

test('an entry that the verifier would not read back is not sealed', () => {
  const log = new MemoryLog();
  const intent = intended(`sha256:${'0'.repeat(64)}`);
  assert(intent.type === 'intent');
  const wrong: EntryBody[] = [
    { ...intent, planDigest: 'sha256:ABC' },
    { ...intent, attempt: 0 },
    { ...intent, deadline: 1.5 },
    { type: 'rollback', compensatedBy: 'Robert; DROP' },
  ];
  for (const body of wrong) assert.throws(() => log.append(ACT, body), /no leaf/);
});

test('pushing leaf hashes gives the compact range of all of them', () => {
  const sequencer = createSequencer({ gateway: { id: 'test' } });
  const hashes = Array.from({ length: 40 }, (_, at) => leafHash(Uint8Array.of(at)));
  let tree = { size: 0, range: [] as readonly string[] };
  for (const hash of hashes) tree = sequencer.push(tree, hexOf(hash));
  assert.deepEqual(tree, { size: 40, range: rangeOf(hashes).hashes.map(hexOf) });
});

test('the known commitment comes out, and label and lengths are bound', () => {
  const { nonceHex, label, payload, commitment } = vectors.commitment;
  const nonce = need(bytesOfHex(nonceHex));
  assert.equal(commitmentOf(label, nonce, payload), commitment);
  assert.notEqual(commitmentOf('previe', nonce, payload), commitment);
  assert.throws(() => commitmentOf(label, nonce.subarray(1), payload), RangeError);
});
