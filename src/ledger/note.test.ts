import assert from 'node:assert/strict';
import { generateKeyPairSync, sign } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import vectors from '../../test/vectors/ledger.json' with { type: 'json' };
import { testSigner } from '../../test/support/ledger.ts';
import { bytesOfBase64 } from '../lib/bytes.ts';
import { formatCheckpoint, openCheckpoint, parseCheckpoint, signCheckpoint } from './checkpoint.ts';
import {
  formatSigningKey,
  openNote,
  parseSigningKey,
  parseVkey,
  signingKey,
  signNote,
  type VerifierKey,
} from './note.ts';

const {
  name: NAME,
  vkey: VKEY,
  checkpoint: CHECKPOINT,
  cosignatureLine: COSIGNATURE,
} = vectors.log;
const SEED = Buffer.from(vectors.log.seedHex, 'hex');
const SIGNER = testSigner(1, NAME);

function key(vkey = VKEY): VerifierKey {
  const parsed = parseVkey(vkey);
  assert(parsed !== undefined);
  return parsed;
}

function refusal(note: string): string {
  const opened = openNote(note, key());
  assert(opened.kind === 'refused', 'expected a refusal');
  return opened.reason;
}

test('the known seed gives the known vkey, and the signed checkpoint byte for byte', async () => {
  assert.equal(signingKey(NAME, SEED).vkey, VKEY);
  const root = bytesOfBase64('Wqx3HImawpLnS/Gv4ubjAvi1WIOy0b8Ze0amvqbavKk=');
  assert(root !== undefined);
  assert.equal(await signCheckpoint({ size: 3, root }, SIGNER), CHECKPOINT);
  assert.deepEqual(openCheckpoint(CHECKPOINT, key()), {
    kind: 'opened',
    checkpoint: { origin: NAME, size: 3, root },
  });
});

test('a cosignature by a key that is not known is ignored, not refused', () => {
  assert.equal(openCheckpoint(CHECKPOINT + COSIGNATURE, key()).kind, 'opened');
  const before = CHECKPOINT.replace('\n\n', `\n\n${COSIGNATURE}`);
  assert.equal(openCheckpoint(before, key()).kind, 'opened');
});

test('a note without a signature by the known key is refused', () => {
  const text = CHECKPOINT.slice(0, CHECKPOINT.indexOf('\n\n') + 1);
  assert.match(refusal(`${text}\n${COSIGNATURE}`), /not signed by/);
  assert.match(refusal(`${text}\n`), /no signature lines/);
  assert.match(refusal(text), /no signature lines/);
  assert.match(refusal(''), /no signature lines/);
});

test('a signature by the known key that does not hold refuses the note, however many do', async () => {
  const other = await signNote('another text\n', SIGNER);
  const line = other.slice(other.indexOf('\n\n') + 2);
  assert.match(refusal(CHECKPOINT + line), /does not hold/);
});

test('the same name with another key is an unknown key', async () => {
  const { privateKey } = generateKeyPairSync('ed25519');
  const stranger = {
    ...testSigner(2, NAME),
    sign: async () => sign(null, Buffer.of(1), privateKey),
  };
  assert.match(refusal(await signNote('a text\n', stranger)), /not signed by/);
});

test('the last empty line separates, so a text may have empty lines of its own', async () => {
  const text = 'first\n\nsecond\n';
  assert.deepEqual(openNote(await signNote(text, SIGNER), key()), { kind: 'opened', text });
});

test('at most 100 signature lines are read', () => {
  assert.equal(openNote(CHECKPOINT + COSIGNATURE.repeat(99), key()).kind, 'opened');
  assert.match(refusal(CHECKPOINT + COSIGNATURE.repeat(100)), /101 signature lines/);
});

test('control characters, lone surrogates and malformed lines are refused', () => {
  for (const control of ['\u0000', '\t', '\r', '\u001f', '\ud800']) {
    assert.match(refusal(control + CHECKPOINT), /control character/);
  }
  for (const line of [
    '',
    '- a AAAAAAA=',
    '— a',
    '—  AAAAAAA=',
    '— a AAAAA',
    '— a AAAA',
    '— a+b AAAAAAA=',
  ]) {
    assert.notEqual(refusal(`${CHECKPOINT}${line}\n`), '');
  }
  assert.match(refusal(CHECKPOINT.slice(0, -1)), /no signature lines/);
  assert.match(refusal(`${'x'.repeat(1_000_000)}\n`), /too long/);
});

test('every single character of a signed checkpoint counts', () => {
  fc.assert(
    fc.property(fc.nat(CHECKPOINT.length - 1), fc.integer({ min: 32, max: 126 }), (at, code) => {
      const changed = `${CHECKPOINT.slice(0, at)}${String.fromCharCode(code)}${CHECKPOINT.slice(at + 1)}`;
      fc.pre(changed !== CHECKPOINT);
      assert.equal(openCheckpoint(changed, key()).kind, 'refused');
    }),
    { numRuns: 500 },
  );
});

test('a vkey is read only in the spelling in which it is written', () => {
  const wrong = [
    '',
    NAME,
    VKEY.replace('2c5b5327', '2c5b5328'),
    VKEY.replace('2c5b5327', '2C5B5327'),
    VKEY.replace('writegate', 'writegata'),
    VKEY.replace('writegate', 'write gate'),
    VKEY.replace('AYqI', 'BYqI'),
    `${VKEY}\n`,
    VKEY.slice(0, -4),
    vectors.log.vkey.replace(/\+AY.*/, '+AQ=='),
  ];
  for (const vkey of wrong) assert.equal(parseVkey(vkey), undefined, vkey);
  assert.equal(key().id, '2c5b5327');
});

test('a signing key survives being written, and no altered one is read', () => {
  const text = formatSigningKey(NAME, SEED);
  assert.equal(parseSigningKey(text)?.vkey, VKEY);
  for (const wrong of [`${text}\n`, text.slice(8), text.replace('+2c', '+2d'), text.slice(0, -2)]) {
    assert.equal(parseSigningKey(wrong), undefined);
  }
});

test('a checkpoint is an origin, a size and a root, in one spelling, and nothing more', () => {
  const root = new Uint8Array(32).fill(9);
  const text = formatCheckpoint({ origin: NAME, size: 10, root });
  assert.deepEqual(parseCheckpoint(text)?.size, 10);
  const wrong = [
    text.replace('\n10\n', '\n010\n'),
    text.replace('\n10\n', '\n+10\n'),
    text.replace('\n10\n', '\n1e1\n'),
    text.replace('\n10\n', '\n-1\n'),
    text.replace('\n10\n', '\n9007199254740992\n'),
    text.replace('\n10\n', '\n0\n'),
    text.replace('=', ''),
    `${text}extension\n`,
    text.slice(0, -1),
    `\n${text}`,
    '',
  ];
  for (const each of wrong) assert.equal(parseCheckpoint(each), undefined, JSON.stringify(each));
});

test('a checkpoint of another origin is refused though this key signed it', async () => {
  const root = new Uint8Array(32);
  const note = await signNote(formatCheckpoint({ origin: 'elsewhere', size: 1, root }), SIGNER);
  assert.match(JSON.stringify(openCheckpoint(note, key())), /its origin is not/);
  assert.match(
    JSON.stringify(openCheckpoint(await signNote('a text\n', SIGNER), key())),
    /its text/,
  );
});
