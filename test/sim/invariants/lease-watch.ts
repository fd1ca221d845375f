/** Who carries on with which proposal, as the store let it (G8): whoever took it last, and only then another. */
import type { OutcomeEntry } from '../../../src/model/entry.ts';
import type { Claimed, LeaseClaim, ProposalPlace } from '../../../src/model/lease.ts';
import type { Change, Commit } from '../../../src/model/ports.ts';
import type { Coverage } from '../coverage.ts';
import type { Caller } from '../scheduler.ts';
import { hold } from './violation.ts';

interface Held {
  readonly caller: Caller;
  /** By the store's clock. */
  until: number;
}

export class LeaseWatch {
  readonly #held = new Map<string, Held>();
  readonly #now: () => number;

  readonly #coverage: Coverage;

  constructor(now: () => number, coverage: Coverage) {
    this.#now = now;
    this.#coverage = coverage;
  }

  committed(caller: Caller, change: Change, answer: Commit): void {
    if (answer.kind !== 'committed') {
      if (answer.conflict.kind === 'leased') this.#coverage.reach('lease', 'too late to commit');
      return;
    }
    for (const { act, entries } of change.acts) {
      const outcome = entries.find((entry) => entry.type === 'outcome');
      const isTaken = entries.some(({ type }) => type === 'intent');
      if (isTaken) this.#take(caller, act, change.guard?.lease?.forMs ?? 0);
      else if (outcome !== undefined) this.#settles(caller, act, outcome);
    }
    // What nobody carries on with is nobody's.
    for (const { id, state } of answer.proposals) {
      if (!['executing', 'in_doubt', 'stale'].includes(state)) this.#held.delete(id);
    }
  }

  claimed(caller: Caller, { forMs }: LeaseClaim, claimed: readonly Claimed[]): void {
    for (const { id } of claimed) this.#take(caller, id, forMs);
  }

  renewed(caller: Caller, places: readonly ProposalPlace[], forMs: number): void {
    for (const { id } of places) {
      const held = this.#held.get(id);
      if (held?.caller !== caller) continue;
      this.#coverage.reach('lease', held.until <= this.#now() ? 'renewed, run out' : 'renewed');
      held.until = this.#now() + forMs;
    }
  }

  released(caller: Caller, places: readonly ProposalPlace[]): void {
    for (const { id } of places) {
      const held = this.#held.get(id);
      if (held?.caller !== caller) continue;
      this.#held.delete(id);
      this.#coverage.reach('lease', 'let go');
    }
  }

  /** Of a gateway that starts: what its former processes had is nobody's. */
  ended(gateway: string): void {
    for (const [id, held] of this.#held) {
      if (!held.caller.name.startsWith(gateway)) continue;
      this.#held.delete(id);
      this.#coverage.reach('lease', 'ended by a start');
    }
  }

  #take(caller: Caller, id: string, forMs: number): void {
    const before = this.#held.get(id);
    const isFree = before === undefined || before.caller === caller || before.until <= this.#now();
    hold('G8', isFree, () => `${caller.name} takes ${id}, which ${before?.caller.name} holds`);
    this.#coverage.reach('lease', this.#howTaken(caller, before));
    this.#held.set(id, { caller, until: this.#now() + forMs });
  }

  #howTaken(caller: Caller, before: Held | undefined): string {
    if (before === undefined) return 'taken';
    if (before.caller === caller) return before.until <= this.#now() ? 'kept, run out' : 'kept';
    return before.caller.isAlive ? 'taken over from the living' : 'taken over from the dead';
  }

  #settles(caller: Caller, id: string, { attempt, resolved }: OutcomeEntry): void {
    const held = this.#held.get(id);
    const isOwn = held === undefined || held.caller === caller || attempt === 0;
    // People wait until nobody is at it any more.
    const isPerson = resolved === 'person' && (held?.until ?? 0) <= this.#now();
    hold('G8', isOwn || isPerson, () => {
      return `${caller.name} settles ${id}, which ${held?.caller.name} has`;
    });
  }
}
