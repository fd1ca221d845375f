import type { FreezeId } from './ids.ts';

/**
 * What a freeze covers: every tenant of the store, the tenant whose operator made it, or one name
 * within that tenant. Names are compared as they are: an agent under another name is another agent.
 */
export type FreezeScope =
  | { readonly kind: 'all' | 'tenant' }
  | { readonly kind: 'agent' | 'target' | 'run'; readonly name: string };

export const FREEZE_SCOPES = ['all', 'tenant', 'agent', 'target', 'run'] as const;

/** A switch that is on: no new effects within its scope. */
export interface Freeze {
  readonly id: FreezeId;
  readonly scope: FreezeScope;
  readonly reason: string;
  /** A person's name; of a freeze that a configuration file made, the name of its gateway. */
  readonly by: string;
  /** Absent: a person. */
  readonly source?: 'file';
  readonly at: number;
  readonly releasedAt: number | null;
  /** Who spoke for its release, oldest first; absent: nobody yet. */
  readonly voices?: readonly Voice[];
}

/** One person's word, or that of the configuration file, that a freeze may be released. */
export interface Voice {
  readonly by: string;
  readonly source?: 'file';
  readonly at: number;
}

/** What a proposal would touch, for the question whether a freeze covers it. */
export interface FreezeSubject {
  readonly agent: string;
  readonly target: string;
  /** Every target of a chain; absent: `target` is the only one. */
  readonly targets?: readonly string[];
  readonly run: string | null;
}

/** Reports whether a freeze scope covers a subject. */
export function covers(scope: FreezeScope, subject: FreezeSubject): boolean {
  switch (scope.kind) {
    case 'all':
    case 'tenant':
      return true;
    case 'agent':
      return scope.name === subject.agent;
    case 'target':
      return (subject.targets ?? [subject.target]).includes(scope.name);
    case 'run':
      return scope.name === subject.run;
  }
}

/** Returns the first freeze that is on and covers the subject. */
export function activeFreeze(
  freezes: readonly Freeze[],
  subject: FreezeSubject,
): Freeze | undefined {
  return freezes.find((freeze) => freeze.releasedAt === null && covers(freeze.scope, subject));
}

/**
 * Moves a deadline by the time that freezes covered the subject since `since`: deadlines freeze
 * while a stop is on. Returns `Infinity` while one is on. Overlapping freezes count once.
 */
export function frozenDeadline(
  deadline: number,
  since: number,
  freezes: readonly Freeze[],
  subject: FreezeSubject,
): number {
  const spans = freezes
    .filter((freeze) => covers(freeze.scope, subject))
    .map((freeze) => ({ from: Math.max(freeze.at, since), to: freeze.releasedAt ?? Infinity }))
    .filter((span) => span.to > span.from)
    .toSorted((left, right) => left.from - right.from);
  let moved = deadline;
  let covered = since;
  for (const span of spans) {
    const from = Math.max(span.from, covered);
    if (from >= moved) break;
    if (span.to > from) moved += span.to - from;
    covered = Math.max(covered, span.to);
  }
  return moved;
}
