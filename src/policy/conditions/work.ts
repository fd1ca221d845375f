/**
 * What conditions may take before they cannot be evaluated, and deny. A step is about ten
 * nanoseconds: one node of a condition, four characters of a text, one item of a list.
 */
export const WORK_BOUNDS = {
  conditionStepsMax: 4_000_000,
  /** All the conditions of one stage of a decision together, over all the steps of a chain. */
  stageStepsMax: 10_000_000,
  /** Items of a list that a loop walks over. */
  loopItemsMax: 100_000,
} as const;

/** What one error costs: it is made with its place and its stack. */
const ERROR_STEPS = 2_000;

/** What the conditions of one stage have taken so far. */
export interface Spent {
  steps: number;
}

/** Who is told that a condition has no answer, whatever stands beside the part that had none. */
interface Withholding {
  withhold(reason: string): never;
}

/** Counts the steps of one condition while it is evaluated. */
export class Meter {
  #effect: Withholding | null = null;
  #spent: Spent = { steps: 0 };
  #stepsMax = 0;

  /** Begins one evaluation, on what is left for the stage. */
  begin(effect: Withholding, spent: Spent): void {
    this.#effect = effect;
    this.#spent = spent;
    const { conditionStepsMax, stageStepsMax } = WORK_BOUNDS;
    this.#stepsMax = Math.min(spent.steps + conditionStepsMax, stageStepsMax);
    // Nothing is left: to begin would cost more than to say so.
    this.charge(0);
  }

  /** Takes the steps before the work is done; throws where they are not left. */
  charge(steps: number): void {
    this.#spent.steps += steps;
    if (this.#spent.steps > this.#stepsMax) this.#refuse('it takes more work than it may');
  }

  chargeError(): void {
    this.charge(ERROR_STEPS);
  }

  /** Takes the items of a loop. */
  chargeLoop(items: number): void {
    if (items > WORK_BOUNDS.loopItemsMax) this.#refuse('it loops over more items than it may');
    this.charge(items);
  }

  /** `error || true` is true in CEL, and loops go on after an error: so it is said to the view too. */
  #refuse(reason: string): never {
    if (this.#effect === null) throw new Error('a condition was evaluated outside of its meter');
    return this.#effect.withhold(reason);
  }
}
