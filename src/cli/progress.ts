import type { Io } from './io.ts';
import { remark } from './shell.ts';

/** Between two lines about how far long work is. */
const EVERY_MS = 2_000;

/** Says on standard error how far long work is, now and then; short work says nothing. */
export function progressOf(io: Io, noun: string): (done: number, of: number) => void {
  let saidAt = io.now();
  return (done, of) => {
    if (io.now() - saidAt < EVERY_MS) return;
    saidAt = io.now();
    const [part, whole] = [done, of].map((count) => count.toLocaleString('en-GB'));
    remark(io, `${part} of ${whole} ${noun}`);
  };
}

export interface Bar {
  /** How far it is; `of` is null where the whole is not known. */
  readonly at: (what: string, done: number, of: number | null) => void;
  /** Leaves the line to others; idempotent. */
  end(): void;
}

const BAR_COLUMNS = 24;
/** Between two drawings. */
const DRAWN_EVERY_MS = 100;

/** Shows on standard error how far long work is: a bar where a person looks, else a line now and then. */
export function openBar(io: Io): Bar {
  const { stderr } = io;
  let drawnAt = -Infinity;
  let isOpen = false;
  return {
    at(what, done, of) {
      const isLast = of !== null && done >= of;
      if (io.now() - drawnAt < (stderr.isTerminal ? DRAWN_EVERY_MS : EVERY_MS) && !isLast) return;
      drawnAt = io.now();
      const text = barText(what, done, of).slice(0, Math.max(stderr.columns - 1, 1));
      if (!stderr.isTerminal) return isLast ? undefined : remark(io, text.trim());
      stderr.write(`\r\u001b[K${text}`);
      isOpen = true;
    },
    end() {
      if (isOpen) stderr.write('\r\u001b[K');
      isOpen = false;
    },
  };
}

function barText(what: string, done: number, of: number | null): string {
  const part = done.toLocaleString('en-GB');
  if (of === null) return `${what} ${part}`;
  const full = of === 0 ? BAR_COLUMNS : Math.floor((done / of) * BAR_COLUMNS);
  const bar = `${'█'.repeat(full)}${'·'.repeat(BAR_COLUMNS - full)}`;
  return `${what} ${bar} ${part} of ${of.toLocaleString('en-GB')}`;
}
