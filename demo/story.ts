import type { Result } from '../src/model/result.ts';
import type { World } from './world.ts';

/** What a story tells while it runs. */
export interface Telling {
  /** Who asks for what, in one line. */
  asked(who: string, what: string): void;
  /** The gateway's answer: measured headline, decision and its reason, result. */
  answered(result: Result): Promise<void>;
  /** What happened beside the gateway, or what was checked in the database. */
  noted(line: string): void;
}

/** One story: it plays against the world and says how it really ended. */
export interface Story {
  readonly name: string;
  readonly title: string;
  /** How it must end: the same words that `play` puts together from what it saw. */
  readonly expected: string;
  play(world: World, tell: Telling): Promise<string>;
}
