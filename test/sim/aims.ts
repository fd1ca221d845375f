/**
 * Where a seed has gateways crash: before or after a step of a kind, however rare that kind is. A crash
 * at any time is nearly always one before a read, since most of what a gateway does is read.
 */
import type { Chance, Weighted } from './chance.ts';
import { STEPS } from './steps.ts';

export type Stage = 'before' | 'after';

/** One crash: at the next call of that kind, once so many of them went by. */
interface Aim {
  readonly stage: Stage;
  readonly step: string;
  left: number;
}

/** What few seeds come to is aimed at in more of them, and what all come to in fewer. */
const OFTEN: Readonly<Record<string, number>> = {
  'target fence': 8,
  'store commit release': 5,
  'target begin': 3,
  'target keep': 3,
  'target drop': 5,
  'target write': 2,
  'target ask': 2,
  'store commit policy': 3,
  'store commit freeze': 3,
  'store renew': 3,
  'store release': 3,
  'store commit intent': 2,
  'store read': 0.5,
  'store claim': 0.5,
  'store endLeases': 0.5,
  'notifier waiting': 1.5,
  'signer sign': 2,
};
const CHOSEN: Weighted<string> = STEPS.map((step) => [OFTEN[step] ?? 1, step]);

export class Aims {
  readonly #aims: Aim[];

  constructor(chance: Chance, count: number) {
    this.#aims = Array.from({ length: count }, () => {
      const step = chance.weighted(CHOSEN);
      const often = step === 'store read' ? 60 : 3;
      const left = chance.hits(0.7) ? 0 : chance.below(often);
      return { stage: chance.pick<Stage>(['before', 'after']), step, left };
    });
  }

  /** On which side of this call its gateway is to crash; undefined: not at this one. */
  at(step: string): Stage | undefined {
    const aim = this.#aims.find((each) => each.step === step);
    if (aim === undefined) return undefined;
    if (aim.left > 0) {
      aim.left -= 1;
      return undefined;
    }
    this.#aims.splice(this.#aims.indexOf(aim), 1);
    return aim.stage;
  }
}
