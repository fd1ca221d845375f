/** From a seed that found something to the shortest story with the same end. */
import { simulate } from './run.ts';
import { NARROWED, type Narrowing } from './shape.ts';
import type { Outcome } from './simulation.ts';

export interface Narrowed {
  readonly narrowing: Narrowing;
  readonly outcome: Outcome;
}

/**
 * Plays the seed again with less and less in it, as long as the same is broken: each kind of fault and
 * of operation is left out in turn, and then as many operations as can be. Null where it finds nothing.
 */
export async function narrowed(seed: number, from: Narrowing): Promise<Narrowed | null> {
  const first = await simulate(seed, from);
  const broken = first.violation?.invariant;
  if (broken === undefined) return null;
  let best: Narrowed = { narrowing: from, outcome: first };
  const attempt = async (narrowing: Narrowing): Promise<void> => {
    const outcome = await simulate(seed, narrowing);
    const isShorter = outcome.trace.lines.length < best.outcome.trace.lines.length;
    if (outcome.violation?.invariant === broken && isShorter) best = { narrowing, outcome };
  };
  for (const what of NARROWED) {
    await attempt({ ...best.narrowing, without: [...best.narrowing.without, what] });
  }
  for (let operations = 1; operations <= 8; operations += 1) {
    await attempt({ ...best.narrowing, operations });
  }
  return best;
}

/** The command that plays it again. */
export function commandOf(seed: number, { without, operations }: Narrowing): string {
  const parts = [`npm run simulate -- --seed ${seed}`];
  if (without.length > 0) parts.push(`--without ${without.join(',')}`);
  if (operations !== undefined) parts.push(`--operations ${operations}`);
  return parts.join(' ');
}
