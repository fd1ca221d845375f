/**
 * What a store wrote, written again through the driver alone: the same rows to the same tables, with
 * nothing decided, folded, hashed or sealed. The peer of a store.
 */

/** Columns that name a row, by table; the rest follows from them. Rows of `spendings` have no name. */
export const NAMES: Readonly<Record<string, readonly string[]>> = {
  logs: ['tenant'],
  entries: ['tenant', 'entry_index'],
  payloads: ['tenant', 'entry_index', 'position'],
  proposals: ['tenant', 'id'],
  effects: ['tenant', 'proposal', 'part'],
  derived_keys: ['tenant', 'key'],
  reservations: ['tenant', 'proposal', 'budget', 'scope', 'measure', 'window'],
  spendings: [],
  leases: ['tenant', 'proposal'],
  baselines: ['tenant', 'agent', 'target', 'operation'],
};

export type Value = string | number | Uint8Array | null;
export type Row = Readonly<Record<string, Value>>;
export type Tables = ReadonlyMap<string, readonly Row[]>;

/** What one commit did to one table. */
export interface TableWrite {
  readonly table: string;
  /** Rows that are new, or other than before. */
  readonly put: readonly Row[];
  /** Rows that are gone. */
  readonly removed: readonly Row[];
}

/** What one commit did. */
export type RowWrites = readonly TableWrite[];

/** Compares what the tables hold before and after a commit. */
export function difference(before: Tables, after: Tables): RowWrites {
  return Object.keys(NAMES).flatMap((table) => {
    const earlier = byName(table, before.get(table) ?? []);
    const later = byName(table, after.get(table) ?? []);
    const put = [...later].filter(([name, row]) => textOf(row) !== textOf(earlier.get(name)));
    const removed = [...earlier].filter(([name]) => !later.has(name));
    if (put.length === 0 && removed.length === 0) return [];
    return [{ table, put: put.map(([, row]) => row), removed: removed.map(([, row]) => row) }];
  });
}

function byName(table: string, rows: readonly Row[]): ReadonlyMap<string, Row> {
  return new Map(rows.map((row) => [nameOf(table, row), row]));
}

export function nameOf(table: string, row: Row): string {
  const names = NAMES[table] ?? [];
  return textOf(names.length === 0 ? row : names.map((name) => row[name]));
}

function textOf(value: unknown): string {
  return JSON.stringify(value) ?? '';
}

/** A commit that was recorded, as another proposal's: under its id, key and places in the log. */
export interface Replay {
  readonly names: ReadonlyMap<Value, string>;
  /** Added to the places of its entries. */
  readonly shift: number;
}

export function replayed(writes: RowWrites, { names, shift }: Replay): RowWrites {
  const row = (each: Row): Row => {
    const copy: Record<string, Value> = {};
    for (const [column, value] of Object.entries(each)) {
      const isPlace = column === 'entry_index' || column === 'size';
      copy[column] = isPlace ? Number(value) + shift : (names.get(value) ?? value);
    }
    return copy;
  };
  return writes.map(({ table, put, removed }) => ({
    table,
    put: put.map(row),
    removed: removed.map(row),
  }));
}

/** Several commits as one: of rows that more than one of them puts, the last. */
export function together(commits: readonly RowWrites[]): RowWrites {
  const [only] = commits;
  if (commits.length === 1 && only !== undefined) return only;
  const tables = new Map<string, { put: Map<string, Row>; removed: Map<string, Row> }>();
  let unnamed = 0;
  for (const { table, put, removed } of commits.flat()) {
    const into = tables.get(table) ?? { put: new Map(), removed: new Map() };
    tables.set(table, into);
    for (const row of put) {
      unnamed += 1;
      into.put.set(NAMES[table]?.length === 0 ? String(unnamed) : nameOf(table, row), row);
    }
    for (const row of removed) into.removed.set(nameOf(table, row), row);
  }
  return [...tables].map(([table, { put, removed }]) => ({
    table,
    put: [...put.values()],
    removed: [...removed.values()],
  }));
}

/** Runs `write` for what waits, all of it at once and at most `max`, while the one before is under way. */
export function batching<Item>(
  write: (items: readonly Item[]) => Promise<void>,
  max: number,
): (item: Item) => Promise<void> {
  let waiting: { readonly item: Item; readonly done: PromiseWithResolvers<void> }[] = [];
  let isRunning = false;
  const run = async (): Promise<void> => {
    isRunning = true;
    while (waiting.length > 0) {
      const batch = waiting.slice(0, max);
      waiting = waiting.slice(max);
      try {
        await write(batch.map(({ item }) => item));
        for (const { done } of batch) done.resolve();
      } catch (error) {
        for (const { done } of batch) done.reject(error);
      }
    }
    isRunning = false;
  };
  return (item) => {
    const done = Promise.withResolvers<void>();
    waiting.push({ item, done });
    // Whoever calls in the same turn of the event loop goes along.
    if (!isRunning) setImmediate(() => void (isRunning || run()));
    return done.promise;
  };
}
