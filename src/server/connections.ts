/** Connections: how many there may be, and which one gives way to the next. */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/**
 * More than all requests that may be in flight, so that one without a request is always among them;
 * each takes a descriptor of the process.
 */
export const CONNECTIONS_MAX: number = 768;

/**
 * Holds a server to so many connections. Whoever comes is let in; the one that has had no request in
 * hand for the longest is closed for it: an idle one, or one whose request does not arrive.
 */
export function boundConnections(server: Server, max: number = CONNECTIONS_MAX): void {
  /** Without a request, the longest first. */
  const idle = new Set<Socket>();
  /** How many requests each is being answered. */
  const busy = new Map<Socket, number>();
  server.on('connection', (socket: Socket) => {
    idle.add(socket);
    socket.once('close', () => {
      idle.delete(socket);
      busy.delete(socket);
    });
    if (idle.size + busy.size <= max) return;
    const [longest = socket] = idle;
    longest.destroy();
    // Gone for the count before its event comes.
    idle.delete(longest);
  });
  server.on('request', ({ socket }: IncomingMessage, response: ServerResponse) => {
    idle.delete(socket);
    busy.set(socket, (busy.get(socket) ?? 0) + 1);
    response.once('close', () => {
      const left = (busy.get(socket) ?? 1) - 1;
      if (left > 0) busy.set(socket, left);
      else {
        busy.delete(socket);
        if (!socket.destroyed) idle.add(socket);
      }
    });
  });
}
