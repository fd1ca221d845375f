/** Which evidence is kept, and for how long: by the fate of the proposal that it was written for. */
import { isPastKeeping } from '../model/evidence.ts';
import type { EvidenceId } from '../model/ids.ts';
import { isTerminal } from '../model/lifecycle.ts';
import type { Clock, Store } from '../model/ports.ts';
import type { Proposal } from '../model/proposal.ts';
import type { TenantId } from '../model/ids.ts';
import type { EvidenceFile, EvidenceFolder } from '../store/evidence-files.ts';

/** How often the folder is looked through. */
export const SWEEP_MS: number = 10 * 60_000;

/** A file may be finished before its proposal is committed; longer than any preview takes. */
const GRACE_MS: number = 60 * 60_000;

export interface SweepPorts {
  readonly store: Pick<Store, 'proposal'>;
  readonly clock: Clock;
  readonly tenant: TenantId;
  readonly evidence: EvidenceFolder;
}

/**
 * Removes what nobody can come back for: evidence of proposals that ended without being applied,
 * of plans that were measured anew, and of writes applied longer ago than `EVIDENCE_DAYS`. Returns
 * how many. A crash here leaves the rest for the next time.
 */
export async function sweepEvidence(ports: SweepPorts): Promise<number> {
  const now = ports.clock.now();
  await ports.evidence.removeUnfinished(now - GRACE_MS);
  let removed = 0;
  for (const file of await ports.evidence.list()) {
    if (now - file.createdAt < GRACE_MS) continue;
    if (!(await isOver(ports, file, now))) continue;
    await ports.evidence.remove(file.id);
    removed += 1;
  }
  return removed;
}

async function isOver(ports: SweepPorts, file: EvidenceFile, now: number): Promise<boolean> {
  const { owner, id, createdAt } = file;
  const isOld = isPastKeeping(createdAt, now);
  // Whose it is was not said: then its age alone decides.
  if (owner === null) return isOld;
  const proposal = await ports.store.proposal(ports.tenant, owner);
  if (proposal === undefined) return true;
  // While its end is open, a file that looks left over may be the one of an attempt in doubt.
  if (!isTerminal(proposal.state)) return false;
  if (proposal.state !== 'applied') return true;
  return !evidenceOf(proposal).includes(id) || isOld;
}

/** The evidence that a rollback of the proposal would take; a person's word has no segments. */
function evidenceOf({ outcome, assessment }: Proposal): readonly EvidenceId[] {
  const segments = assessment?.plan.segments?.map(
    ({ plan }, index) => outcome?.segments?.[index]?.evidence ?? plan.evidence,
  );
  const whole = outcome?.evidence ?? assessment?.plan.evidence;
  return (segments ?? [whole]).flatMap((each) => each?.id ?? []);
}
