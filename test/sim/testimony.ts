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
      return [act.id, ...keys].some((key) => whats.some((each) => heard.has(`${key} ${each}`)));
    }
    return (heard.get(`${act.id} ${what}`) ?? -1) >= attemptOf(act) - 1;
  }
}
