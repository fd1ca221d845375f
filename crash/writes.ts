import type { WriteBody } from '../src/client/index.ts';
import type { Lot } from './lot.ts';

export type AgentName = 'bot' | 'clerk' | 'spender';

/** One write of the load, and what its client does about it. */
export interface Write {
  /** One word that stands in what is written, once for each effect. */
  readonly mark: string;
  readonly agent: AgentName;
  readonly run: string;
  readonly body: WriteBody;
  /** What the person says who is asked. */
  readonly verdict: 'approve' | 'deny' | 'none';
  /** Whether it is taken back once it was applied. */
  readonly isTakenBack: boolean;
  /** Whether it is sent once more after it was answered. */
  readonly isSentAgain: boolean;
}

/** Counters that a round writes to; few, so that writes meet on them. */
export const COUNTERS = 6;
const SLOTS = 4;

/** The id of a round's counter. */
export function counterId(round: number, counter: number): number {
  return round * COUNTERS + counter;
}

/** Chooses the writes of one round, for each client those that it makes one after the other. */
export function chooseWrites(
  lot: Lot,
  {
    round,
    clients,
    each,
  }: { readonly round: number; readonly clients: number; readonly each: number },
): readonly (readonly Write[])[] {
  return Array.from({ length: clients }, (_client, client) =>
    Array.from({ length: each }, (_write, number) =>
      chooseWrite(lot, round, `r${round}c${client}w${number}`),
    ),
  );
}

function chooseWrite(lot: Lot, round: number, mark: string): Write {
  const counter = counterId(round, lot.below(COUNTERS));
  const slot = round * SLOTS + lot.below(SLOTS);
  const isSentAgain = lot.once(4);
  const isApproved = !lot.once(4);
  const kind = lot.below(20);
  const run = `round-${round}`;
  const usual = {
    mark,
    run,
    agent: 'bot',
    verdict: 'none',
    isTakenBack: false,
    isSentAgain,
  } as const;
  const body = sql('shop', counted(counter, mark));
  if (kind < 7) return { ...usual, body };
  const inserted = sql('shop', `INSERT INTO marks (mark) VALUES ('${mark}')`);
  if (kind < 11) return { ...usual, body: inserted };
  if (kind < 13) return { ...usual, body: inserted, isTakenBack: true };
  if (kind < 15) return { ...usual, agent: 'spender', body: inserted };
  if (kind < 17) {
    const verdict = lot.once(8) ? 'none' : isApproved ? 'approve' : 'deny';
    return {
      ...usual,
      agent: 'clerk',
      body: lot.once(2) ? body : inserted,
      verdict,
    };
  }
  const slotOrNone = lot.once(2) ? String(slot) : 'NULL';
  const posted = `INSERT INTO postings (mark, slot) VALUES ('${mark}', ${slotOrNone})`;
  const steps = [inserted, sql('books', posted)];
  return { ...usual, body: { steps }, isTakenBack: lot.once(4) };
}

function counted(counter: number, mark: string): string {
  return `UPDATE counters SET value = value + 1, marks = marks || ' ${mark}' WHERE id = ${counter}`;
}

function sql(target: 'shop' | 'books', statement: string) {
  return { target, operation: 'sql', arguments: { statement } } as const;
}
