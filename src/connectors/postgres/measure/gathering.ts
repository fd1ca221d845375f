/** Takes every changed row of one run: to the guards, the tally, and the sample that masks are learnt from. */
import type { Catalog } from '../catalog/catalog.ts';
import type { CarryContext } from './carry.ts';
import type { Change } from './change.ts';
import { openGuards, type Guarded, type Guards } from './guards.ts';
import { Sample } from './learn.ts';
import type { Masks } from './masks.ts';
import { RecipientCount } from './recipients.ts';
import { Tally, type Counted, type Tallied, type TalliedStep } from './tally.ts';
import { ValueSum } from './value.ts';

export interface GatheringOptions {
  readonly catalog: Catalog;
  readonly masks: Masks;
  readonly guarded: Guarded;
  /** Whether the rows are needed to learn masks from. */
  readonly sampled: boolean;
  /** Of a step of several. */
  readonly step?: GatheredStep;
}

export interface GatheredStep extends TalliedStep {
  /** Sees each batch of rows, some of them twice. */
  readonly watch: (changes: readonly Change[]) => void;
}

/** Who drops one half of a run begins another with the same options. */
export class Gathering {
  readonly guards: Guards;
  readonly sample: Sample | null;
  readonly #tally: Tally;
  readonly #watch: GatheredStep['watch'] | undefined;
  readonly #wholes: Map<string, readonly string[]>;

  constructor(context: CarryContext, options: GatheringOptions) {
    const { settings, evidence, owner } = context;
    this.guards = openGuards(settings, options.guarded);
    this.sample = options.sampled ? new Sample() : null;
    this.#wholes = new Map(wholesOf(options.catalog));
    this.#watch = options.step?.watch;
    this.#tally = new Tally({
      rowsMax: settings.rowsMax,
      value: new ValueSum(settings, this.#wholes, context.stated),
      recipients: new RecipientCount(settings, this.#wholes),
      masks: options.masks,
      evidence,
      owner,
      ...(options.step === undefined ? {} : { step: options.step }),
    });
  }

  get counts(): readonly Counted[] {
    return this.#tally.counts;
  }

  async take(changes: readonly Change[]): Promise<void> {
    for (const change of changes) {
      const { table } = change.after ?? change.before ?? {};
      if (table !== undefined) this.#wholes.set(table.resource, table.partOf);
      this.guards.add(change);
    }
    this.#watch?.(changes);
    this.sample?.add(changes);
    await this.#tally.add(changes);
  }

  finish(): Promise<Tallied> {
    return this.#tally.finish();
  }

  discard(): Promise<void> {
    return this.#tally.discard();
  }
}

export function wholesOf({ tables }: Catalog): ReadonlyMap<string, readonly string[]> {
  return new Map([...tables.values()].map((table) => [table.resource, table.partOf]));
}
