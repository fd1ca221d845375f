/** What carrying out a write gives back, whichever lane measured it. */
import type { Digest } from '../../../lib/canonical.ts';
import type { ProposalId, WriteKey } from '../../../model/ids.ts';
import type { Effect, EvidenceReference, Plan } from '../../../model/plan.ts';
import type { EvidenceFiles, PlanCheck, PlanRequest } from '../../../model/ports.ts';
import type { Callers } from '../catalog/callers.ts';
import type { Measured } from '../../amounts.ts';
import type { LearntMasks } from './learn.ts';
import type { Parser } from '../text/parse.ts';
import type { Receipts } from '../session/receipts.ts';
import type { StatementWrite } from './write.ts';
import type { Session, Sessions } from '../session/session.ts';
import type { PostgresSettings } from '../settings.ts';
import type { Witnesses } from '../session/snapshot.ts';

/** What one target has, for all its writes. */
export interface Surroundings {
  readonly sessions: Sessions;
  readonly settings: PostgresSettings;
  readonly receipts: Receipts;
  /** Connections that see the database as it was when a write began. */
  readonly witnesses: Witnesses;
  readonly learnt: LearntMasks;
  /** What is told of functions that depend on tables. */
  readonly callers: Callers;
  /** Where images go that are too many for a plan; undefined: they are not kept. */
  readonly evidence: EvidenceFiles | undefined;
}

/** What a lane may use. */
export interface CarryContext extends Surroundings {
  readonly permits: PlanRequest['permits'];
  readonly recordsMax: number | undefined;
  /** What is asked once the write was measured; the parser is there to judge it. */
  readonly checks: readonly PlanCheck[];
  readonly parser: Pick<Parser, 'parseRead'>;
  /** What the arguments state of the value; null where none of them is an amount. */
  readonly stated: Measured | null;
  /** Whose evidence it is. */
  readonly owner: ProposalId | undefined;
}

/** How a lane opens its transaction. */
export interface Opening {
  /** The receipt that goes first; null for a preview. The digest is null where it is not known yet. */
  readonly receipt: { readonly key: WriteKey; readonly planDigest: Digest | null } | null;
  /** Whether the plan is the one that was agreed to: then nobody reads a proof, and none is made. */
  readonly isAgreed?: (plan: Plan) => boolean;
}

/** A write that was carried out and measured; its transaction is open on the session. */
export interface Carried {
  readonly plan: Plan;
  /** The kept effects with the real values of masked columns; null where no column is masked. */
  readonly filled: readonly Effect[] | null;
  /** As `plan.evidence`, with the real values of masked columns; null where `filled` is whole. */
  readonly filledEvidence: EvidenceReference | null;
  /** The transaction's id; null where nothing was written. */
  readonly transaction: string | null;
}

/**
 * The fast lane: null where the table is not sealed or the statement not plain, and then no
 * transaction is open. Throws `Refused` and server errors with the transaction open or broken.
 */
export type SealedLane = (
  session: Session,
  write: StatementWrite,
  opening: Opening,
  context: CarryContext,
) => Promise<Carried | 'earlier' | null>;
