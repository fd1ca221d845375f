/**
 * The composition root: the only file that knows every concrete class.
 *
 * A gateway starts in this order, and each step leaves what the next start takes up again:
 * configuration, data folder and key, store, first entries, targets, what a crash left in doubt
 * (`tick`), published ledger; only then does it listen.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Surroundings } from './connectors/connector.ts';
import { CONNECTORS } from './connectors/index.ts';
import { openGate, type OpenGate } from './gate.ts';
import { openPast } from './gate/past.ts';
import { createPublisher, type Publisher } from './ledger/publish.ts';
import { Opened } from './main/closing.ts';
import { openCredentials } from './main/credentials.ts';
import { dependentsView } from './main/dependents.ts';
import { SWEEP_MS, sweepEvidence } from './main/evidence-sweep.ts';
import { removePlace, writePlace, type DataFolder } from './main/folder.ts';
import { openGround, type Ground, type GroundOptions } from './main/ground.ts';
import { openConfiguration, type ConfigurationInForce } from './main/in-force.ts';
import { judgedInFile } from './main/judged.ts';
import { listen } from './main/listen.ts';
import { provideOperator } from './main/operator.ts';
import { readLine } from './main/read-line.ts';
import { operationsOf, resourcesOf } from './main/operations.ts';
import { keepSwitch, type EmergencySwitch } from './main/switch.ts';
import { openPolicies } from './main/policies.ts';
import {
  exporterFor,
  openSignals,
  type Level,
  type LogEvent,
  type Signals,
} from './main/signals.ts';
import { keepTargets, TARGETS_ASKED_MS, type TargetsInView } from './main/targets.ts';
import { takeTurns } from './main/turns.ts';
import { VERSION } from './main/version.ts';
import type { GatewayStatus } from './model/api.ts';
import type { TenantId } from './model/ids.ts';
import { LEASE_MS } from './model/lease.ts';
import type { Configuration } from './model/policy.ts';
import type { Clock, Notifier, Store, Target } from './model/ports.ts';
import { Problem } from './model/problem.ts';
import type { ReadLog } from './model/read.ts';
import { scoreOf } from './policy/stages/risk.ts';
import { openApp } from './server/app.ts';
import type { Log } from './server/problem.ts';
import { openEvidenceFiles, type EvidenceFolder } from './store/evidence-files.ts';
import { openReadLog } from './store/read-log.ts';
import type { UploadStore } from './store/uploads.ts';
import { openFolderUploads } from './store/uploads-folder.ts';

/** How often what waits is expired, what is in doubt is asked after, and the file is looked at. */
const TICK_MS = 1_000;
/** Twice a lease may be renewed too late before it runs out. */
const RENEW_MS = LEASE_MS / 3;
/** How long a grown ledger stays unpublished, at most. */
const PUBLISH_MS = 500;

export interface GatewayOptions extends GroundOptions {
  /** In place of what the file says under `listen`. */
  readonly host?: string;
  readonly port?: number;
  /** The environment variables that targets may name. */
  readonly environment: (name: string) => string | undefined;
  /** Lines for the operator; `cause` is for a log, not for a caller. */
  readonly log: Log;
  /** Told of each ledger entry once it is durable, in members that no agent wrote; must not throw. */
  readonly onEvent?: (event: LogEvent) => void;
}

/** A gateway that listens. */
export interface Gateway {
  readonly url: string;
  readonly vkey: string;
  readonly folder: DataFolder;
  readonly configuration: ConfigurationInForce;
  readonly gate: OpenGate;
  /** The targets, with why one cannot be used. */
  readonly targets: () => GatewayStatus['targets'];
  /** Whether the configuration file stops all writes. */
  readonly isStoppedByFile: () => boolean;
  /** Looks at the configuration file now: its switch first, then the rest. */
  reload(): Promise<void>;
  /** Publishes what the ledger grew by, now. */
  publish(): Promise<void>;
  /** Takes no more calls, finishes what is being carried out, publishes, lets go; idempotent. */
  close(): Promise<void>;
}

/**
 * Opens a gateway and returns once it answers. Problems: `configuration-…`, `store-…`,
 * `ledger-inconsistent`, `target-misconfigured`. What was opened is closed again on a problem.
 */
