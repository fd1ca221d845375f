/** Learns which columns only the commit knows, by comparing runs of one write. */
import type { Compensated } from '../../../model/ports.ts';
import type { CarryContext } from './carry.ts';
import type { Catalog } from '../catalog/catalog.ts';
import { merged, type Learnt, type Sample } from './learn.ts';
import { checkLearnt, type Masks } from './masks.ts';
import type { Given } from '../proposed/misfit.ts';
import type { ProposedWrite } from '../proposed/proposed.ts';
import type { Run } from './run.ts';

/** What is carried out: the agent's checked statement, or the inverse of applied effects. */
export type Write =
  | ({ readonly kind: 'statement' } & ProposedWrite)
  | { readonly kind: 'inverse'; readonly compensated: Compensated };

/** What an error of the server may be about. */
export function givenBy(write: Write): Given | undefined {
  return write.kind === 'statement' ? write : undefined;
}

/** Compares runs of one write until it is known what differs between them. */
export class Teacher {
  readonly #write: Write;
  readonly #context: CarryContext;
  readonly #shape: string | null;
  #earlier: Sample | null = null;
  #learnt: Learnt;
  #masks: Masks | null = null;

  constructor(write: Write, context: CarryContext) {
    this.#write = write;
    this.#context = context;
    this.#shape = shapeOf(write);
    this.#learnt = (this.#shape === null ? null : context.learnt.of(this.#shape)) ?? new Map();
  }

  /** What the statement says itself, and what earlier runs of its shape showed. */
  masksOf(own: Masks, catalog: Catalog): Masks {
    this.#masks = own.with(this.#learnt, catalog);
    return this.#masks;
  }

  /** Whether the run's masks are all there are; where not, the next run knows more. */
  isSatisfied(run: Run, catalog: Catalog): boolean {
    if (this.#shape === null || this.#masks === null) return true;
    if (run.filled.every((resource) => this.#learnt.has(resource))) return true;
    const { sample } = run.gathering;
    const earlier = this.#earlier;
    this.#earlier = sample;
    if (earlier === null || sample === null) return false;
    const learnt = onlyAbout(sample.against(earlier), run.filled);
    this.#check(learnt, run, catalog);
    this.#learnt = merged(this.#learnt, learnt);
    this.#context.learnt.add(this.#shape, this.#learnt);
    return this.#masks.with(this.#learnt, catalog).names().join() === this.#masks.names().join();
  }

  #check(learnt: Learnt, run: Run, catalog: Catalog): void {
    if (this.#write.kind !== 'statement') return;
    const changed = run.gathering.counts.map(({ table }) => table);
    checkLearnt(learnt, this.#write.statement, catalog, changed);
  }
}

/** Of other resources nothing is filled in; where they differ, their rows moved meanwhile. */
function onlyAbout(learnt: Learnt, resources: readonly string[]): Learnt {
  return new Map([...learnt].filter(([resource]) => resources.includes(resource)));
}

/** What writes have in common that only differ in their values; null where nothing is learnt. */
function shapeOf(write: Write): string | null {
  return write.kind === 'inverse' ? null : write.statement.text;
}
