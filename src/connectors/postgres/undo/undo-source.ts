/** Effects in memory or in a file, read in bounded batches as often as it takes. */
import type { Effect } from '../../../model/plan.ts';

/** Effects, wherever they are kept; an `EvidenceReader` is one. May be read more than once. */
export interface EffectSource {
  batches(): AsyncIterable<readonly Effect[]>;
}

export async function* inBatches(
  source: readonly Effect[] | EffectSource,
): AsyncIterable<readonly Effect[]> {
  if ('batches' in source) yield* source.batches();
  else yield source;
}

/** The same effects the other way round: what the inverse of the inverse is. */
export function reversed(source: readonly Effect[] | EffectSource): EffectSource {
  return {
    async *batches() {
      for await (const batch of inBatches(source)) yield batch.map(reverse);
    },
  };
}

const OPPOSITE = { create: 'delete', update: 'update', delete: 'create' } as const;

function reverse(effect: Effect): Effect {
  return { ...effect, kind: OPPOSITE[effect.kind], before: effect.after, after: effect.before };
}

/** The effects that pass, batch by batch. */
export function filtered(
  source: readonly Effect[] | EffectSource,
  passes: (effect: Effect) => boolean,
): EffectSource {
  return {
    async *batches() {
      for await (const batch of inBatches(source)) yield batch.filter(passes);
    },
  };
}
