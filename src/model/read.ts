/** Reads: questions of agents, which change nothing and are logged. */
import type { JsonObject } from '../lib/json.ts';
import type { DecisionCode, TargetCode } from './codes.ts';
import type { Next } from './result.ts';

/** The only operation of a read. */
export const QUERY_OPERATION = 'query';

/** Body of `POST /v1/reads`. */
export interface ReadBody {
  readonly target: string;
  readonly operation?: typeof QUERY_OPERATION;
  /** What the target takes; for `postgres` `statement` and `parameters`. */
  readonly arguments: JsonObject;
  readonly run?: string;
}

/** Why a read was refused: before the target was asked, or by it. */
export type ReadCode =
  | Extract<DecisionCode, 'unknown-target' | 'unknown-operation' | 'unknown-agent'>
  | TargetCode;

/** The answer to a read: a union on `state`, as the results of writes are. */
export type ReadResult =
  | {
      readonly state: 'read';
      readonly code: 'read';
      /** One sentence with the figures. */
      readonly reason: string;
      readonly next: Extract<Next, 'none'>;
      readonly columns: readonly { readonly name: string; readonly isMasked: boolean }[];
      /** In the target's text form; masked values are null. */
      readonly rows: readonly (readonly (string | null)[])[];
      /** What was read, `schema.table`. */
      readonly resources: readonly string[];
      readonly bytes: number;
      readonly retryAfterMs: null;
    }
  | {
      readonly state: 'refused';
      readonly code: ReadCode;
      readonly reason: string;
      readonly next: Next;
      /** The offending part of the statement, where there is one: UTF-16 offsets. */
      readonly span: { readonly from: number; readonly to: number } | null;
      readonly retryAfterMs: number | null;
    };

/** What is kept of a read: who, what and how much, and never a value. */
export interface ReadRecord {
  /** Ms since the epoch. */
  readonly at: number;
  readonly tenant: string;
  readonly agent: string;
  readonly credential: string;
  readonly environment: string;
  readonly run: string | null;
  readonly target: string;
  /** Of the arguments in canonical form: the same question has the same digest. */
  readonly argumentsDigest: string;
  readonly code: 'read' | ReadCode;
  readonly resources: readonly string[];
  readonly rows: number;
  readonly bytes: number;
  readonly durationMs: number;
}

/** Where reads are written down. */
export interface ReadLog {
  /** Resolves once the operating system has it. Throws where it cannot: then nothing is shown. */
  record(read: ReadRecord): Promise<void>;
}
