import { connect, createServer, type Socket } from 'node:net';

/**
 * What becomes of bytes between a gateway and a server. A stream out of which bytes are missing
 * cannot go on: what was lost to a connection stays lost, and ends with it.
 */
export type Traffic =
  | 'passes'
  /** New connections are refused. */
  | 'refused'
  /** Nothing that the gateway says arrives. */
  | 'requests-lost'
  /** What the gateway says arrives, and is carried out; nothing comes back. */
  | 'replies-lost'
  /** Nothing moves either way; all of it arrives later. */
  | 'stalled';

/** Stands between a gateway and a server on this machine. */
export interface Proxy {
  readonly port: number;
  /** Of what comes from now on. From `stalled` everything that was held back goes on its way. */
  traffic(traffic: Traffic): void;
  /** Ends every connection there is, as a network that goes away. */
  cut(): void;
  /**
   * Calls `strike` when something next commits, instead of sending on the `request`, or the `reply`
   * that says that it did. The connection carries nothing more.
   */
  atCommit(lost: 'request' | 'reply', strike: () => void): void;
  /** Takes an `atCommit` back that did not come to pass. */
  disarm(): void;
  close(): Promise<void>;
}

const HOST = '127.0.0.1';

/** Forwards connections to `serverPort` of this machine. */
export async function openProxy(serverPort: number): Promise<Proxy> {
  const links = new Set<Link>();
  let traffic: Traffic = 'passes';
  let armed: Armed | undefined;
  const disarm = (): Armed | undefined => {
    const found = armed;
    armed = undefined;
    return found;
  };
  const server = createServer((client) => {
    if (traffic === 'refused') {
      client.destroy();
      return;
    }
    const link = new Link(client, connect(serverPort, HOST), traffic, {
      atCommit: disarm,
      closed: () => links.delete(link),
    });
    links.add(link);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, HOST, resolve);
  });
  const address = server.address();
  const cut = (): void => {
    for (const link of links) link.end();
  };
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    traffic(next) {
      traffic = next;
      for (const link of links) link.traffic(next);
    },
    cut,
    atCommit(lost, strike) {
      armed = { lost, strike };
    },
    disarm: () => void disarm(),
    close: () =>
      new Promise((resolve) => {
        cut();
        server.close(() => resolve());
      }),
  };
}

interface Armed {
  readonly lost: 'request' | 'reply';
  readonly strike: () => void;
}

/** As it stands on the wire, in the query and in the answer to it; `READ COMMITTED` is neither. */
const COMMIT = Buffer.from('COMMIT\0');

interface Hooks {
  readonly atCommit: () => Armed | undefined;
  readonly closed: () => void;
}

class Link {
  readonly #client: Socket;
  readonly #server: Socket;
  readonly #hooks: Hooks;
  #traffic: Traffic;
  /** Its COMMIT was seen: from the loss on nothing passes any more. */
  #struck: Armed | undefined;
  #isLost = false;

  constructor(client: Socket, server: Socket, traffic: Traffic, hooks: Hooks) {
    this.#client = client;
    this.#server = server;
    this.#hooks = hooks;
    this.#traffic = traffic;
    client.on('data', (bytes: Buffer) => this.#request(bytes));
    server.on('data', (bytes: Buffer) => this.#reply(bytes));
    for (const socket of [client, server]) {
      socket.setNoDelay(true);
      socket.on('error', () => this.end());
      socket.on('close', () => this.end());
    }
    this.traffic(traffic);
  }

  traffic(traffic: Traffic): void {
    // What was lost to this connection stays lost.
    const isBroken = this.#traffic === 'requests-lost' || this.#traffic === 'replies-lost';
    if (!isBroken) this.#traffic = traffic;
    for (const socket of [this.#client, this.#server]) {
      if (this.#traffic === 'stalled') socket.pause();
      else socket.resume();
    }
  }

  end(): void {
    this.#client.destroy();
    this.#server.destroy();
    this.#hooks.closed();
  }

  #request(bytes: Buffer): void {
    if (this.#isLost || this.#traffic === 'requests-lost') return;
    if (bytes.includes(COMMIT)) {
      this.#struck ??= this.#hooks.atCommit();
      if (this.#struck?.lost === 'request') {
        this.#lose(this.#struck);
        return;
      }
    }
    this.#server.write(bytes);
  }

  #reply(bytes: Buffer): void {
    if (this.#isLost || this.#traffic === 'replies-lost') return;
    if (this.#struck?.lost === 'reply' && bytes.includes(COMMIT)) this.#lose(this.#struck);
    else this.#client.write(bytes);
  }

  #lose({ strike }: Armed): void {
    this.#isLost = true;
    strike();
  }
}
