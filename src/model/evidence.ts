/** How long images are kept beside the store, and what is said of a file that is not there. */
import { madeAt, type EvidenceId } from './ids.ts';

/** How long the images of an applied write are kept, and so how long it can be rolled back. */
export const EVIDENCE_DAYS = 30;

const DAY_MS = 86_400_000;

/** Reports whether the time of a file that was made then is over; both in ms since the epoch. */
export function isPastKeeping(createdAt: number, now: number): boolean {
  return now - createdAt >= EVIDENCE_DAYS * DAY_MS;
}

/** Why the file of an applied write is not there: its time is over, or somebody took it away. */
export function whyMissing(id: EvidenceId, now: number): string {
  return isPastKeeping(madeAt(id), now)
    ? `their images were removed, as images are kept for ${EVIDENCE_DAYS} days`
    : `their images should be in the evidence file \`${id}\`, which is missing before its ${EVIDENCE_DAYS} days are over; put it back into \`evidence/\` of the data folder from your copy`;
}
