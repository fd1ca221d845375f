/** Baselines for tests: learned from some writes, one a minute. */
import { learn, type AppliedWrite, type Baseline } from '../../src/model/baseline.ts';

export const LEARNED_FROM: number = Date.UTC(2026, 10, 2, 9);

export interface LearnedOptions extends Partial<Omit<AppliedWrite, 'key'>> {
  readonly writes: number;
  /** Between one write and the next. */
  readonly everyMs?: number;
}

/** What is usual after so many applied writes of one kind, each with arguments of its own. */
export function learnedFrom({ writes, everyMs = 60_000, ...write }: LearnedOptions): Baseline {
  let baseline: Baseline | undefined;
  for (let each = 0; each < writes; each += 1) {
    const at = LEARNED_FROM + each * everyMs;
    const key = `sha256:${String(each).padStart(64, '0')}`;
    baseline = learn(baseline, { kind: 'proposed', at, key });
    baseline = learn(baseline, {
      kind: 'applied',
      at,
      write: {
        key,
        records: 1,
        recipients: 0,
        value: [],
        resources: [['public.customers']],
        approved: false,
        ...write,
      },
    });
  }
  if (baseline === undefined) throw new Error('a baseline is learned from one write at least');
  return baseline;
}
