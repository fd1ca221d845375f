/** A policy drafted from what was really written; never applied by itself. */
import type { ReplayReport } from './replay.ts';

/** Body of `POST /v1/policies/suggest`. */
export interface SuggestBody {
  /** Ms since the epoch: proposals made at or after it. */
  readonly since: number;
  /** Only this agent's lines are drafted; the others stay as they are. */
  readonly agent?: string;
}

/** What was seen of one agent: what was let through, or would have been but for `mode: observe`. */
export interface SeenAgent {
  readonly agent: string;
  readonly writes: number;
  /** From the first to the last, in ms. */
  readonly spanMs: number;
  readonly records: { readonly p50: number; readonly p99: number; readonly max: number };
  /** What was denied meanwhile, by code: it is in no line of the draft. */
  readonly denied: readonly { readonly code: string; readonly proposals: number }[];
  /** Resources that a line cannot name, such as one with `*` in its name. */
  readonly unnamed: number;
}

export interface SuggestAnswer {
  /** The draft: the file in force with narrower permissions and further bounds, and `mode: active`. */
  readonly text: string;
  readonly agents: readonly SeenAgent[];
  /** The draft over the same proposals. */
  readonly replay: ReplayReport;
}
