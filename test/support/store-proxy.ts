import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

/** What becomes of the next COMMIT, and with it of its connection. */
export type Fate =
  /** It never reaches the server. */
  | 'request-lost'
  /** The server carries it out; its reply is lost. */
  | 'reply-lost'
  /** The client is cut off at once, while the server has yet to carry it out. */
  | 'cut-off'
  /** Nothing more goes through, in either direction, and nobody is told. */
  | 'stalled';

/** Stands between a store and PostgreSQL. */
export interface StoreProxy {
  readonly port: number;
  /** Resolves when the fate has come over a COMMIT. */
  next(fate: Fate): Promise<void>;
  /** From now on nothing goes through on the connections that are open now, and nobody is told. */
  stallAll(): void;
  /** Ends every connection that is open now. */
  cutAll(): void;
  close(): Promise<void>;
}

/** A frontend message from its first byte on; the first of a connection has no type. */
const COMMIT = Buffer.from('Q\0\0\0\x0bCOMMIT\0', 'latin1');
/** CommandComplete of it. */
const COMMITTED = Buffer.from('C\0\0\0\x0bCOMMIT\0', 'latin1');

export async function openStoreProxy(serverPort: number): Promise<StoreProxy> {
  const sockets = new Set<Socket>();
  let armed: { readonly fate: Fate; readonly done: () => void } | undefined;
  const server = createServer((client) => {
    const upstream = connect(serverPort, '127.0.0.1');
    let fate: Fate | undefined;
    let done = (): void => undefined;
    client.on('data', (bytes) => {
      const at = armed === undefined ? -1 : bytes.indexOf(COMMIT);
      if (armed === undefined || at === -1) {
        if (fate !== 'stalled') upstream.write(bytes);
        return;
      }
      ({ fate, done } = armed);
      armed = undefined;
      const isSent = fate === 'reply-lost' || fate === 'cut-off';
      upstream.write(isSent ? bytes : bytes.subarray(0, at));
      if (fate === 'reply-lost') return;
      if (fate !== 'stalled') client.destroy();
      if (fate === 'request-lost') upstream.end();
      done();
    });
    upstream.on('data', (bytes) => {
      if (fate === undefined) client.write(bytes);
      if (fate !== 'reply-lost' || !bytes.includes(COMMITTED)) return;
      client.destroy();
      done();
    });
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(from);
      from.on('error', () => undefined);
      from.on('close', () => {
        sockets.delete(from);
        // What was sent on to the server is carried out, whatever became of the client.
        if (fate !== 'cut-off') to.destroy();
      });
    }
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    next: (fate) =>
      new Promise((resolve) => {
        armed = { fate, done: resolve };
      }),
    stallAll: () => {
      for (const socket of sockets) socket.pause();
    },
    cutAll: () => {
      for (const socket of sockets) socket.destroy();
    },
    close: async () => {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, 'close');
    },
  };
}
