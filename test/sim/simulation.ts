/** One seed, from the first call to the last. */
import { createSequencer } from '../../src/ledger/sequencer.ts';
import { LEASE_MS } from '../../src/model/lease.ts';
import type { Store } from '../../src/model/ports.ts';
import { Problem } from '../../src/model/problem.ts';
import { Aims } from './aims.ts';
import { Chance } from './chance.ts';
import { checkCheckpoint, checkpoint, SIGNER } from './checkpoints.ts';
import { Coverage } from './coverage.ts';
import { Gateway, type Process, type Running } from './gateway.ts';
import { Audit } from './invariants/audit.ts';
import { Violation } from './invariants/violation.ts';
import { PARSED, TARGETS } from './policies.ts';
import { simulatedRandom, simulatedSigner } from './ports.ts';
import { TENANT } from './principals.ts';
import { Scheduler, settled, type Caller, type World } from './scheduler.ts';
import { shapeOf, type Narrowing, type Shape, type StepKind } from './shape.ts';
import { openStore, type OpenStore } from './store.ts';
import { System } from './system.ts';
import { Trace } from './trace.ts';
import { Workload, type Operation } from './workload.ts';

const START = Date.UTC(2026, 0, 1);
/** How far a clock may be off. */
const OFF_MS_MAX = 9_000_000;
/** A run that takes more steps goes round in a circle. */
const STEPS_MAX = 6_000;

export interface Outcome {
  readonly seed: number;
  readonly hash: string;
  readonly steps: number;
  readonly violation: Violation | null;
  readonly trace: Trace;
  readonly coverage: Coverage;
}

export class Simulation {
  readonly world: World;
  readonly shape: Shape;
  readonly scheduler: Scheduler;
  readonly systems: readonly System[];
  readonly gateways: readonly Gateway[];
  readonly audit: Audit;
  readonly workload: Workload;
  readonly chance: Chance;
  #store: OpenStore | undefined;
  readonly seed: number;
  isStoppedByFile = false;
  areClocksRight = true;
  steps = 0;
  #begun = 0;

  constructor(seed: number, narrowing: Narrowing) {
    this.seed = seed;
    this.chance = new Chance(seed, 'world');
    this.shape = shapeOf(new Chance(seed, 'shape'), TARGETS, narrowing);
    const coverage = new Coverage();
    const world = {
      chance: this.chance,
      trace: new Trace(),
      coverage,
      now: START,
      hasFaults: true,
      leaseMs: LEASE_MS,
      aims: new Aims(new Chance(seed, 'aims'), this.shape.aims),
      crash: (caller: Caller) => this.#crash(caller),
    };
    this.world = world;
    this.scheduler = new Scheduler(world);
    const ports = {
      now: () => world.now,
      isBusy: () => world.hasFaults && this.chance.hits(this.shape.busy),
    };
    const rows = new Map([
      ['a', '1'],
      ['b', '2'],
    ]);
    this.systems = this.shape.targets.map(
      ({ name, nature }) => new System(name, nature, rows, ports),
    );
    this.audit = new Audit({
      systems: this.systems,
      store: () => this.present,
      coverage,
      now: () => world.now,
    });
    const parts = {
      seed,
      world,
      scheduler: this.scheduler,
      shape: this.shape,
      systems: this.systems,
      store: () => this.present,
      audit: this.audit,
      isStoppedByFile: () => this.isStoppedByFile,
    };
    const names = ['A', 'B'].slice(0, this.shape.gateways);
    this.gateways = names.map((name) => new Gateway(name, parts));
    this.workload = new Workload({
      chance: this.chance,
      shape: this.shape,
      model: this.audit.model,
      lookedAt: (act) => this.audit.lookedAt(act, this.scheduler),
    });
  }

