/** What the published log says of each proposal: read from its files, past every gateway. */
import { join } from 'node:path';
import { readFile } from 'node:fs/promises';
import { Findings } from '../../src/ledger/findings.ts';
import { folderReader } from '../../src/ledger/folder.ts';
import { openLeaf, payloadLabel } from '../../src/ledger/entry.ts';
import { parseLeaf } from '../../src/ledger/leaf.ts';
import { PublishedLog, type PublishedPayload } from '../../src/ledger/published.ts';
import { TILE_WIDTH } from '../../src/ledger/tiles.ts';
import { leafHash } from '../../src/ledger/tree.ts';
import { hexOf } from '../../src/lib/bytes.ts';
import type { EntryBody } from '../../src/model/entry.ts';

/** A proposal as its entries tell it. */
export interface Told {
  readonly id: string;
  /** The mark that its write leaves; null for what takes another back. */
  readonly mark: string | null;
  /** Who proposed it, `agent=bot`, as budgets name it. */
  readonly proposer: string;
  readonly run: string | null;
  /** How many writes it takes from a budget. */
  readonly writes: number;
  /** What it takes back. */
  readonly compensates: string | null;
  readonly state: string;
  /** Of its last decision or outcome. */
  readonly code: string;
  /** How many outcomes say that it took effect. */
  readonly applied: number;
  /** That which took it back, by the entry that links to it. */
  readonly compensatedBy: string | null;
}

export interface PublishedState {
  readonly size: number;
  readonly proposals: ReadonlyMap<string, Told>;
  /** Leaf hashes in hex, by index. */
  readonly hashes: readonly string[];
}

/** How many entries the published checkpoint covers; 0 where there is none. */
export async function publishedSize(folder: string): Promise<number> {
  const note = await readFile(join(folder, 'checkpoint'), 'utf8').catch(() => '');
  return Number(note.split('\n')[1] ?? 0);
}

/** Reads a published log up to its checkpoint. What is wrong with it is for `verifyLedger` to say. */
export async function readPublished(folder: string): Promise<PublishedState> {
  const size = await publishedSize(folder);
  const log = await PublishedLog.open(folderReader(folder), new Findings());
  const proposals = new Map<string, Told>();
  const hashes: string[] = [];
  for (let first = 0; first < size; first += TILE_WIDTH) {
    const index = first / TILE_WIDTH;
    const leaves = await log.leaves(index, Math.min(TILE_WIDTH, size - first));
    if (leaves === null) throw new Error(`entries from ${first} on cannot be read`);
    const payloads = Map.groupBy(await log.payloads(index), (payload) => payload.index);
    for (const [at, bytes] of leaves.entries()) {
      hashes.push(hexOf(leafHash(bytes)));
      tell(proposals, bytes, payloads.get(first + at) ?? []);
    }
  }
  return { size, proposals, hashes };
}

function tell(
  proposals: Map<string, Told>,
  bytes: Uint8Array,
  payloads: readonly PublishedPayload[],
): void {
  const parsed = parseLeaf(bytes);
  if (parsed.kind !== 'leaf') throw new Error('a leaf cannot be read');
  const { leaf } = parsed;
  const label = payloadLabel(leaf.type);
  const payload = payloads.find((each) => each.label === label);
  const body = openLeaf(leaf, payload?.value ?? null);
  const before = proposals.get(leaf.act);
  const after = before === undefined ? opened(leaf.act, body) : folded(before, body);
  if (after !== undefined) proposals.set(leaf.act, after);
}

const MARK = /r\d+c\d+w\d+/;

function opened(id: string, body: EntryBody): Told | undefined {
  if (body.type !== 'proposal') return undefined;
  const { draft, proposer } = body;
  const compensates = draft.compensates ?? null;
  const [mark] = MARK.exec(JSON.stringify(draft.steps ?? draft.arguments)) ?? [];
  return {
    id,
    mark: compensates === null ? (mark ?? null) : null,
    proposer: `${proposer.kind}=${proposer.name}`,
    run: draft.run ?? null,
    writes: draft.steps?.length ?? 1,
    compensates,
    state: 'proposed',
    code: '',
    applied: 0,
    compensatedBy: null,
  };
}

const DECIDED = {
  allow: 'allowed',
  wait: 'waiting',
  deny: 'denied',
  expired: 'expired',
  cancelled: 'cancelled',
} as const;

function folded(told: Told, body: EntryBody): Told {
  switch (body.type) {
    case 'preview':
      return { ...told, state: 'assessed' };
    case 'decision':
      return { ...told, state: DECIDED[body.result], code: body.decision.code };
    case 'intent':
      return { ...told, state: 'executing' };
    case 'outcome':
      return {
        ...told,
        state: body.status,
        code: body.code,
        applied: told.applied + (body.status === 'applied' ? 1 : 0),
      };
    case 'rollback':
      return { ...told, compensatedBy: body.compensatedBy };
    default:
      return told;
  }
}
