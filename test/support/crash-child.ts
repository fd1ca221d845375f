// A gateway that kills itself with SIGKILL at a named step. It loads its code, says `ready`, and
// takes its order, one line of JSON, from stdin: started ahead of time it costs nobody a wait.
// Where it lives to the end it prints the state that the write ended in.
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { openCrashGate, type Order } from './crash-gate.ts';

export interface ChildOrder extends Order {
  /** `before commit 2`, `after plan 1`, `before apply 1` …; null lives. */
  readonly killAt: string | null;
}

process.stdout.write('ready\n');
const lines = createInterface({ input: process.stdin });
const [line] = (await once(lines, 'line')) as [string];
// Written by `crash-cases.ts`.
const order = JSON.parse(line) as ChildOrder;
const counts = new Map<string, number>();

const gate = await openCrashGate(order, async (name, call) => {
  const turn = (counts.get(name) ?? 0) + 1;
  counts.set(name, turn);
  if (order.killAt === `before ${name} ${turn}`) process.kill(process.pid, 'SIGKILL');
  const answer = await call();
  if (order.killAt === `after ${name} ${turn}`) process.kill(process.pid, 'SIGKILL');
  return answer;
});
const ended = await gate.play();
await gate.close();
process.stdout.write(`${ended}\n`);
lines.close();
