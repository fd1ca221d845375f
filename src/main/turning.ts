/** What a gateway does by itself, again and again. */
import type { OpenGate } from '../gate.ts';
import type { Publisher } from '../ledger/publish.ts';
import type { TenantId } from '../model/ids.ts';
import { LEASE_MS } from '../model/lease.ts';
import type { Clock, Store } from '../model/ports.ts';
import type { Log } from '../server/problem.ts';
import type { EvidenceFolder } from '../store/evidence-files.ts';
import { BEAT_MS, type Shared } from '../store/shared.ts';
import type { UploadStore } from '../store/uploads.ts';
import { watchClock } from './clock-watch.ts';
import { SWEEP_MS, sweepEvidence } from './evidence-sweep.ts';
import type { ConfigurationInForce } from './in-force.ts';
import type { Presence } from './presence.ts';
import type { EmergencySwitch } from './switch.ts';
import { TARGETS_ASKED_MS, type TargetsInView } from './targets.ts';
import { takeTurns } from './turns.ts';

/** How often what waits is expired, what is in doubt is asked after, and the file is looked at. */
const TICK_MS = 1_000;
/** Twice a lease may be renewed too late before it runs out. */
const RENEW_MS = LEASE_MS / 3;
/** How long a grown ledger stays unpublished, at most. */
const PUBLISH_MS = 500;

export interface Turning {
  readonly clock: Clock;
  readonly store: Store;
  readonly tenant: TenantId;
  readonly shared: Shared;
  readonly evidence: EvidenceFolder;
  readonly uploads: UploadStore;
  readonly log: Log;
  readonly gate: OpenGate;
  readonly configuration: ConfigurationInForce;
  readonly emergency: EmergencySwitch;
  readonly publisher: Publisher;
  readonly inView: TargetsInView;
  readonly presence: Presence;
}

/** Holds on to the leases of what is carried out; what it returns ends that. */
export function keepRenewing(
  { clock }: Pick<Turning, 'clock'>,
  gate: Pick<OpenGate, 'renew'>,
  log: Log,
): () => Promise<void> {
  const stop = new AbortController();
  const onError = (error: unknown): void =>
    log('what is carried out could not be held on to; it is tried again', error);
  const turns = takeTurns({ clock, intervalMs: RENEW_MS, stop: stop.signal, onError }, () =>
    gate.renew(),
  );
  return () => {
    stop.abort();
    return turns;
  };
}

/** Starts the timers; what it returns ends them and waits for their last turns. */
export function keepTurning(gateway: Turning): () => Promise<void> {
  const { clock, log, gate, configuration, emergency, publisher, inView, presence } = gateway;
  const stop = new AbortController();
  const compareClocks = watchClock(gateway);
  const turns = (name: string, intervalMs: number, turn: () => Promise<unknown>): Promise<void> =>
    takeTurns(
      {
        clock,
        intervalMs,
        stop: stop.signal,
        onError: (error) => log(`${name} did not go through; it is tried again`, error),
      },
      async () => void (await turn()),
    );
  const all = [
    turns('reconciliation', TICK_MS, () => gate.tick()),
    turns('looking at the emergency switch', TICK_MS, () => emergency.look()),
    turns('following policy and configuration', TICK_MS, () => configuration.reload()),
    turns('asking the targets', TARGETS_ASKED_MS, () => inView.look()),
    turns('publishing the ledger', PUBLISH_MS, () => publisher.publish()),
    turns('saying that it is there', BEAT_MS, () => presence.beat()),
    turns('comparing clocks', BEAT_MS, compareClocks),
    turns('removing old evidence', SWEEP_MS, () =>
      inRound(gateway, 'evidence', () => sweepEvidence(gateway)),
    ),
    turns('removing old uploads', SWEEP_MS, () =>
      inRound(gateway, 'uploads', () => gateway.uploads.sweep()),
    ),
  ];
  return async () => {
    stop.abort();
    await Promise.all(all);
  };
}

/** Of several gateways one goes through what is old; the timers of none are to the millisecond. */
async function inRound(
  { shared }: Turning,
  name: string,
  work: () => Promise<unknown>,
): Promise<void> {
  if (await shared.takeRound(name, SWEEP_MS / 2)) await work();
}
