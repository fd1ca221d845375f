/** One intent, one effect: what is the same within the window is not let through twice. */
import { derivedKeyOf } from '../../../src/model/draft.ts';
import { effectJson } from '../../../src/model/plan.ts';
import type { Figures } from '../policies.ts';
import { TENANT } from '../principals.ts';
import { stepsOf, type Act } from './act.ts';
import { hold } from './violation.ts';

const MINUTE_MS = 60_000;

export class Repeats {
  /** What the agent called it, for good. */
  readonly #supplied = new Map<string, string>();
  /** Operations that some policy let repeat: of these it depends on when. */
  readonly #repeatable = new Set<string>();

  inForce({ repeatable }: Figures): void {
    for (const operation of repeatable) this.#repeatable.add(operation);
  }

  begin({ id, proposer, draft }: Act): void {
    if (draft.idempotencyKey === undefined) return;
    const key = `${proposer.name} ${draft.idempotencyKey}`;
    const first = this.#supplied.get(key);
    hold('idempotency', first === undefined, () => `${id} has the key of ${first}: ${key}`);
    this.#supplied.set(key, id);
  }

  /** It was let through, or waits for people: then nothing else may be the same. */
  decided(act: Act, isFirst: boolean, others: Iterable<Act>, at: number, figures: Figures): void {
    if (act.draft.compensates !== undefined) return;
    const appliedSince = at - figures.duplicateMinutes * MINUTE_MS;
    const intents = isFirst ? this.#intents(act) : [];
    const effects = this.#effects(act);
    for (const other of others) {
      if (other === act || !holds(other, appliedSince)) continue;
      const same = [
        intents.filter((key) => this.#intents(other).includes(key)),
        effects.filter((key) => this.#effects(other).includes(key)),
      ].flat();
      hold('idempotency', same.length === 0, () => {
        return `${act.id} is the same write as ${other.id}: ${same[0]}`;
      });
    }
  }

  /** The keys of the whole and of each step, as of single writes. */
  #intents({ draft, derivedKey }: Act): readonly string[] {
    const steps = draft.steps ?? [draft];
    if (steps.some(({ operation }) => this.#repeatable.has(operation))) return [];
    return [derivedKey, ...(draft.steps ?? []).map((step) => derivedKeyOf(TENANT, step))];
  }

  #effects(act: Act): readonly string[] {
    return stepsOf(act)
      .filter(({ operation, plan }) => !this.#repeatable.has(operation) && plan.effects.length > 0)
      .map(({ target, plan }) =>
        JSON.stringify([target, plan.effects.map(effectJson), plan.value]),
      );
  }
}

/** Whether what a proposal asked for, and had for an effect, is its own. */
function holds({ state, settledAt, decision, draft }: Act, appliedSince: number): boolean {
  if (draft.compensates !== undefined || decision === null) return false;
  if (state === 'applied') return settledAt !== null && settledAt >= appliedSince;
  return ['waiting', 'executing', 'stale', 'in_doubt'].includes(state);
}
