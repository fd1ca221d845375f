/** What gateways heard from targets, and what an outcome may rest on for that. */
import { attemptOf, keysOf, type Act } from './invariants/act.ts';
import { wayOf } from './invariants/keys.ts';
import type { Testimony } from './invariants/model.ts';
import type { Listener, Told } from './connector.ts';
import type { Caller } from './scheduler.ts';

/** Of one key: in which attempt each was heard last, and how many messages nothing was heard of. */
interface Heard {
  readonly last: Map<Told, number>;
  silent: number;
}

export class Hearsay implements Listener, Testimony {
  readonly #acts: () => ReadonlyMap<string, Act>;
  readonly #heard = new Map<string, Heard>();

  constructor(acts: () => ReadonlyMap<string, Act>) {
    this.#acts = acts;
  }

  told(_caller: Caller, key: string, what: Told): void {
    const act = this.#acts().get(wayOf(key).id);
    const heard = this.#of(key);
    heard.last.set(what, act === undefined ? 0 : attemptOf(act));
    switch (what) {
      case 'sent':
        heard.silent += 1;
        return;
      case 'refused':
      case 'drifted':
        // Of what was sent last; what was sent before it may still arrive.
        heard.silent = Math.max(heard.silent - 1, 0);
        return;
      case 'applied':
      case 'fenced':
      case 'gone':
        heard.silent = 0;
        return;
      case 'absent':
        return;
    }
  }

  has(act: Act, what: 'applied' | 'refused' | 'drifted'): boolean {
    const keys = keysOf(act);
    if (what === 'applied') return keys.every((key) => this.#of(key).last.has('applied'));
    if (keys.length > 1) return this.#hasChain(act, keys, what);
    const { last, silent } = this.#of(act.id);
    if (silent > 0) return false;
    const whats: readonly Told[] = what === 'refused' ? ['refused', 'fenced'] : [what];
    return whats.some((each) => (last.get(each) ?? -1) >= attemptOf(act) - 1);
  }

  /** Any segment may have been refused, in any attempt; or have been left alone. */
  #hasChain(act: Act, keys: readonly string[], what: 'refused' | 'drifted'): boolean {
    // What comes before a segment that would do something else now is taken back.
    const whats: readonly Told[] = what === 'refused' ? ['refused', 'fenced', 'drifted'] : [what];
    const isHeard = [act.id, ...keys].some((key) =>
      whats.some((each) => this.#of(key).last.has(each)),
    );
    // Before the intent of its own a segment surely had no effect.
    const isBegun = keys.every(
      (_key, index) => index === 0 || isNoted(act, `segment-${index + 1}`),
    );
    return isHeard || (what === 'refused' && !isBegun);
  }

  #of(key: string): Heard {
    const heard = this.#heard.get(key) ?? { last: new Map<Told, number>(), silent: 0 };
    this.#heard.set(key, heard);
    return heard;
  }
}

function isNoted({ intents }: Act, name: string): boolean {
  return intents.some(({ reference }) => reference?.split('/', 1)[0] === name);
}
