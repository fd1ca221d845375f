/** What took effect, by the targets' own books, held against the ledger (G1, G3). */
import { segmentTarget, wayOf } from './keys.ts';
import { isEnded, keysOf, type Act } from './act.ts';
import type { Booked } from '../system.ts';
import { hold } from './violation.ts';

export class Effects {
  /** What took effect under each key, and was not put right by a person. */
  readonly #byKey = new Map<string, Booked[]>();

  /** Something took effect just now. */
  add(booked: Booked, acts: ReadonlyMap<string, Act>): void {
    const { key } = booked;
    const { id, segment, way } = wayOf(key);
    const act = acts.get(id);
    const intent = act?.intents.at(-1);
    hold(
      'G1',
      act !== undefined && intent !== undefined,
      () => `${key} took effect without an intent`,
    );
    hold('G3', !isEnded(act), () => `${key} took effect, though it was ${act.state}`);
    const known = this.#byKey.get(key) ?? [];
    hold('G3', known.length === 0, () => `${key} took effect a second time`);
    this.#byKey.set(key, [booked]);
    const isNoted = (name: string): boolean =>
      act.intents.some(({ reference }) => reference?.split(/[:/]/, 1)[0] === name);
    if (way === 'back') {
      hold(
        'G1',
        isNoted(`back-${segment}`),
        () => `${key} took effect without an intent of its own`,
      );
      this.#checkBack(booked, `${id}.${segment}`);
      return;
    }
    if (segment !== null && segment > 1) {
      hold(
        'G1',
        isNoted(`segment-${segment}`),
        () => `${key} took effect without an intent of its own`,
      );
    }
    hold('G3', keysOf(act).includes(key), () => `${key} is no key of ${id}`);
    const planned = segmentTarget(act, segment);
    hold(
      'G2',
      planned !== undefined && planned.digest === booked.digest && intent.digest === act.digest,
      () => `${key} did ${booked.digest}, and ${planned?.digest ?? 'nothing'} was decided on`,
    );
    hold('G2', planned.target === booked.target, () => `${key} took effect on ${booked.target}`);
  }

  /** Whether a key took effect and stands. */
  stands(key: string): boolean {
    const back = this.#byKey.get(`${key}.back`);
    return (
      this.#byKey.get(key)?.some(({ isTakenBack }) => !isTakenBack) === true && back === undefined
    );
  }

  /** How it ended is what the targets have. */
  checkEnd(act: Act): void {
    const keys = keysOf(act);
    const isApplied = act.state === 'applied';
    for (const key of keys) {
      hold('G3', this.stands(key) === isApplied, () =>
        isApplied
          ? `${act.id} is applied, and ${key} took no effect`
          : `${act.id} is ${act.state}, and ${key} took effect`,
      );
    }
  }

  /** What is taken back is exactly what was done. */
  #checkBack(back: Booked, key: string): void {
    const [there] = this.#byKey.get(key) ?? [];
    const sides = (booked: Booked | undefined, isBack: boolean) =>
      JSON.stringify(
        booked?.effects.map(({ key: row, before, after }) => [
          row,
          isBack ? after : before,
          isBack ? before : after,
        ]),
      );
    hold('G3', there !== undefined && sides(there, false) === sides(back, true), () => {
      return `${back.key} took back something else than what ${key} did`;
    });
  }
}
