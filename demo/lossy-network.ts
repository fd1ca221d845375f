import { createServer, request, type IncomingMessage } from 'node:http';

/** A network between agent and gateway that loses one reply. */
export interface LossyNetwork {
  readonly url: string;
  close(): Promise<void>;
}

/**
 * Forwards a free port of 127.0.0.1 to the gateway. Every request arrives; the reply to the first
 * one whose body mentions `losing` is lost: the connection breaks before its first byte.
 */
export async function openLossyNetwork(gateway: URL, losing: string): Promise<LossyNetwork> {
  let isArmed = true;
  const server = createServer((incoming, outgoing) => {
    void bodyOf(incoming).then((body) => {
      const { hostname, port } = gateway;
      const headers = { ...incoming.headers, host: gateway.host };
      const { method, url: path } = incoming;
      const onward = request({ hostname, port, method, path, headers }, (reply) => {
        if (isArmed && body.includes(losing)) {
          isArmed = false;
          outgoing.destroy();
          reply.resume();
          return;
        }
        outgoing.writeHead(reply.statusCode ?? 502, reply.headers);
        reply.pipe(outgoing);
      });
      onward.on('error', () => outgoing.destroy());
      onward.end(body);
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return {
    url: `http://127.0.0.1:${port}`,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}

async function bodyOf(incoming: IncomingMessage): Promise<Buffer> {
  return Buffer.concat(await incoming.toArray());
}
