/** Against DNS rebinding: whom a request must believe to speak with. */
import type { FastifyRequest } from 'fastify';
import { quote } from '../lib/quote.ts';
import { Problem } from '../model/problem.ts';

const LOOPBACK_NAMES = ['localhost', '127.0.0.1', '[::1]'];

/**
 * Refuses a request whose `Host`, or `Origin` where there is one, is neither a loopback name with
 * the listening port, nor the very address the connection came in on, nor on the list. A list entry
 * is the whole header value, `gateway.example.com` or `10.0.0.5:8080`.
 */
export function checkHost(request: FastifyRequest, allowedHosts: readonly string[]): void {
  const { localAddress, localPort } = request.raw.socket;
  const names = [...LOOPBACK_NAMES, ...addressName(localAddress)];
  const own = names.map((name) => (localPort === 80 ? name : `${name}:${localPort}`));
  const served = new Set([...own, ...allowedHosts].map((name) => name.toLowerCase()));

  const host = request.headers.host ?? '';
  if (!served.has(host.toLowerCase())) {
    throw new Problem(
      'origin-refused',
      `the \`Host\` header ${quote(host)} is not served here; use the listening address, or add it to \`allowedHosts\``,
    );
  }
  const { origin } = request.headers;
  if (origin !== undefined && !served.has(originHost(origin))) {
    throw new Problem(
      'origin-refused',
      `pages from ${quote(origin)} may not call this gateway; add its host to \`allowedHosts\` if they should`,
    );
  }
}

/** An address is no name that a stranger could point elsewhere. */
function addressName(address: string | undefined): readonly string[] {
  if (address === undefined) return [];
  const plain = address.replace(/^::ffff:/, '');
  return [plain.includes(':') ? `[${plain}]` : plain];
}

/** The host of a well-formed web origin; of anything else (`null`, a path), no host at all. */
function originHost(origin: string): string {
  const url = URL.parse(origin);
  const isWeb = url?.protocol === 'http:' || url?.protocol === 'https:';
  return isWeb && url.origin === origin.toLowerCase() ? url.host : '';
}
