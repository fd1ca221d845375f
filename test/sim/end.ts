/** Faults stop; then everything ends, or waits for a named person (L1). */
import { attemptOf, isEnded, keysOf, targetsOf, type Act } from './invariants/act.ts';
import { hold } from './invariants/violation.ts';
import { proposalId } from '../../src/model/ids.ts';
import { personOf } from './principals.ts';
import type { Simulation } from './simulation.ts';
import { operators, releaseBy, stopId } from './workload.ts';

/** How often gateways look at what is open before it must be settled. */
const ROUNDS_MAX = 6;
/** One seed in so many has its records folded anew, which takes longer than the rest. */
const FOLDED_EACH = 8;
const ROUND_MS = 20_000;
/** Longer than anything waits by any gateway's clock. */
const LONGEST_WAIT_MS = 12 * 3_600_000;

export async function end(simulation: Simulation): Promise<void> {
  const { world, gateways } = simulation;
  world.hasFaults = false;
  world.trace.add('= faults stop');
  await quiet(simulation);
  for (const gateway of gateways) simulation.start(gateway);
  await quiet(simulation);
  await look(simulation);
  await resume(simulation);
  await look(simulation);
  for (const act of simulation.audit.model.acts.values()) checkEnds(simulation, act);
  await resolveAll(simulation);
  world.now += LONGEST_WAIT_MS;
  await look(simulation);
  for (const act of simulation.audit.model.acts.values()) {
    hold('L1', isEnded(act), () => `${act.id} is ${act.state}, and nobody waits for it`);
    simulation.audit.model.effects.checkEnd(act);
  }
  if (simulation.areClocksRight) {
    simulation.audit.model.budgets.checkBooks((id) => simulation.audit.effectAt(id));
  }
  if (simulation.seed % FOLDED_EACH === 0) await simulation.audit.checkFold();
  const { holders } = simulation.audit.model.budgets;
  hold('G7', holders.length === 0, () => `${holders.join()} hold budgets to the end`);
}

/** Everything that is on its way arrives. */
async function quiet(simulation: Simulation): Promise<void> {
  const { scheduler } = simulation;
  for (;;) {
    const isDone = !(await scheduler.land()) && !(await scheduler.step());
    await simulation.settle();
    if (isDone) return;
  }
}

async function look(simulation: Simulation): Promise<void> {
  for (let round = 0; round < ROUNDS_MAX; round += 1) {
    const before = simulation.audit.size;
    for (const gateway of simulation.gateways) {
      simulation.world.now += ROUND_MS;
      simulation.tick(gateway);
      await quiet(simulation);
    }
    if (simulation.audit.size === before) return;
  }
}

/** People release every stop. */
async function resume(simulation: Simulation): Promise<void> {
  const { gateways, audit } = simulation;
  for (const gateway of gateways) {
    simulation.turnSwitch(gateway, false);
    await quiet(simulation);
  }
  for (const who of operators()) {
    for (const text of audit.model.stops.on()) {
      const id = stopId(text);
      const [gateway] = gateways;
      if (id !== undefined && gateway !== undefined)
        simulation.runGate(gateway, releaseBy(who, id));
      await quiet(simulation);
    }
  }
  const left = audit.model.stops.on();
  hold('L1', left.length === 0, () => `people could not release ${left.join()}`);
}

function checkEnds({ systems }: Simulation, act: Act): void {
  if (isEnded(act) || act.state === 'waiting') return;
  const isTold = targetsOf(act).every((name) => {
    const nature = systems.find((system) => system.name === name)?.nature;
    // Before its first reference nobody can say of one that journals that nothing is on its way.
    if (nature?.journals === true) return act.intents.every(({ reference }) => reference);
    return nature?.isAskable === true && nature.fences;
  });
  hold('L1', act.state === 'in_doubt' && (act.outcome?.code === 'chain-halted' || !isTold), () => {
    return `${act.id} is ${act.state} after attempt ${attemptOf(act)}, and nobody is asked`;
  });
}

/** An operator looks at what is in doubt, puts right what is half done, and says how it ended. */
async function resolveAll(simulation: Simulation): Promise<void> {
  const { audit, scheduler, systems } = simulation;
  const [gateway] = simulation.gateways;
  for (const act of audit.model.acts.values()) {
    const id = proposalId(act.id);
    if (act.state !== 'in_doubt' || id === undefined || gateway === undefined) continue;
    if (audit.lookedAt(act, scheduler) === undefined) {
      const keys = keysOf(act);
      for (const system of systems) {
        for (const booked of system.book) {
          if (keys.includes(booked.key) && audit.model.effects.stands(booked.key))
            system.putRight(booked);
        }
      }
    }
    const outcome = audit.lookedAt(act, scheduler);
    hold('L1', outcome !== undefined, () => `nobody can tell how ${act.id} ended`);
    simulation.runGate(gateway, {
      what: `olga says that ${id} is ${outcome}`,
      call: (gate) => gate.resolve(personOf('olga'), id, { outcome, reason: 'looked' }),
    });
    await quiet(simulation);
  }
}