  get present(): Store {
    if (this.#store === undefined) throw new Error('the store is not open yet');
    return this.#store.present;
  }

  // ---- with faults

  async play(): Promise<void> {
    await this.#found();
    for (const gateway of this.gateways) this.start(gateway);
    while (this.#begun < this.shape.operations || this.isBusy) await this.#step();
    // What is open is looked into while there still are faults.
    for (let step = 0; step < this.shape.stepsAfter || this.isBusy; step += 1) await this.#step();
  }

  /** What stands in the ledger before the first gateway starts. */
  async #found(): Promise<void> {
    this.#store = await openStore({
      sequencer: createSequencer({ gateway: { id: 'sim' } }),
      random: simulatedRandom(new Chance(this.seed, 'store')),
      now: () => this.world.now,
    });
    const first = PARSED[this.shape.policy];
    if (first === undefined) throw new Error('there is a first policy');
    const { policy, text } = first.configuration;
    const { digest, mode } = policy;
    await this.present.commit({
      tenant: TENANT,
      at: this.world.now,
      acts: [
        {
          act: 'log',
          expectStep: 0,
          entries: [
            { type: 'genesis', origin: 'writegate.local/acme' },
            { type: 'policy', digest, mode, text },
          ],
        },
      ],
    });
    await this.audit.check();
  }

  /** Whether something is neither ended nor waits for people. */
  get #isOpen(): boolean {
    const acts = [...this.audit.model.acts.values()];
    return acts.some(({ state }) => ['executing', 'in_doubt', 'stale'].includes(state));
  }

  get isBusy(): boolean {
    return this.gateways.some(({ running }) => running.size > 0);
  }

  async #step(): Promise<void> {
    const { chance, shape, scheduler } = this;
    const running = this.gateways.reduce((sum, each) => sum + each.running.size, 0);
    const canBegin = this.#begun < shape.operations && running < shape.concurrency;
    const { steps } = shape;
    const ready = scheduler.ready;
    const kind = chance.weighted<StepKind | 'call' | 'restart'>([
      [ready > 0 ? 10 : 0, 'call'],
      [canBegin ? steps.begin : 0, 'begin'],
      [ready > 0 ? steps.time : 3, 'time'],
      [this.#isOpen ? 4 * steps.tick : steps.tick, 'tick'],
      [running > 0 ? steps.renew : 0, 'renew'],
      [scheduler.strays.length > 0 ? steps.land : 0, 'land'],
      [steps.drift, 'drift'],
      [this.gateways.some(({ process }) => process !== null) ? steps.crash : 0, 'crash'],
      [this.gateways.some(({ isUp }) => !isUp) ? 3 : 0, 'restart'],
      [steps.skew, 'skew'],
      [steps.checkpoint, 'checkpoint'],
    ]);
    await this.take(kind);
    await this.settle();
  }

  /** Lets everything run until it waits for something, then looks whether all is as it must be. */
  async settle(): Promise<void> {
    this.steps += 1;
    this.world.now += 1;
    await settled();
    await this.audit.check();
    if (this.steps > STEPS_MAX) throw new Violation('L1', `${STEPS_MAX} steps, and no end`);
  }

  async take(kind: StepKind | 'call' | 'restart'): Promise<void> {
    const { chance, scheduler } = this;
    switch (kind) {
      case 'call':
        await scheduler.step();
        return;
      case 'begin':
        return this.#begin();
      case 'time':
        return this.pass(
          chance.weighted([
            [12, chance.between(1, 300)],
            [5, chance.between(1_000, 20_000)],
            [2, chance.between(30_000, 90_000)],
            [1, chance.between(120_000, 3_000_000)],
          ]),
        );
      case 'tick':
        return this.tick(chance.pick(this.gateways));
      case 'renew':
        return this.renew(chance.pick(this.gateways));
      case 'land':
        await scheduler.land();
        return;
      case 'drift':
        return this.#drift();
      case 'crash':
        return this.#crash(chance.pick(this.gateways).process?.caller);
      case 'restart':
        return this.start(chance.pick(this.gateways));
      case 'skew':
        return this.#skew(chance.pick(this.gateways));
      case 'checkpoint':
        return this.checkpoint(chance.pick(this.gateways));
    }
  }

  pass(ms: number): void {
    this.world.now += ms;
    this.world.trace.add(`. ${ms} ms pass`);
    this.world.coverage.reach('step', 'time');
  }

  #drift(): void {
    const { chance } = this;
    const system = chance.pick(this.systems);
    const row = chance.pick(['a', 'b', 'c']);
    // Back to what it was: a late write may then find what it was measured on.
    const value = chance.hits(0.4) ? system.former(row) : ['1', '2', '3'][chance.below(4)];
    if (!system.move(row, value)) return;
    this.world.trace.add(`. somebody sets ${system.name}.${row} to ${value ?? 'nothing'}`);
    this.world.coverage.reach('step', 'drift');
  }

  #skew(gateway: Gateway): void {
    const { chance } = this;
    const by = chance.weighted([
      [3, chance.between(-2_000, 2_000)],
      [1, chance.between(-7_200_000, 7_200_000)],
    ]);
    this.areClocksRight = false;
    gateway.offsetMs = Math.max(-OFF_MS_MAX, Math.min(gateway.offsetMs + by, OFF_MS_MAX));
    this.world.trace.add(`. the clock of ${gateway.name} is set by ${by} ms`);
    this.world.coverage.reach('step', by < 0 ? 'clock back' : 'clock forward');
  }

  #crash(caller: Caller | undefined): void {
    const gateway = this.gateways.find(({ process }) => process?.caller === caller);
    if (gateway === undefined || caller === undefined) return;
    gateway.crash();
    // Whoever opens the file next finds what was committed, and nothing that was only remembered.
    if (this.gateways.length === 1) this.#store?.reopen();
  }

  // ---- gateways

  start(gateway: Gateway): void {
    const { process } = gateway;
    if (gateway.isUp || process?.isStarting === true) return;
    if (process === null) gateway.start();
    const started = gateway.process;
    if (started === null) return;
    started.isStarting = true;
    this.run(gateway, 'start', started.caller, () =>
      started.boot().finally(() => {
        started.isStarting = false;
      }),
    );
  }

  tick(gateway: Gateway): void {
    const gate = gateway.process?.gate;
    const isTicking = [...gateway.running].some(({ what }) => what === 'tick');
    if (gate === undefined || isTicking) return;
    this.runGate(gateway, { what: 'tick', call: () => gate.tick() });
  }

  renew(gateway: Gateway): void {
    const gate = gateway.process?.gate;
    const isRenewing = [...gateway.running].some(({ what }) => what === 'renew');
    if (gate === undefined || isRenewing) return;
    this.runGate(gateway, { what: 'renew', call: () => gate.renew() });
  }

  checkpoint(gateway: Gateway): void {
    const { process } = gateway;
    if (process === null || !gateway.isUp) return;
    const { world, scheduler, shape, audit } = this;
    const signer = simulatedSigner(scheduler, process.caller, SIGNER, shape.fates.signer);
    this.run(gateway, 'checkpoint', process.caller, async () => {
      const note = await checkpoint(process.store, signer).catch(() => null);
      if (note === null) return;
      checkCheckpoint(note, (size) => audit.treeAt(size));
      world.coverage.reach('step', 'checkpoint');
    });
  }

  #begin(): void {
    const gateway = this.chance.pickAny(this.gateways.filter(({ isUp }) => isUp));
    if (gateway === undefined) return;
    const isLongOff = this.isStoppedByFile && this.chance.hits(0.2);
    const operation = isLongOff ? 'switch' : this.workload.next();
    this.#begun += typeof operation === 'object' ? (operation.counts ?? 1) : 1;
    if (operation === undefined) return;
    if (operation === 'switch') return this.turnSwitch(gateway, !this.isStoppedByFile);
    if (operation === 'policy') return this.#bringIn(gateway);
    this.runGate(gateway, operation);
  }

  turnSwitch(gateway: Gateway, isOff: boolean): void {
    this.isStoppedByFile = isOff;
    this.runGate(gateway, {
      what: `the file says ${isOff ? 'off' : 'on'}`,
      call: (gate) => gate.obeySwitch({ tenant: TENANT, gateway: gateway.name, isOff }),
    });
  }

  #bringIn(gateway: Gateway): void {
    const { process } = gateway;
    if (process === null) return;
    const next = this.chance.pick(PARSED);
    this.world.coverage.reach('policy', next.figures.name);
    const what = `policy ${next.figures.name}`;
    this.run(gateway, what, process.caller, () => process.bringIn(next));
  }

  runGate(gateway: Gateway, operation: Operation): void {
    const gate = gateway.process?.gate;
    if (gate === undefined || gateway.process === null) return;
    this.run(gateway, operation.what, gateway.process.caller, () => operation.call(gate));
  }

  /** Makes a call and keeps in view how it ends. */
  run(
    gateway: Gateway,
    what: string,
    caller: Process['caller'],
    call: () => Promise<unknown>,
  ): void {
    const { trace, coverage } = this.world;
    const running: Running = { what, caller };
    gateway.running.add(running);
    trace.add(`> ${caller.name} ${what}`);
    const end = (how: string): void => {
      gateway.running.delete(running);
      trace.add(`< ${caller.name} ${what.split(' ').slice(0, 2).join(' ')}: ${how}`);
    };
    call().then(
      (answer) => {
        end(this.audit.answered(answer));
      },
      (error: unknown) => {
        if (error instanceof Problem) {
          coverage.reach('problem', error.code);
          end(error.code);
          return;
        }
        end(String(error));
        this.audit.bug(error, `${caller.name} ${what}`);
      },
    );
  }
}
