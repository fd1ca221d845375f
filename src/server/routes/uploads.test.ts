import { strict as assert } from 'node:assert';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { appOptions, fakeGate, TOKENS } from '../../../test/support/fake-gate.ts';
import { fakeClock } from '../../../test/support/fakes.ts';
import { send, serve, type Served } from '../../../test/support/serve.ts';
import { createClient } from '../../client/client.ts';
import { UPLOAD_BOUNDS, type UploadStore } from '../../store/uploads.ts';
import { openFolderUploads as openUploads } from '../../store/uploads-folder.ts';

interface Bench {
  readonly served: Served;
  readonly uploads: UploadStore;
  files(): Promise<readonly string[]>;
}

async function open(t: TestContext): Promise<Bench> {
  const folder = await mkdtemp(join(tmpdir(), 'writegate-routes-'));
  t.after(() => rm(folder, { recursive: true }));
  const bounds = { ...UPLOAD_BOUNDS, fileBytesMax: 1_000_000 };
  const uploads = openUploads(folder, fakeClock(), bounds);
  const served = await serve(t, { ...appOptions(fakeGate()), uploads });
  const files = async (): Promise<readonly string[]> => {
    const found = await readdir(folder, { recursive: true, withFileTypes: true });
    return found.filter((each) => each.isFile()).map((each) => each.name);
  };
  return { served, uploads, files };
}

const CSV = { 'content-type': 'text/csv' };

test('a file is taken as it is, for whoever sent it, and sent again it is the same upload', async (t) => {
  const { served, files } = await open(t);
  const body = `a,b\n${'1,"é"\n'.repeat(100_000)}`;
  const sent = { path: '/v1/uploads', token: TOKENS.agent, headers: CSV, body };
  const first = await send(served, sent);
  assert.equal(first.status, 201);
  const client = createClient({ url: served.url, token: TOKENS.agent });
  const again = await client.upload(new Blob([body]), { format: 'ndjson' });
  assert.deepEqual(again, first.json);
  assert.equal(again.bytes, Buffer.byteLength(body));
  assert.deepEqual(await files(), [again.sha256]);
  assert.equal(again.id, `upl_${again.sha256}`);
});

test('what is no file of rows, has no sender or is too large is refused and leaves nothing', async (t) => {
  const { served, files } = await open(t);
  const path = '/v1/uploads';
  const token = TOKENS.agent;
  const large = Buffer.alloc(1_000_001, 'x');
  for (const [sent, status] of [
    [{ path, headers: CSV, body: 'a' }, 401],
    [{ path, token, body: '{"a":1}' }, 400],
    [{ path, token, headers: { 'content-type': 'text/plain' }, body: 'a' }, 400],
    [{ path, token, headers: CSV, body: '' }, 400],
    [{ path, token, method: 'POST' }, 400],
    [{ path, token, headers: CSV, body: large }, 413],
    [{ path, token, headers: { ...CSV, 'transfer-encoding': 'chunked' }, body: large }, 413],
    [{ path: `${path}?a=1`, token, headers: CSV, body: 'a' }, 400],
    [{ path: '/v1/proposals', token, headers: CSV, body: 'a' }, 400],
  ] as const) {
    const got = await send(served, sent);
    assert.equal(got.status, status, `${JSON.stringify(sent).slice(0, 100)}: ${got.text}`);
    assert.equal(got.headers['content-type'], 'application/problem+json');
  }
  assert.deepEqual(await files(), []);
});

test('a sender that goes away in the middle leaves nothing', async (t) => {
  const { served, files } = await open(t);
  const call = request({
    port: served.port,
    method: 'POST',
    path: '/v1/uploads',
    headers: { ...CSV, authorization: `Bearer ${TOKENS.agent}`, 'content-length': '1000' },
  });
  call.on('error', () => undefined);
  call.write('a,b\n');
  while ((await files()).length === 0) await new Promise((resolve) => setImmediate(resolve));
  call.destroy();
  while ((await files()).length > 0) await new Promise((resolve) => setImmediate(resolve));
  // The server lives on.
  const next = { path: '/v1/uploads', token: TOKENS.agent, headers: CSV, body: 'a' };
  assert.equal((await send(served, next)).status, 201);
});

test('the document tells of the file and its two media types', async (t) => {
  const { served } = await open(t);
  const { text } = await send(served, { path: '/v1/openapi.json' });
  assert.match(
    text,
    /"requestBody":\{"required":true,"content":\{"text\/csv":\{\},"application\/x-ndjson":\{\}\}\}/,
  );
});
