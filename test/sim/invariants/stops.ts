/** Stops as the ledger has them, and what they cover, by the words of the specification. */
import type { FreezeScope } from '../../../src/model/freeze.ts';
import { targetsOf, type Act } from './act.ts';
import { hold } from './violation.ts';

interface Stop {
  readonly scope: FreezeScope;
  readonly at: number;
  releasedAt: number | null;
  /** Who spoke for its release: names of people, and `file`. */
  readonly voices: Set<string>;
}

export class Stops {
  readonly known = new Map<string, Stop>();

  begin(id: string, scope: FreezeScope, at: number): void {
    this.known.set(id, { scope, at, releasedAt: null, voices: new Set() });
  }

  /** One more voice; with the last one it is released. */
  speak(
    id: string,
    voice: { readonly by: string; readonly isLast: boolean; readonly quorum: number },
    at: number,
  ): void {
    const { by, isLast, quorum } = voice;
    const stop = this.known.get(id);
    hold('stop', stop?.releasedAt === null, () => `${by} speaks for ${id}, which is not on`);
    stop.voices.add(by);
    if (!isLast) return;
    hold('stop', stop.voices.size >= quorum, () => {
      return `${id} is released by ${stop.voices.size} of ${quorum}`;
    });
    stop.releasedAt = at;
  }

  /** The stops that are on. */
  on(): readonly string[] {
    return [...this.known].filter(([, { releasedAt }]) => releasedAt === null).map(([id]) => id);
  }

  covering(act: Act): string | undefined {
    return this.on().find((id) => covers(this.known.get(id)?.scope, act));
  }

  /** When waiting ends: time under a stop does not count. */
  deadline(act: Act): number {
    const { expiresAt, waitingSince } = act;
    if (expiresAt === null || waitingSince === null) return Infinity;
    const spans = [...this.known.values()]
      .filter(({ scope }) => covers(scope, act))
      .map(({ at, releasedAt }) => [Math.max(at, waitingSince), releasedAt ?? Infinity] as const)
      .toSorted(([left], [right]) => left - right);
    let deadline = expiresAt;
    let counted = waitingSince;
    for (const [from, to] of spans) {
      const begins = Math.max(from, counted);
      if (begins >= deadline || to <= begins) continue;
      deadline += to - begins;
      counted = to;
    }
    return deadline;
  }
}

function covers(scope: FreezeScope | undefined, act: Act): boolean {
  switch (scope?.kind) {
    case undefined:
      return false;
    case 'all':
    case 'tenant':
      return true;
    case 'agent':
      return scope.name === act.proposer.name;
    case 'target':
      return targetsOf(act).includes(scope.name);
    case 'run':
      return act.proposer.kind === 'agent' && act.draft.run === scope.name;
  }
}
