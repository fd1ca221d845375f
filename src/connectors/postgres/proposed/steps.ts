/** Several writes of one transaction, as an agent proposes them: all are read before any of them runs. */
import type { PlanRequest, StepRequest } from '../../../model/ports.ts';
import { Refused } from '../../connector.ts';
import { Faults } from '../measure/at-step.ts';
import type { StepWrite } from '../measure/teacher.ts';
import { proposedWrite, type ProposedContext } from './proposed.ts';

export const STEP_BOUNDS = {
  stepsMin: 2,
  stepsMax: 50,
  /** Of all statements together: parsing them is dearer than sending them. */
  textBytesMax: 262_144,
  /** Of all statements together, compiled ones too. */
  parametersMax: 10_000,
} as const;

/** Reads every step; throws `Refused` of the first that may not be, with the others in its reason. */
export async function proposedSteps(
  context: ProposedContext,
  steps: readonly StepRequest[],
  proposer: PlanRequest['proposer'],
): Promise<readonly StepWrite[]> {
  const { stepsMin, stepsMax } = STEP_BOUNDS;
  if (steps.length < stepsMin || steps.length > stepsMax) {
    throw new Refused(
      'arguments-invalid',
      `found ${steps.length} steps; expected ${stepsMin} to ${stepsMax}`,
    );
  }
  const faults = new Faults();
  const writes: StepWrite[] = [];
  let textBytesLeft: number = STEP_BOUNDS.textBytesMax;
  let parametersLeft: number = STEP_BOUNDS.parametersMax;
  for (const [at, request] of steps.entries()) {
    await faults.check(at, async () => {
      checkText(request, textBytesLeft);
      const write = await proposedWrite(context, { ...request, ...proposedBy(proposer) });
      textBytesLeft -= Buffer.byteLength(write.statement.text);
      parametersLeft -= write.parameters.length;
      if (textBytesLeft < 0) throw tooLarge('bytes of statements', STEP_BOUNDS.textBytesMax);
      if (parametersLeft < 0) throw tooLarge('values', STEP_BOUNDS.parametersMax);
      writes.push({ ...write, request });
    });
    // What is too much already is not read on.
    if (textBytesLeft < 0 || parametersLeft < 0) break;
  }
  faults.throwAny();
  return writes;
}

/** Before it is parsed, as that is what takes time. */
function checkText({ arguments: args }: StepRequest, leftBytes: number): void {
  const { statement } = args;
  if (typeof statement !== 'string' || Buffer.byteLength(statement) <= leftBytes) return;
  throw tooLarge('bytes of statements', STEP_BOUNDS.textBytesMax);
}

function proposedBy(proposer: PlanRequest['proposer']): { readonly proposer?: string } {
  return proposer === undefined ? {} : { proposer };
}

function tooLarge(what: string, max: number): Refused {
  return new Refused(
    'statement-too-large',
    `the steps up to this one have more than ${max} ${what}; propose fewer or smaller ones`,
  );
}
