/** Hears what other gateways commit, where the server can be reached without a pooler. */
import { setTimeout as pause } from 'node:timers/promises';
import type pg from 'pg';
import type { ProposalId, TenantId } from '../../model/ids.ts';
import { ignore, openClient, type Place } from './connect.ts';
import { channelOf, parseNotice } from './notify.ts';
import { isDirect } from './session.ts';

export type ChangesListener = (tenant: TenantId, ids: readonly ProposalId[]) => void;

const AGAIN_AFTER_MS = 5_000;

/**
 * One connection of its own, from the first listener to `close`. What was committed while there was
 * none is not told of later: whoever listens asks now and then as well.
 */
export class Listening {
  readonly #place: Place;
  readonly #listeners = new Set<ChangesListener>();
  readonly #closing = new AbortController();
  #client: pg.Client | undefined;
  #running: Promise<void> | undefined;

  constructor(place: Place) {
    this.#place = place;
  }

  /** Returns what ends it. */
  add(listener: ChangesListener): () => void {
    this.#listeners.add(listener);
    this.#running ??= this.#run();
    return () => void this.#listeners.delete(listener);
  }

  /** Idempotent. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.#client?.end().catch(ignore);
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      const heard = await this.#listen().catch(() => 'again' as const);
      if (heard === 'pooled') return;
      await pause(AGAIN_AFTER_MS, undefined, { signal, ref: false }).catch(ignore);
    }
  }

  /** Listens until the connection ends. */
  async #listen(): Promise<'again' | 'pooled'> {
    const client = openClient({ url: this.#place.listenUrl ?? this.#place.url });
    this.#client = client;
    const { promise: ended, resolve } = Promise.withResolvers<void>();
    client.on('end', resolve);
    client.on('notification', ({ payload = '' }) => {
      const changed = parseNotice(payload);
      if (changed === undefined) return;
      for (const listener of this.#listeners) listener(changed.tenant, changed.ids);
    });
    try {
      await client.connect();
      if (this.#closing.signal.aborted) return 'again';
      // Of a pooler's connections another one would hear it, or nobody; and it would stay listening.
      if (this.#place.listenUrl === undefined && !(await isDirect(client))) return 'pooled';
      await client.query(`LISTEN "${channelOf(this.#place)}"`);
      await ended;
      return 'again';
    } finally {
      await client.end().catch(ignore);
    }
  }
}
