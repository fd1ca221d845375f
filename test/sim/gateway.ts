/** One gateway: a name that starts, crashes and starts again, each time as a process of its own. */
import { openGate, type OpenGate } from '../../src/gate.ts';
import { policiesAfter, recordPolicy } from '../../src/main/policy-log.ts';
import type { PolicyAuthor } from '../../src/model/entry.ts';
import type { Policy } from '../../src/model/policy.ts';
import type { Clock, Store, Target } from '../../src/model/ports.ts';
import { scoreOf } from '../../src/policy/stages/risk.ts';
import { Chance } from './chance.ts';
import { openConnector } from './connector.ts';
import type { Audit } from './invariants/audit.ts';
import { PARSED, weakeningsOf, type Variant } from './policies.ts';
import { simulatedClock, simulatedNotifier, simulatedRandom, simulatedStore } from './ports.ts';
import { credentialOf, TENANT } from './principals.ts';
import type { Caller, Scheduler, World } from './scheduler.ts';
import type { Shape } from './shape.ts';
import type { System } from './system.ts';

const AUTHOR: PolicyAuthor = { kind: 'person', name: 'pete', credential: credentialOf('pete') };

export interface GatewayParts {
  readonly seed: number;
  readonly world: World;
  readonly scheduler: Scheduler;
  readonly shape: Shape;
  readonly systems: readonly System[];
  readonly store: () => Store;
  readonly audit: Audit;
  /** What the configuration file says of writes. */
  readonly isStoppedByFile: () => boolean;
}

/** A call under way, of a client or of the gateway's own timers. */
export interface Running {
  readonly what: string;
  readonly caller: Caller;
}

export class Gateway {
  readonly name: string;
  readonly running = new Set<Running>();
  offsetMs = 0;
  #parts: GatewayParts;
  #starts = 0;
  #process: Process | null = null;

  constructor(name: string, parts: GatewayParts) {
    this.name = name;
    this.#parts = parts;
  }

  get process(): Process | null {
    return this.#process;
  }

  get isUp(): boolean {
    return this.#process?.gate !== undefined;
  }

  start(): void {
    this.#starts += 1;
    const caller = { name: `${this.name}${this.#starts}`, isAlive: true };
    this.#process = openProcess(this.#parts, this, caller);
  }

  crash(): void {
    const { process } = this;
    if (process === null) return;
    this.#parts.scheduler.crash(process.caller);
    for (const call of this.running) {
      if (call.caller === process.caller) this.running.delete(call);
    }
    this.#process = null;
  }
}

export interface Process {
  readonly caller: Caller;
  readonly store: Store;
  readonly clock: Clock;
  /** Undefined until it has read which policy is in force. */
  gate: OpenGate | undefined;
  /** Whether it is at work on getting up. */
  isStarting: boolean;
  /** What it decides by, and how far the ledger's own act was then. */
  inForce: { readonly variant: Variant; readonly step: number };
  /** Reads what is in force; what follows it is up to the caller. */
  boot(): Promise<void>;
  /** Brings another policy into force; where it is weaker a person lets it in. */
  bringIn(next: Variant): Promise<void>;
}

function openProcess(parts: GatewayParts, gateway: Gateway, caller: Caller): Process {
  const { name } = gateway;
  const { world, scheduler, shape, seed } = parts;
  const store = simulatedStore(scheduler, caller, parts.store, {
    fates: shape.fates,
    watch: parts.audit,
  });
  const clock = simulatedClock(world, scheduler, caller, () => gateway.offsetMs);
  const [first] = PARSED;
  if (first === undefined) throw new Error('there is a first policy');
  const process: Process = {
    caller,
    store,
    clock,
    gate: undefined,
    isStarting: false,
    inForce: { variant: first, step: 0 },
    boot: async () => {
      await follow();
      await store.endLeases(name);
      process.gate = open();
    },
    bringIn: async (next) => {
      const { variant, step } = process.inForce;
      const weakens = weakeningsOf(variant, next);
      world.coverage.reach('policy', weakens > 0 ? 'that is weaker' : 'that is not weaker');
      const how = weakens > 0 ? { weakens, by: AUTHOR } : {};
      const isRecorded = await recordPolicy(log, next.configuration, step, how);
      if (isRecorded) process.inForce = { variant: next, step: step + 1 };
    },
  };
  const log = { store, clock, tenant: TENANT };
  const follow = async (): Promise<void> => {
    const { step, found } = await policiesAfter(log, process.inForce.step);
    // What was read may be older than what was brought in meanwhile.
    if (step <= process.inForce.step) return;
    const digest = found.at(-1)?.digest;
    const known = PARSED.find(({ configuration }) => configuration.policy.digest === digest);
    process.inForce = { variant: known ?? process.inForce.variant, step };
  };
  const policyAt = async (step: number): Promise<Policy> => {
    if (process.inForce.step < step) await follow();
    return process.inForce.variant.configuration.policy;
  };
  const targets: readonly Target[] = parts.systems.map((system) =>
    openConnector({
      system,
      scheduler,
      caller,
      listener: parts.audit.heard,
      fates: shape.fates.target,
    }),
  );
  const open = (): OpenGate =>
    openGate(
      {
        store,
        clock,
        random: simulatedRandom(new Chance(seed, `random of ${caller.name}`)),
        notifier: simulatedNotifier(scheduler, caller, shape.fates.notifier),
        targets: {
          find: (asked) => targets.find((each) => each.name === asked),
          names: () => targets.map((each) => each.name),
        },
      },
      {
        holder: `${name}/${caller.name}`,
        policy: () => process.inForce.variant.configuration.policy,
        policyAt,
        score: scoreOf,
        links: { human: () => null },
        isStoppedByFile: parts.isStoppedByFile,
      },
    );
  return process;
}