export async function openGateway(options: GatewayOptions): Promise<Gateway> {
  const opened = new Opened();
  try {
    return await startGateway(options, opened);
  } catch (error) {
    // The first error says more than what it leads to.
    await opened.close().catch((cause: unknown) => options.log('closing went wrong too', cause));
    throw error;
  }
}

async function startGateway(options: GatewayOptions, opened: Opened): Promise<Gateway> {
  const { log } = options;
  const bare = await openGround(options);
  const { folder, signer, clock, random } = bare;
  opened.add(() => bare.store.close());
  const signals = openSignals({
    version: VERSION,
    agents: () => configuration.current().policy.agents.keys(),
    exporter: await exporterFor(options.environment),
    level: () => levelOf(ground, configuration, inView),
    onEvent: options.onEvent ?? null,
  });
  opened.add(() => signals.close());
  const store = signals.store(bare.store);
  const ground = { ...bare, store };
  const configuration = await openConfiguration(
    {
      ...ground,
      path: options.configPath,
      judged: judgedInFile(folder.judged),
      onChange: (line) => log(line, undefined),
    },
    ground.configuration,
  );
  const first = configuration.current();
  const { evidence, reads } = await openFiles(ground, options, opened);
  const uploads = openFolderUploads(folder.uploads, clock);
  const surroundings = { evidence, uploads, clock, log };
  const targets = await openTargets(first, options, surroundings, { opened, signals });
  const inView = keepTargets(ground, targets, log);
  const publisher = await openPublisher(ground);
  opened.add(() => publisher.publish());
  await configuration.begin();
  await provideOperator({ ...ground, configuration: configuration.current() }, false);

  const find = (name: string): Target | undefined => targets.get(name);
  const targetsPort = { find, names: () => [...targets.keys()] };
  const gate = signals.gate(
    openGate(
      {
        store,
        targets: targetsPort,
        clock,
        random,
        notifier: SILENT,
        evidence,
        reads,
      },
      {
        holder: bare.gateway.holder,
        policy: () => configuration.current().policy,
        policyAt: (logStep) => configuration.policyAt(logStep),
        score: scoreOf,
        links: { human: () => null },
        isStoppedByFile: () => emergency.isOff(),
      },
    ),
  );
  // Let go of after the drain: what is being carried out is held on to up to its end.
  opened.add(keepRenewing(ground, gate, log));
  opened.add(() => gate.drain());
  const emergency = keepSwitch({
    path: options.configPath,
    tenant: ground.tenant,
    gateway: bare.gateway.id,
    obey: (file) => gate.obeySwitch(file),
    onChange: (line) => log(line, undefined),
  });
  // Before anything that a crash left is taken up: that too is a write.
  await emergency.look();
  await store.endLeases(bare.gateway.id);
  await gate.tick();
  await inView.look();
  await publisher.publish();

  const startedAt = clock.now();
  const app = openApp({
    gate,
    past: openPast(
      { ...ground, targets: targetsPort, pause: nextTurn },
      { configuration: () => configuration.current(), score: scoreOf },
    ),
    credentials: openCredentials({
      ...ground,
      configuration: () => configuration.current(),
      follow: () => configuration.follow(),
    }),
    policies: openPolicies(ground, configuration),
    operations: () => operationsOf(targets),
    resources: () => resourcesOf(targets),
    status: () => statusOf(ground, configuration, inView, startedAt),
    ledgerFolder: folder.ledger,
    allowedHosts: first.allowedHosts,
    uploads,
    metrics: () => signals.metrics(),
    dependents: (asked) => dependentsView(targets, configuration.current().policy, asked),
    version: VERSION,
    log,
  });
  opened.add(() => app.close());
  const url = await listen(app, { ...first.listen, ...listenOptions(options) });
  await writePlace(folder, { url, pid: process.pid, startedAt });
  opened.add(() => removePlace(folder));
  const kept = { evidence, uploads };
  const turning = { ...ground, ...kept, log, gate, configuration, emergency, publisher, inView };
  opened.add(keepTurning(turning));

  return {
    url,
    vkey: signer.vkey,
    folder,
    configuration,
    gate,
    targets: inView.current,
    isStoppedByFile: emergency.isOff,
    reload: async () => {
      await emergency.look();
      await configuration.reload();
    },
    publish: async () => void (await publisher.publish()),
    close: () => opened.close(),
  };
}

