/** What gateways heard from targets, and what an outcome may rest on for that. */
import { attemptOf, keysOf, type Act } from './invariants/act.ts';
import { wayOf } from './invariants/keys.ts';
import type { Testimony } from './invariants/model.ts';
import type { Listener, Told } from './connector.ts';
import type { Caller } from './scheduler.ts';

export class Heard implements Listener, Testimony {
  readonly #acts: () => ReadonlyMap<string, Act>;
  /** By proposal: what was heard of which key, in which attempt. */
  readonly #heard = new Map<string, Map<string, number>>();

  constructor(acts: () => ReadonlyMap<string, Act>) {
    this.#acts = acts;
  }

  told(_caller: Caller, key: string, what: Told): void {
    const { id } = wayOf(key);
    const act = this.#acts().get(id);
    const heard = this.#heard.get(id) ?? new Map<string, number>();
    heard.set(`${key} ${what}`, act === undefined ? 0 : attemptOf(act));
    this.#heard.set(id, heard);
  }

  /** Of a chain: applied is what every segment is; any of them may have refused, in any attempt. */
  has(act: Act, what: 'applied' | 'refused' | 'fenced' | 'drifted'): boolean {
    const heard = this.#heard.get(act.id) ?? new Map<string, number>();
    const keys = keysOf(act);
    if (what === 'applied') return keys.every((key) => heard.has(`${key} applied`));
    if (keys.length > 1) {
      // What comes before a segment that would do something else now is taken back.
      const whats = what === 'refused' ? [what, 'drifted'] : [what];
      const isHeard = [act.id, ...keys].some((key) =>
        whats.some((each) => heard.has(`${key} ${each}`)),
      );
      // Before the intent of its own a segment surely had no effect.
      const isBegun = keys.every(
        (_key, index) => index === 0 || isNoted(act, `segment-${index + 1}`),
      );
      return isHeard || (what === 'refused' && !isBegun);
    }
    return (heard.get(`${act.id} ${what}`) ?? -1) >= attemptOf(act) - 1;
  }
}

function isNoted({ intents }: Act, name: string): boolean {
  return intents.some(({ reference }) => reference?.split('/', 1)[0] === name);
}
