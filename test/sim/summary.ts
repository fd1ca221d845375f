/** What of a simulation is shown to people: how far it is, and what it met. */
import type { Coverage } from './coverage.ts';

const SHOWN_EACH_MS = 250;
/** Where it goes into a file. */
const SAID_EACH_MS = 15_000;
const BAR_MAX = 28;
/** Where nobody says how wide it is. */
export const COLUMNS = 100;
/** How many of what was reached least are named at the end. */
const LEAST_SHOWN = 8;

/** What each kind of thing that is counted is called, in this order. */
const TITLES: Readonly<Record<string, string>> = {
  state: 'States',
  move: 'Moves between states',
  entry: 'Entries',
  intent: 'Intents',
  outcome: 'Outcomes',
  decision: 'Decisions, by code',
  rule: 'Rules that spoke',
  approval: 'What people said',
  stop: 'Stops',
  release: 'Releases',
  policy: 'Policies that came into force',
  lease: 'Leases',
  fate: 'Fates of calls, by port',
  message: 'Fates of messages to targets',
  arrival: 'What arrived late',
  crash: 'Crashes, by the calls that were open',
  step: 'Steps beside calls',
  result: 'What callers were answered',
  problem: 'What callers were refused with',
};

export interface HowFar {
  readonly done: number;
  readonly total: number;
  readonly elapsedMs: number;
}

/** One line, at most as wide as there are columns. */
export function progressLine({ done, total, elapsedMs }: HowFar, columns: number): string {
  const perSecond = (done * 1_000) / Math.max(elapsedMs, 1);
  const left = Math.ceil((total - done) / Math.max(perSecond, 0.001));
  const texts = [
    `${number(done)} of ${number(total)} seeds, ${perSecond.toFixed(0)} a second, ${left} s left`,
    `${number(done)} of ${number(total)}, ${left} s left`,
  ];
  const room = (text: string): number => columns - 2 - text.length;
  const text = texts.find((each) => room(each) >= 10) ?? '';
  const width = Math.min(BAR_MAX, Math.max(room(text), 0));
  const filled = Math.round((width * done) / total);
  return `${'█'.repeat(filled).padEnd(width, '░')} ${text}`;
}

/** Draws how far it is where somebody looks; into a file a line goes now and then. */
export function progress(total: number): (done: number) => void {
  const { stderr } = process;
  const startedAt = performance.now();
  let shownAt = startedAt;
  return (done) => {
    const now = performance.now();
    if (now - shownAt < (stderr.isTTY ? SHOWN_EACH_MS : SAID_EACH_MS) && done < total) return;
    shownAt = now;
    const columns = stderr.isTTY ? stderr.columns - 1 : COLUMNS;
    const line = progressLine({ done, total, elapsedMs: now - startedAt }, columns);
    if (stderr.isTTY) stderr.write(`\r${line.padEnd(columns)}${done < total ? '' : '\n'}`);
    else stderr.write(`${line}\n`);
  };
}

/** A block for each kind: what was reached and how often, the least last. */
export function summary({ counts }: Coverage, columns: number = COLUMNS): readonly string[] {
  const kinds = Map.groupBy(counts, ([key]) => key.slice(0, key.indexOf(':')));
  const order = [...new Set([...Object.keys(TITLES), ...kinds.keys()])];
  return order.flatMap((kind) => block(TITLES[kind] ?? kind, cellsOf(kinds.get(kind)), columns));
}

function cellsOf(counts: readonly (readonly [string, number])[] = []): readonly Cell[] {
  return counts
    .toSorted(([left, more], [right, less]) => less - more || (left < right ? -1 : 1))
    .map(([key, count]) => ({ name: key.slice(key.indexOf(':') + 1), count }));
}

/** Nothing where there is nothing to show. */
function block(title: string, cells: readonly Cell[], columns: number): readonly string[] {
  return cells.length === 0 ? [] : [title, ...table(cells, columns), ''];
}

interface Cell {
  readonly name: string;
  readonly count: number;
}

/** Down, and then to the right. */
function table(cells: readonly Cell[], columns: number): readonly string[] {
  const countWidth = Math.max(...cells.map(({ count }) => number(count).length));
  const longest = Math.max(...cells.map(({ name }) => name.length));
  const nameWidth = Math.min(longest, columns - 2 - countWidth - 1);
  const width = 2 + nameWidth + 1 + countWidth;
  const across = Math.max(Math.floor(columns / width), 1);
  const down = Math.ceil(cells.length / across);
  return Array.from({ length: down }, (_, row) =>
    Array.from({ length: across }, (__, column) => cells[column * down + row])
      .filter((cell) => cell !== undefined)
      .map((cell) => shown(cell, nameWidth, countWidth))
      .join(''),
  );
}

function shown({ name, count }: Cell, nameWidth: number, countWidth: number): string {
  const fits = name.length <= nameWidth ? name : `${name.slice(0, nameWidth - 1)}…`;
  return `  ${fits.padEnd(nameWidth)} ${number(count).padStart(countWidth)}`;
}

/** What of the things that must come up came up least. */
export function leastReached(
  keys: readonly string[],
  { counts }: Coverage,
  columns: number = COLUMNS,
): readonly string[] {
  const cells = keys
    .map((name) => ({ name, count: counts.get(name) ?? 0 }))
    .toSorted((left, right) => left.count - right.count)
    .slice(0, LEAST_SHOWN);
  return block(`Least reached of ${keys.length} that must be`, cells, columns);
}

function number(value: number): string {
  return value.toLocaleString('en');
}
