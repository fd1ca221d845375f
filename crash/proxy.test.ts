import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { openProxy, type Proxy } from './proxy.ts';

/** Answers each text with itself in brackets, and keeps what it heard. */
let server: Server;
let heard: string;
let proxy: Proxy;

before(async () => {
  server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.on('data', (bytes) => {
      heard += String(bytes);
      socket.write(`<${String(bytes)}>`);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  proxy = await openProxy(address.port);
});

after(async () => {
  await proxy.close();
  server.close();
});

async function link(): Promise<Socket> {
  heard = '';
  const socket = connect(proxy.port, '127.0.0.1');
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  return socket;
}

function isHeard(text: string): boolean {
  return heard === text;
}

async function answer(socket: Socket): Promise<string> {
  const [bytes] = (await once(socket, 'data')) as [Buffer];
  return String(bytes);
}

describe('a proxy', () => {
  test('passes everything on, until its connections are cut', async () => {
    const socket = await link();
    socket.write('a');
    assert.equal(await answer(socket), '<a>');
    const closed = once(socket, 'close');
    proxy.cut();
    await closed;
  });

  test('refuses new connections and leaves the others', async () => {
    const socket = await link();
    proxy.traffic('refused');
    const refused = await link();
    await once(refused, 'close');
    socket.write('a');
    assert.equal(await answer(socket), '<a>');
    proxy.traffic('passes');
    socket.destroy();
  });

  test('loses requests, and what comes after them on the same connection', async () => {
    const socket = await link();
    proxy.traffic('requests-lost');
    socket.write('a');
    const other = await link();
    proxy.traffic('passes');
    socket.write('b');
    const fresh = await link();
    fresh.write('c');
    assert.equal(await answer(fresh), '<c>');
    assert.equal(heard, 'c');
    for (const each of [socket, other, fresh]) each.destroy();
  });

  test('loses replies to what was carried out', async () => {
    const socket = await link();
    proxy.traffic('replies-lost');
    let isAnswered = false;
    socket.on('data', () => (isAnswered = true));
    socket.write('a');
    const fresh = await link();
    proxy.traffic('passes');
    while (!isHeard('a')) await new Promise(setImmediate);
    socket.write('b');
    while (!isHeard('ab')) await new Promise(setImmediate);
    assert.equal(isAnswered, false);
    for (const each of [socket, fresh]) each.destroy();
  });

  test('holds back while it stalls, and gives everything afterwards', async () => {
    const socket = await link();
    proxy.traffic('stalled');
    socket.write('a');
    // What is asked over another connection past the proxy comes first.
    const direct = connect(portOf(server), '127.0.0.1');
    await once(direct, 'connect');
    direct.write('b');
    assert.equal(await answer(direct), '<b>');
    assert.equal(heard, 'b');
    proxy.traffic('passes');
    assert.equal(await answer(socket), '<a>');
    for (const each of [socket, direct]) each.destroy();
  });

  for (const lost of ['request', 'reply'] as const) {
    test(`strikes at a COMMIT, whose ${lost} is lost, once`, async () => {
      const socket = await link();
      const struck = Promise.withResolvers<void>();
      proxy.atCommit(lost, struck.resolve);
      socket.write('READ COMMITTED ');
      assert.equal(await answer(socket), '<READ COMMITTED >');
      let isAnswered = false;
      socket.on('data', () => (isAnswered = true));
      socket.write('COMMIT\0');
      await struck.promise;
      assert.equal(heard, lost === 'request' ? 'READ COMMITTED ' : 'READ COMMITTED COMMIT\0');
      const other = await link();
      other.write('COMMIT\0');
      assert.equal(await answer(other), '<COMMIT\0>');
      assert.equal(isAnswered, false);
      for (const each of [socket, other]) each.destroy();
    });
  }
});

function portOf(of: Server): number {
  const address = of.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}
