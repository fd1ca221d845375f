/** What the entries say of stops: who spoke for a release, and that nothing was begun under one. */
import { covers, type FreezeScope } from '../model/freeze.ts';
import type { EntryBody } from '../model/entry.ts';
import type { Leaf, LeafOf } from './leaf.ts';

interface Stop {
  /** Null where the name is in a payload that was not looked at. */
  readonly scope: FreezeScope | null;
  readonly voices: Set<string>;
  isOn: boolean;
}

/** What is known of who proposed something, as far as a stop asks. */
export interface StopSubject {
  /** Null where it is in a payload that was not looked at. */
  readonly agent: string | null;
  readonly target: string | null;
  readonly run: string | null;
}

/** The stops of a log so far, by their act. */
export class Stops {
  readonly #stops = new Map<string, Stop>();

  begin(leaf: LeafOf<'freeze'>, body: EntryBody | null): void {
    const named = body?.type === 'freeze' ? body.freeze.scope : null;
    const { scope: kind } = leaf;
    const scope = kind === 'all' || kind === 'tenant' ? { kind } : named;
    this.#stops.set(leaf.act, { scope, voices: new Set(), isOn: true });
  }

  /** Takes a voice; returns what is unlawful about it. */
  speak(leaf: LeafOf<'release'>, body: EntryBody | null): string | undefined {
    const stop = this.#stops.get(leaf.act);
    // An act that does not begin with its freeze is a finding of its own.
    if (stop === undefined) return undefined;
    if (!stop.isOn) return 'it was released before';
    const { missing, quorum = 1 } = leaf;
    const voice = voiceOf(leaf, body);
    const isRepeated = voice !== undefined && stop.voices.has(voice);
    if (voice !== undefined) stop.voices.add(voice);
    if (missing !== undefined) return isRepeated ? 'one voice was counted twice' : undefined;
    stop.isOn = false;
    if (voice === undefined || stop.voices.size >= quorum) return undefined;
    return `${quorum} had to speak for the release, ${stop.voices.size} did`;
  }

  /** Returns the act of a stop that is on and surely covers the subject. */
  covering({ agent, target, run }: StopSubject): string | undefined {
    // Null, for what is not known, is nobody's name.
    const subject = { agent: agent ?? '', target: target ?? '', run };
    for (const [act, { isOn, scope }] of this.#stops) {
      if (isOn && scope !== null && covers(scope, subject)) return act;
    }
    return undefined;
  }
}

/** A person is told by the name, where it can be seen, else by the credential. */
function voiceOf(leaf: LeafOf<'release'>, body: EntryBody | null): string | undefined {
  if (leaf.source === 'file') return 'file';
  if (body?.type === 'release') return `person ${body.by}`;
  return leaf.credential;
}

/** Reads off a proposal whom a stop would have to cover. */
export function stopSubjectOf(
  leaf: Leaf & { type: 'proposal' },
  body: EntryBody | null,
): StopSubject {
  const { proposer, target } = leaf;
  const draft = body?.type === 'proposal' ? body : null;
  return {
    agent: proposer.name ?? draft?.proposer.name ?? null,
    target,
    run: proposer.kind === 'agent' ? (draft?.draft.run ?? null) : null,
  };
}
