/** Which of several steps an error came of, and several refusals as one. */
import type { TargetRefusal } from '../../../model/ports.ts';
import { Refused } from '../../connector.ts';
import { isOfDeferred } from './footprint.ts';
import { asRefusal } from '../session/refusals.ts';
import { givenBy, type Write } from './teacher.ts';

const steps = new WeakMap<object, number>();

/** Runs the work of one step, from 0: an error of it is one of that step. */
export async function atStep<Answer>(step: number, work: () => Promise<Answer>): Promise<Answer> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof Error && !isOfDeferred(error)) steps.set(error, step);
    throw error;
  }
}

/** As `asRefusal`, of a write: with the step that it came of. */
export function refusalOf(error: unknown, write?: Write): TargetRefusal {
  if (write?.kind !== 'steps') return asRefusal(error, write && givenBy(write));
  const step = error instanceof Error ? steps.get(error) : undefined;
  if (step === undefined) {
    const refused = asRefusal(error);
    if (!isOfDeferred(error)) return refused;
    return { ...refused, reason: `at the end of the steps: ${refused.reason}` };
  }
  return { ...asRefusal(error, write.steps[step]), step };
}

/** Faults that are told in full beside the first. */
const FAULTS_MAX = 5;
const FAULT_CHARACTERS_MAX = 300;

/** Collects what is wrong with each step, so that all of it is told at once. */
export class Faults {
  readonly #found: { readonly step: number; readonly refusal: TargetRefusal }[] = [];

  /** Runs the check of one step; what it refuses is kept, anything else is thrown. */
  async check(step: number, work: () => Promise<void> | void): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      this.#found.push({ step, refusal: error.refusal });
    }
  }

  /** Throws where there are any: as the first of them, with the others in its reason. */
  throwAny(): void {
    const [first, ...more] = this.#found.toSorted((left, right) => left.step - right.step);
    if (first === undefined) return;
    const others = more.slice(0, FAULTS_MAX).map(({ step, refusal }) => {
      return `; also step ${step + 1}: ${shortened(refusal.reason)}`;
    });
    const left = more.length - others.length;
    const rest = left > 0 ? `; and ${left} more` : '';
    const { code, reason, span, conflicts } = first.refusal;
    const permanent = this.#found.some((each) => each.refusal.permanent);
    const detail = { permanent, span, conflicts, step: first.step };
    throw new Refused(code, `${reason}${others.join('')}${rest}`, detail);
  }
}

function shortened(text: string): string {
  return text.length <= FAULT_CHARACTERS_MAX ? text : `${text.slice(0, FAULT_CHARACTERS_MAX)}…`;
}
