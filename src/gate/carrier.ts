import type { ApplyAnswer, ApplyRequest, Target } from '../model/ports.ts';

/**
 * What a proposal is carried out on: a target, or a chain over several that the gate puts together
 * (`chain.ts`) and that answers as a target does.
 */
export interface Carrier extends Omit<Target, 'apply'> {
  apply(request: ApplyRequest, signal: AbortSignal): Promise<ApplyAnswer | Unsettled>;
  /**
   * Takes back, last first, what attempts before this one did, and makes sure that the rest never
   * takes effect. Absent where one transaction carries out everything.
   */
  takeBack?(request: ApplyRequest, signal: AbortSignal): Promise<ApplyAnswer | Unsettled>;
}

/**
 * Some of a chain took effect, or may have, and it neither went on nor was taken back. `in-doubt` is
 * looked into again, `chain-stopped` once the stop is released, `chain-halted` by people alone.
 */
export interface Unsettled {
  readonly kind: 'unsettled';
  readonly code: 'in-doubt' | 'chain-stopped' | 'chain-halted';
  readonly reason: string;
}
