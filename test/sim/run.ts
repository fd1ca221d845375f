/** Plays a seed and says how it went. */
import { end } from './end.ts';
import { Violation } from './invariants/violation.ts';
import { Simulation, type Outcome } from './simulation.ts';
import type { Narrowing } from './shape.ts';

export async function simulate(
  seed: number,
  narrowing: Narrowing = { without: [] },
): Promise<Outcome> {
  const simulation = new Simulation(seed, narrowing);
  const { world, audit } = simulation;
  let violation: Violation | null = null;
  try {
    await simulation.play();
    await end(simulation);
  } catch (error) {
    violation =
      error instanceof Violation
        ? error
        : new Violation('bug', `the simulation threw ${String(error)}`, { cause: error });
    world.trace.add(`✖ ${violation.message}`);
  }
  return {
    seed,
    hash: world.trace.hash(audit.root),
    steps: simulation.steps,
    violation,
    trace: world.trace,
    coverage: world.coverage,
  };
}
