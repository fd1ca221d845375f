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
