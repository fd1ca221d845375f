/**
 * A pooler as PgBouncer in transaction mode: a client gets a server connection with its first
 * statement and keeps it until its transaction is over; the next one is on another. It asks nobody
 * for a password, and the server must not ask it.
 */
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import type pg from 'pg';

export interface Pooler {
  readonly port: number;
  /** How often a client got another server connection than it had before. */
  readonly moves: number;
  close(): Promise<void>;
}

interface PoolerOptions {
  readonly serverPort: number;
  readonly user: string;
  readonly database: string;
  /** How many connections to the server there are. */
  readonly servers: number;
}

/** A message with its type; of what a client says first the type is empty. */
interface Frame {
  readonly type: string;
  readonly bytes: Buffer;
}

const SSL_REQUEST = 80_877_103;
const PROTOCOL = 196_608;

/** Cuts a stream of the protocol into messages. */
class Frames {
  #rest: Buffer = Buffer.alloc(0);
  #isTyped: boolean;

  constructor({ isTyped }: { readonly isTyped: boolean }) {
    this.#isTyped = isTyped;
  }

  *take(bytes: Buffer): Generator<Frame> {
    this.#rest = Buffer.concat([this.#rest, bytes]);
    for (;;) {
      const head = this.#isTyped ? 1 : 0;
      if (this.#rest.length < head + 4) return;
      const size = head + this.#rest.readInt32BE(head);
      if (this.#rest.length < size) return;
      const frame = this.#rest.subarray(0, size);
      this.#rest = this.#rest.subarray(size);
      const isStart = !this.#isTyped && frame.readInt32BE(4) !== SSL_REQUEST;
      yield { type: this.#isTyped ? frame.toString('latin1', 0, 1) : '', bytes: frame };
      if (isStart) this.#isTyped = true;
    }
  }
}

interface Server {
  readonly socket: Socket;
  client: Client | undefined;
}

interface Client {
  readonly socket: Socket;
  readonly waiting: Buffer[];
  server: Server | undefined;
  last: Server | undefined;
  /** Answers that are still to come. */
  due: number;
}

export async function openPooler(options: PoolerOptions): Promise<Pooler> {
  const free: Server[] = [];
  const queue: Client[] = [];
  const sockets = new Set<Socket>();
  let parameters = Buffer.alloc(0);
  let moves = 0;

  async function openServer(): Promise<void> {
    const socket = connect(options.serverPort, '127.0.0.1');
    sockets.add(socket);
    socket.on('error', () => undefined);
    await once(socket, 'connect');
    socket.write(startup({ user: options.user, database: options.database }));
    const server: Server = { socket, client: undefined };
    const frames = new Frames({ isTyped: true });
    const begun = Promise.withResolvers<void>();
    const greeting: Buffer[] = [];
    let isBegun = false;
    socket.on('data', (bytes) => {
      for (const frame of frames.take(bytes)) {
        if (isBegun) fromServer(server, frame);
        else if (frame.type === 'S') greeting.push(frame.bytes);
        else if (frame.type === 'E') begun.reject(new Error(frame.bytes.toString('latin1')));
        else if (frame.type === 'Z') {
          isBegun = true;
          begun.resolve();
        }
      }
    });
    socket.on('close', () => server.client?.socket.destroy());
    await begun.promise;
    parameters = Buffer.concat(greeting);
    free.push(server);
    lend();
  }

  function lend(): void {
    while (free.length > 0 && queue.length > 0) {
      const [server, client] = [free.shift(), queue.shift()];
      if (server === undefined || client === undefined || client.socket.destroyed) continue;
      if (client.last !== undefined && client.last !== server) moves += 1;
      client.server = server;
      client.last = server;
      server.client = client;
      for (const bytes of client.waiting.splice(0)) server.socket.write(bytes);
    }
  }

  function fromServer(server: Server, { type, bytes }: Frame): void {
    const { client } = server;
    if (client === undefined) return;
    client.socket.write(bytes);
    if (type !== 'Z') return;
    client.due -= 1;
    const isIdle = bytes.toString('latin1', 5) === 'I';
    if (client.due > 0 || !isIdle || client.waiting.length > 0) return;
    client.server = undefined;
    server.client = undefined;
    free.push(server);
    lend();
  }

  function fromClient(client: Client, { type, bytes }: Frame): void {
    if (type === '') {
      if (bytes.readInt32BE(4) === SSL_REQUEST) client.socket.write('N');
      else client.socket.write(greetingOf(parameters));
      return;
    }
    if (type === 'X') {
      client.socket.end();
      return;
    }
    if (type === 'Q' || type === 'S') client.due += 1;
    if (client.server !== undefined) {
      client.server.socket.write(bytes);
      return;
    }
    client.waiting.push(bytes);
    if (!queue.includes(client)) queue.push(client);
    lend();
  }

  const listener = createServer((socket) => {
    sockets.add(socket);
    const client: Client = { socket, waiting: [], server: undefined, last: undefined, due: 0 };
    const frames = new Frames({ isTyped: false });
    socket.on('data', (bytes) => {
      for (const frame of frames.take(bytes)) fromClient(client, frame);
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      sockets.delete(socket);
      if (client.server === undefined) return;
      // In the middle of a transaction: as PgBouncer, it closes the server's connection.
      client.server.socket.destroy();
      openServer().catch(() => undefined);
    });
  });
  await once(listener.listen(0, '127.0.0.1'), 'listening');
  for (let count = 0; count < options.servers; count += 1) await openServer();
  const address = listener.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    get moves() {
      return moves;
    },
    close: async () => {
      listener.close();
      for (const socket of sockets) socket.destroy();
      await once(listener, 'close');
    },
  };
}

function startup(parameters: Readonly<Record<string, string>>): Buffer {
  const pairs = Object.entries(parameters).flatMap(([name, value]) => [name, value]);
  const body = Buffer.from(`${pairs.join('\0')}\0\0`, 'utf8');
  const head = Buffer.alloc(8);
  head.writeInt32BE(body.length + 8, 0);
  head.writeInt32BE(PROTOCOL, 4);
  return Buffer.concat([head, body]);
}

/** AuthenticationOk, what the server said of itself, a key that is no server's, and ReadyForQuery. */
function greetingOf(parameters: Buffer): Buffer {
  const accepted = Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 0]);
  const key = Buffer.from([0x4b, 0, 0, 0, 12, 1, 2, 3, 4, 5, 6, 7, 8]);
  const ready = Buffer.from([0x5a, 0, 0, 0, 5, 0x49]);
  return Buffer.concat([accepted, parameters, key, ready]);
}

/** Has a throw-away server ask nobody on this machine for a password any more. */
export async function trustLocal(admin: pg.Pool): Promise<void> {
  const { rows } = await admin.query<{ hba_file: string }>('SHOW hba_file');
  writeFileSync(rows[0]?.hba_file ?? '', 'host all all 127.0.0.1/32 trust\n');
  await admin.query('SELECT pg_reload_conf()');
}
