/** What other gateways are told of a commit, in its own transaction: which proposals it changed. */
import { isJsonObject, type Json } from '../../lib/json.ts';
import { proposalId, tenantId, type ProposalId, type TenantId } from '../../model/ids.ts';
import { texts } from './arrays.ts';
import type { Place } from './connect.ts';
import type { WriteQuery } from './table.ts';
import type { ProposalRow } from './tables.ts';

/** The server takes less than 8,000 bytes at once; an id with its quotes and comma is 34. */
const IDS_MAX = 200;

export interface Changed {
  readonly tenant: TenantId;
  readonly ids: readonly ProposalId[];
}

export function channelOf({ schema }: Place): string {
  return `writegate_${schema}`;
}

export function notifyQuery(
  place: Place,
  proposals: readonly ProposalRow[],
): readonly WriteQuery[] {
  if (proposals.length === 0) return [];
  const byTenant = Map.groupBy(proposals, ({ proposal }) => proposal.tenant);
  const messages = [...byTenant].flatMap(([tenant, own]) => {
    const ids = own.map(({ proposal }) => proposal.id);
    const pages = Array.from({ length: Math.ceil(ids.length / IDS_MAX) }, (_, page) =>
      ids.slice(page * IDS_MAX, (page + 1) * IDS_MAX),
    );
    return pages.map((page) => JSON.stringify({ tenant, ids: page }));
  });
  return [
    {
      text: `SELECT pg_notify('${channelOf(place)}', message) FROM unnest($1::text[]) AS message`,
      values: [texts(messages)],
    },
  ];
}

/** Reads a message; `undefined` for one that is none, which anybody on the server may send. */
export function parseNotice(message: string): Changed | undefined {
  let json: Json;
  try {
    // What `JSON.parse` returns is `Json` by its definition.
    json = JSON.parse(message) as Json;
  } catch {
    return undefined;
  }
  if (!isJsonObject(json)) return undefined;
  const { tenant, ids } = json;
  const known = typeof tenant === 'string' ? tenantId(tenant) : undefined;
  if (known === undefined || !Array.isArray(ids)) return undefined;
  const changed = ids.flatMap((id) => (typeof id === 'string' ? (proposalId(id) ?? []) : []));
  return { tenant: known, ids: changed };
}
