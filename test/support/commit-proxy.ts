import { connect, createServer } from 'node:net';

/** The statement that writes a receipt, as it is on the wire when a connection first prepares it. */
const RECEIPT = /INSERT INTO \S*receipts/;

/** Stands between a gateway and PostgreSQL, and calls `atCommit` when a governed write commits. */
export interface CommitProxy {
  readonly port: number;
  close(): Promise<void>;
}

/**
 * Forwards to `serverPort` until the COMMIT of a transaction that wrote a receipt. `lost` says what
 * is lost then: the `request`, which never reaches the server, or the `reply` to it. `atCommit` is
 * called at that moment, once, and the connection carries nothing more.
 */
export async function openCommitProxy(
  serverPort: number,
  lost: 'request' | 'reply',
  atCommit: () => void,
): Promise<CommitProxy> {
  let isOver = false;
  const server = createServer((client) => {
    const upstream = connect(serverPort, '127.0.0.1');
    let hasReceipt = false;
    let isCommitting = false;
    client.on('data', (bytes) => {
      hasReceipt ||= RECEIPT.test(bytes.toString('latin1'));
      const isCommit = !isOver && hasReceipt && bytes.includes('COMMIT');
      if (!isCommit) {
        upstream.write(bytes);
        return;
      }
      isOver = true;
      isCommitting = true;
      if (lost === 'reply') upstream.write(bytes);
      else atCommit();
    });
    upstream.on('data', (bytes) => {
      if (!isCommitting) client.write(bytes);
      else if (lost === 'reply') atCommit();
    });
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      from.on('error', () => to.destroy());
      from.on('close', () => to.destroy());
    }
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
      }),
  };
}
