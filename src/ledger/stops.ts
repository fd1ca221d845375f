/** What the entries say of stops: who spoke for a release, and that nothing was begun under one. */
import type { EntryBody } from '../model/entry.ts';
import { covers, type FreezeScope, type FreezeSubject } from '../model/freeze.ts';
import { subjectOf } from '../model/proposal.ts';
import type { LeafOf } from './leaf.ts';

interface Stop {
  /** Null where the name is in a payload that was not looked at. */
  readonly scope: FreezeScope | null;
  readonly voices: Set<string>;
  isOn: boolean;
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
  covering(subject: FreezeSubject): string | undefined {
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

/** Reads off a proposal whom a stop would have to cover; without its payload, as far as the leaf says. */
export function stopSubjectOf(leaf: LeafOf<'proposal'>, body: EntryBody | null): FreezeSubject {
  if (body?.type === 'proposal') return subjectOf(body);
  // An empty text is nobody's name.
  return { agent: leaf.proposer.name ?? '', target: leaf.target ?? '', run: null };
}
