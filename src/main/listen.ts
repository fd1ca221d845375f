import { strict as assert } from 'node:assert';
import type { FastifyInstance } from 'fastify';
import { Problem } from '../model/problem.ts';

/** Listens, and returns the address to call. Problem `configuration-invalid` where it cannot. */
export async function listen(
  app: FastifyInstance,
  place: { readonly host: string; readonly port: number },
): Promise<string> {
  try {
    await app.listen(place);
  } catch (cause) {
    throw new Problem(
      'configuration-invalid',
      `expected a free address under \`listen\`, found \`${place.host}:${place.port}\` taken or not of this machine; name another, or port 0 for any`,
      { cause },
    );
  }
  const address = app.server.address();
  assert(typeof address === 'object' && address !== null, 'a TCP server has an address');
  return `http://${reachable(place.host)}:${address.port}`;
}

/** The address to call: every address of the machine includes the loopback one. */
function reachable(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  if (host === '::') return '[::1]';
  return host.includes(':') ? `[${host}]` : host;
}