function openPublisher({ folder, signer, store, tenant }: Ground): Promise<Publisher> {
  return createPublisher({
    folder: folder.ledger,
    signer,
    source: {
      tree: () => store.tree(tenant),
      entries: async (from, limit) => {
        // A long publication stands in nobody's way: between two reads the process answers others.
        await nextTurn();
        return store.entries(tenant, from, limit);
      },
    },
  });
}

async function statusOf(
  { signer, store, tenant }: Ground,
  configuration: ConfigurationInForce,
  inView: TargetsInView,
  startedAt: number,
): Promise<GatewayStatus> {
  const { policy } = configuration.current();
  return {
    name: 'writegate',
    version: VERSION,
    policyDigest: policy.digest,
    policyProblem: configuration.problem(),
    mode: policy.mode,
    ledger: { origin: signer.name, vkey: signer.vkey, size: (await store.tree(tenant)).size },
    targets: inView.current(),
    startedAt,
  };
}

async function levelOf(
  { store, tenant, clock }: Ground,
  configuration: ConfigurationInForce,
  inView: TargetsInView,
): Promise<Level> {
  const freezes = await store.freezes(tenant, clock.now());
  return {
    waiting: await store.countInStates(tenant, ['waiting']),
    stops: freezes.filter(({ releasedAt }) => releasedAt === null).length,
    ledgerSize: (await store.tree(tenant)).size,
    isPolicyStale: configuration.problem() !== null,
    targets: inView.current(),
  };
}

/** People are told by the inbox alone. */
const SILENT: Notifier = { waiting: () => Promise.resolve() };

/** What is kept in files beside the store. */
async function openFiles(
  { folder, clock }: Ground,
  { log }: GatewayOptions,
  opened: Opened,
): Promise<{ readonly evidence: EvidenceFolder; readonly reads: ReadLog }> {
  const evidence = await openEvidenceFiles({
    folder: folder.evidence,
    keyPath: folder.evidenceKey,
    now: () => clock.now(),
  });
  const reads = await openReadLog({ path: folder.reads });
  opened.add(() => reads.close());
  return {
    evidence,
    reads: {
      record: async (read) => {
        await reads.record(read);
        log(readLine(read), undefined);
      },
    },
  };
}

async function openTargets(
  { targets }: Configuration,
  { environment }: GatewayOptions,
  surroundings: Surroundings,
  { opened, signals }: { readonly opened: Opened; readonly signals: Signals },
): Promise<ReadonlyMap<string, Target>> {
  const map = new Map<string, Target>();
  for (const { name, kind, settings } of targets) {
    const connector = CONNECTORS.find((each) => each.kind === kind);
    if (connector === undefined) {
      const kinds = CONNECTORS.map((each) => `\`${each.kind}\``).join(', ');
      throw new Problem(
        'configuration-invalid',
        `expected one of ${kinds} as kind of target \`${name}\`, found \`${kind}\``,
        { at: `/targets/${name}/kind` },
      );
    }
    const target = await connector.open(name, settings, environment, surroundings);
    opened.add(() => target.close());
    map.set(name, signals.target(target));
  }
  return map;
}

function listenOptions({ host, port }: GatewayOptions): { host?: string; port?: number } {
  return { ...(host !== undefined && { host }), ...(port !== undefined && { port }) };
}

/** Holds on to the leases of what is carried out; what it returns ends that. */
function keepRenewing({ clock }: Ground, gate: OpenGate, log: Log): () => Promise<void> {
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
function keepTurning(gateway: {
  readonly clock: Clock;
  readonly store: Store;
  readonly tenant: TenantId;
  readonly evidence: EvidenceFolder;
  readonly uploads: UploadStore;
  readonly log: Log;
  readonly gate: OpenGate;
  readonly configuration: ConfigurationInForce;
  readonly emergency: EmergencySwitch;
  readonly publisher: Publisher;
  readonly inView: TargetsInView;
}): () => Promise<void> {
  const { clock, log, gate, configuration, emergency, publisher, inView } = gateway;
  const stop = new AbortController();
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
    turns('reading the configuration', TICK_MS, () => configuration.reload()),
    turns('asking the targets', TARGETS_ASKED_MS, () => inView.look()),
    turns('publishing the ledger', PUBLISH_MS, () => publisher.publish()),
    turns('removing old evidence', SWEEP_MS, () => sweepEvidence(gateway)),
    turns('removing old uploads', SWEEP_MS, () => gateway.uploads.sweep()),
  ];
  return async () => {
    stop.abort();
    await Promise.all(all);
  };
}
