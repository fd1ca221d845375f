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
import { removePlace, writePlace, type DataFolder } from './main/folder.ts';
import { openGround, type Ground, type GroundOptions } from './main/ground.ts';
import { openConfiguration, type ConfigurationInForce } from './main/in-force.ts';
import { judgedInFile } from './main/judged.ts';
import { openEvidenceKey } from './main/keys.ts';
import { FINISH_MS, finishCalls, letGo } from './main/finish.ts';
import { listen } from './main/listen.ts';
import { provideOperator } from './main/operator.ts';
import { readLine } from './main/read-line.ts';
import { operationsOf, resourcesOf } from './main/operations.ts';
import { keepSwitch } from './main/switch.ts';
import { openedParts } from './main/opened-parts.ts';
import { openPolicies } from './main/policies.ts';
import { enter, type Presence } from './main/presence.ts';
import {
  exporterFor,
  openSignals,
  type Level,
  type LogEvent,
  type Signals,
} from './main/signals.ts';
import { keepTargets, type TargetsInView } from './main/targets.ts';
import type { Storage } from './main/storage.ts';
import { keepRenewing, keepTurning } from './main/turning.ts';
import { VERSION } from './main/version.ts';
import type { GatewayStatus } from './model/api.ts';
import type { Freeze } from './model/freeze.ts';
import type { Configuration } from './model/policy.ts';
import type { Clock, Notifier, Target } from './model/ports.ts';
import { Problem } from './model/problem.ts';
import type { ReadLog } from './model/read.ts';
import { scoreOf } from './policy/stages/risk.ts';
import { openApp } from './server/app.ts';
import type { Log } from './server/problem.ts';
import { evidenceIn, type EvidenceFolder } from './store/evidence-files.ts';
import { openReadLog } from './store/read-log.ts';
import type { SeenGateway } from './store/shared.ts';

export interface GatewayOptions extends GroundOptions {
  /** In place of what the file says under `listen`. */
  readonly host?: string;
  readonly port?: number;
  /** The environment variables that targets may name. */
  readonly environment: (name: string) => string | undefined;
  /** Lines for the operator; `cause` is for a log, not for a caller. */
  readonly log: Log;
  /**
   * How long calls are still taken after `close`, in ms, while `/v1/readyz` tells load balancers to
   * send no more; absent: not at all.
   */
  readonly shutdownDelayMs?: number;
  /** How long what was begun is waited for then, in ms; absent: 20 s. */
  readonly finishMs?: number;
  /** Told of each ledger entry once it is durable, in members that no agent wrote; must not throw. */
  readonly onEvent?: (event: LogEvent) => void;
}

/** A gateway that listens. */
export interface Gateway {
  readonly url: string;
  readonly vkey: string;
  readonly folder: DataFolder;
  /** Which store it works on, for people. */
  readonly store: Pick<Storage, 'kind' | 'where'>;
  /** This gateway and the others over its store, as they were seen within the last seconds. */
  readonly gateways: () => readonly SeenGateway[];
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
  /**
   * Takes no more calls, after `shutdownDelayMs`, finishes what is being carried out, publishes, lets go; idempotent. What is not
   * finished in time is said to the log and left to the next start: end the process then.
   */
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
  opened.add(() => bare.storage.close());
  const presence = await enter({ ...bare, shared: bare.storage.shared, log });
  opened.add(() => presence.leave());
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
  const { uploads } = bare.storage;
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
        isStoppedByFile: (freeze) => isStoppedByFile(freeze),
      },
    ),
  );
  opened.add(() => gate.leaveAll());
  // Let go of after the drain: what is being carried out is held on to up to its end.
  opened.add(keepRenewing(ground, gate, log));
  const emergency = keepSwitch({
    path: options.configPath,
    tenant: ground.tenant,
    gateway: bare.gateway.id,
    obey: (file) => gate.obeySwitch(file),
    onChange: (line) => log(line, undefined),
  });
  const isStoppedByFile = ({ by, voices = [] }: Freeze): boolean => {
    if (by === bare.gateway.id) return emergency.isOff();
    // Another's file: it speaks for itself, while its gateway is there.
    return presence.isThere(by) && !voices.some(({ source }) => source === 'file');
  };
  // Before anything that a crash left is taken up: that too is a write.
  await emergency.look();
  await store.endLeases(bare.gateway.id);
  await gate.tick();
  await inView.look();
  await publisher.publish();

  const startedAt = clock.now();
  const leaving = new AbortController();
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
    status: () => statusOf({ ...ground, presence }, configuration, inView, startedAt),
    ledgerFolder: folder.ledger,
    allowedHosts: first.allowedHosts,
    uploads,
    metrics: () => signals.metrics(),
    dependents: (asked) => dependentsView(targets, configuration.current().policy, asked),
    version: VERSION,
    log,
    leaving: leaving.signal,
  });
  opened.add(() => app.close());
  const url = await listen(app, { ...first.listen, ...listenOptions(options) });
  await presence.answersAt(url, openedParts(first));
  await writePlace(folder, { url, pid: process.pid, startedAt });
  opened.add(() => removePlace(folder));
  const kept = { evidence, uploads, shared: bare.storage.shared, presence };
  const turning = { ...ground, ...kept, log, gate, configuration, emergency, publisher, inView };
  const endTurning = keepTurning(turning);
  const { finishMs = FINISH_MS, shutdownDelayMs = 0 } = options;
  opened.add(() => finishCalls({ clock, log, gate, app, endTurning, finishMs }));
  opened.add(async () => {
    leaving.abort();
    if (shutdownDelayMs > 0) await clock.sleep(shutdownDelayMs);
  });

  return {
    url,
    vkey: signer.vkey,
    folder,
    store: { kind: bare.storage.kind, where: bare.storage.where },
    gateways: presence.gateways,
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
  { signer, store, storage, tenant, gateway, presence }: Ground & { readonly presence: Presence },
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
    store: storage.kind,
    gateway: gateway.id,
    gateways: presence.gateways().map((each) => ({
      name: each.id,
      version: each.version,
      startedAt: each.startedAt,
      differs: presence.differs(each),
    })),
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

/** What is kept beside the state. */
async function openFiles(
  ground: Ground,
  { log }: GatewayOptions,
  opened: Opened,
): Promise<{ readonly evidence: EvidenceFolder; readonly reads: ReadLog }> {
  const { folder, clock, storage } = ground;
  const { evidence: blobs, shared, where } = storage;
  const hasFiles = async (): Promise<boolean> => (await blobs.list(0)).length > 0;
  const key = await openEvidenceKey({ ...ground, shared, where }, hasFiles);
  const evidence = evidenceIn(blobs, key, () => clock.now());
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
  surroundings: Surroundings & { readonly clock: Clock },
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
    opened.add(() => letGo(surroundings.clock, () => target.close()));
    map.set(name, signals.target(target));
  }
  return map;
}

function listenOptions({ host, port }: GatewayOptions): { host?: string; port?: number } {
  return { ...(host !== undefined && { host }), ...(port !== undefined && { port }) };
}
