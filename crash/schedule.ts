import type { FaultName } from './faults/fault.ts';
import { FAULT_NAMES } from './faults/fault.ts';
import { FAULTS } from './faults/index.ts';
import type { StoreKind } from './lane.ts';
import { Lot } from './lot.ts';
import type { Round } from './round.ts';

export interface Plan {
  readonly gateways: number;
  readonly store: StoreKind;
  /** These alone, in turn; of none: kills, and after every tenth another fault. */
  readonly only: readonly FaultName[];
}

/** How many rounds one installation lives, beside the faults between them. */
export const ROUNDS_EACH = 20;
const KILLS_BETWEEN = 10;
/** Where there are several gateways a strike is longer: it may be of all of them. */
const STRIKES_OF_MANY_MAX = 3;

/** The faults that can befall such an installation. */
export function possibleFaults({ gateways, store }: Omit<Plan, 'only'>): readonly FaultName[] {
  return FAULT_NAMES.filter(
    (name) => isOf(name, { gateways, store }) && whyNot(name, store) === null,
  );
}

/** Those that would befall it, were this machine another one: with the reason. */
export function leftOut(plan: Omit<Plan, 'only'>): ReadonlyMap<FaultName, string> {
  const reasons = FAULT_NAMES.filter((name) => isOf(name, plan)).map(
    (name) => [name, whyNot(name, plan.store)] as const,
  );
  return new Map(reasons.flatMap(([name, why]) => (why === null ? [] : [[name, why] as const])));
}

function isOf(name: FaultName, { gateways, store }: Omit<Plan, 'only'>): boolean {
  return FAULTS[name].stores.includes(store) && FAULTS[name].gateways <= gateways;
}

function whyNot(name: FaultName, store: StoreKind): string | null {
  return FAULTS[name].whyNot?.(store) ?? null;
}

/** The rounds of an installation, by its seed: `rounds` of them, and the faults between. */
export function roundsOf(seed: number, rounds: number, plan: Plan): readonly Round[] {
  const lot = new Lot(seed);
  const others = possibleFaults(plan).filter((name) => name !== 'kill');
  const faults: FaultName[] = [];
  for (let each = 0; each < rounds; each += 1) {
    faults.push(plan.only[(seed + each) % plan.only.length] ?? 'kill');
    const isTenth = (each + 1) % KILLS_BETWEEN === 0;
    // Seeds that follow each other go through all of them.
    const turn = seed * (ROUNDS_EACH / KILLS_BETWEEN) + Math.floor(each / KILLS_BETWEEN);
    const other = others[turn % others.length];
    if (plan.only.length === 0 && isTenth && other !== undefined) faults.push(other);
  }
  const strikesMax = plan.gateways > 1 ? STRIKES_OF_MANY_MAX : Number.POSITIVE_INFINITY;
  return faults.map((fault, number) => ({
    number,
    fault,
    strikes: lot.between(1, Math.min(FAULTS[fault].strikesMax, strikesMax)),
    seed: lot.below(2 ** 32),
  }));
}
