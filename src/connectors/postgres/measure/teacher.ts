/** Learns which columns only the commit knows, by comparing runs of one write. */
import { digestJson } from '../../../lib/canonical.ts';
import type { Compensated, StepRequest } from '../../../model/ports.ts';
import type { CarryContext } from './carry.ts';
import { merged, type Learnt, type Sample } from './learn.ts';
import type { Masks } from './masks.ts';
import type { Given } from '../proposed/misfit.ts';
import type { ProposedWrite } from '../proposed/proposed.ts';

/**
 * What is carried out: the agent's checked statement, several of them one after the other, or the
 * inverse of applied effects.
 */
export type Write =
  | ({ readonly kind: 'statement' } & ProposedWrite)
  | { readonly kind: 'steps'; readonly steps: readonly StepWrite[] }
  | { readonly kind: 'inverse'; readonly compensated: Compensated };

/** One of several statements. */
export interface StepWrite extends ProposedWrite {
  readonly request: StepRequest;
}

/** What the agent's write is made of; nothing of the inverse. */
export function statementsOf(write: Write): readonly ProposedWrite[] {
  switch (write.kind) {
    case 'statement':
      return [write];
    case 'steps':
      return write.steps;
    case 'inverse':
      return [];
  }
}

/** What an error of the server may be about. */
export function givenBy(write: Write): Given | undefined {
  return write.kind === 'statement' ? write : undefined;
}

/** What one run has to teach. */
export interface Lesson {
  /** Resources with new values that the next run may fill with others. */
  readonly filled: readonly string[];
  /** Of each statement; null where no rows were kept. */
  readonly samples: readonly (Sample | null)[];
  /** Throws where a column that would be masked may hide what the agent gives. */
  check(learnt: Learnt): void;
}

/** Compares runs of one write until it is known what differs between them. */
export class Teacher {
  readonly #context: CarryContext;
  readonly #shape: string | null;
  #earlier: Lesson['samples'] | null = null;
  #learnt: Learnt;
  #masks: Masks | null = null;

  constructor(write: Write, context: CarryContext) {
    this.#context = context;
    this.#shape = shapeOf(write);
    this.#learnt = (this.#shape === null ? null : context.learnt.of(this.#shape)) ?? new Map();
  }

  /** What the statement says itself, and what earlier runs of its shape showed. */
  masksOf(own: Masks): Masks {
    this.#masks = own.with(this.#learnt);
    return this.#masks;
  }

  /** Whether the run's masks are all there are; where not, the next run knows more. */
  isSatisfied({ filled, samples, check }: Lesson): boolean {
    if (this.#shape === null || this.#masks === null) return true;
    if (filled.every((resource) => this.#learnt.has(resource))) return true;
    const earlier = this.#earlier;
    this.#earlier = samples;
    if (earlier === null) return false;
    const found = samples.flatMap((sample, at) => {
      const other = earlier[at] ?? null;
      return sample === null || other === null ? [] : [sample.against(other)];
    });
    const learnt = onlyAbout(found.reduce<Learnt>(merged, new Map()), filled);
    check(learnt);
    this.#learnt = merged(this.#learnt, learnt);
    this.#context.learnt.add(this.#shape, this.#learnt);
    return this.#masks.with(this.#learnt).names().join() === this.#masks.names().join();
  }
}

/** Of other resources nothing is filled in; where they differ, their rows moved meanwhile. */
function onlyAbout(learnt: Learnt, resources: readonly string[]): Learnt {
  return new Map([...learnt].filter(([resource]) => resources.includes(resource)));
}

/** What writes have in common that only differ in their values; null where nothing is learnt. */
export function shapeOf(write: Write): string | null {
  switch (write.kind) {
    case 'statement':
      return write.statement.text;
    case 'steps':
      // Short, as it is kept; no statement looks like it.
      return digestJson(write.steps.map(({ statement }) => statement.text));
    case 'inverse':
      return null;
  }
}
