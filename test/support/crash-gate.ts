/** A gate on a real store and real targets, for a process that may die between any two of its steps. */
import { openPostgresTarget } from '../../src/connectors/postgres.ts';
import { openGate } from '../../src/gate.ts';
import { createSequencer } from '../../src/ledger/sequencer.ts';
import { systemRandom, wallClock } from '../../src/main/world.ts';
import { chained, type Draft } from '../../src/model/draft.ts';
import type { Held, Store, Target, TargetRefusal } from '../../src/model/ports.ts';
import { parseConfiguration } from '../../src/policy/parse.ts';
import { scoreOf } from '../../src/policy/stages/risk.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import { agent, human, idOf } from './gate.ts';

/**
 * `autonomous`, by plan and apply, or in one pass where it is `held`; `approved` by a person; or
 * applied before and now `rolled back`. A `chain` writes to a second database after it; in `back` that
 * one refuses, and the first is taken back.
 */
export type Scenario = 'autonomous' | 'held' | 'approved' | 'rollback' | 'chain' | 'back';

export interface Order {
  readonly storePath: string;
  readonly databaseUrl: string;
  readonly booksUrl: string;
  readonly scenario: Scenario;
  /** Of the row in `counters` that is counted up; a chain inserts one of this id into `postings`. */
  readonly row: number;
}

/** Is called around each step: `commit`, `plan`, `hold`, `keep`, `apply` and `probe`. */
export type AroundStep = <Answer>(name: string, call: () => Promise<Answer>) => Promise<Answer>;

export interface CrashGate {
  /** Takes up what a killed one left; two ticks, as the second may end what the first decided. */
  recover(): Promise<void>;
  /**
   * Makes the calls of the scenario; made again they are the retry of a caller who got no answer.
   * Answers the state that the write ended in.
   */
  play(): Promise<string>;
  states(): Promise<readonly string[]>;
  close(): Promise<void>;
}

const POLICY = `
version: 1
tenant: acme
environment: test
targets:
  shop: { kind: postgres, url: '\${env:DATABASE_URL}', acceptFindings: [role-superuser] }
  books: { kind: postgres, url: '\${env:BOOKS_URL}', acceptFindings: [role-superuser] }
people: { owner: { roles: [operator] }, ann: { roles: [approver] } }
agents:
  bot: { owner: owner, permissions: [{ target: '*', class: [create, update], tier: autonomous }] }
  clerk: { owner: owner, permissions: [{ target: shop, class: update, tier: confirm }] }
rules: [{ id: permit, effect: permit, match: { target: '*' }, reason: a test }]
`;

const REFUSAL: TargetRefusal = {
  kind: 'refused',
  code: 'constraint-violated',
  reason: 'the books are closed',
  permanent: true,
  span: null,
  conflicts: [],
};

type HoldAnswer = Held | TargetRefusal | null;

/** Opens it, with its store and targets. */
export async function openCrashGate(order: Order, step: AroundStep): Promise<CrashGate> {
  const configuration = parseConfiguration(POLICY, 'crash.yaml');
  const sequencer = createSequencer({ gateway: { id: 'crash' } });
  const store = around(
    await openSqliteStore({ path: order.storePath, sequencer, random: systemRandom }),
    step,
  );
  const urls: Readonly<Record<string, string>> = {
    DATABASE_URL: order.databaseUrl,
    BOOKS_URL: order.booksUrl,
  };
  const targets = await Promise.all(
    configuration.targets
      .filter(({ name }) => isChain(order) || name === 'shop')
      .map(async ({ name, settings }) =>
        aroundTarget(
          await openPostgresTarget(name, settings, (variable) => urls[variable]),
          order.scenario,
          step,
        ),
      ),
  );
  const gate = openGate(
    {
      store,
      clock: wallClock(),
      random: systemRandom,
      targets: { find: (name) => targets.find((target) => target.name === name) },
      notifier: { waiting: async () => {} },
    },
    {
      holder: `crash/${process.pid}`,
      policy: () => configuration.policy,
      score: scoreOf,
      links: { human: () => null },
    },
  );
  const { tenant } = agent('bot');
  return {
    async recover() {
      await gate.tick();
      await gate.tick();
    },
    async play() {
      if (order.scenario === 'approved') {
        const held = await gate.propose(agent('clerk'), draftOf(order));
        if (held.state !== 'waiting') return held.state;
        const body = { planDigest: held.planDigest ?? '', verdict: 'approve' } as const;
        return (await gate.approve(human('ann'), idOf(held.proposalId), body)).state;
      }
      const applied = await gate.propose(agent('bot'), draftOf(order));
      if (order.scenario !== 'rollback') return applied.state;
      const original = await store.proposal(tenant, idOf(applied.proposalId));
      if (original !== undefined && original.compensatedBy !== null) return 'applied';
      return (await gate.rollback(agent('bot'), idOf(applied.proposalId))).state;
    },
    states: async () => (await store.proposals(tenant, { limit: 100 })).map(({ state }) => state),
    async close() {
      await gate.drain();
      await store.close();
      await Promise.all(targets.map((target) => target.close()));
    },
  };
}

function isChain({ scenario }: Order): boolean {
  return scenario === 'chain' || scenario === 'back';
}

function draftOf(order: Order): Draft {
  const sql = (target: string, statement: string) =>
    ({ target, operation: 'sql', arguments: { statement } }) as const;
  const write = sql('shop', `UPDATE counters SET value = value + 1 WHERE id = ${order.row}`);
  const posting = sql('books', `INSERT INTO postings (id) VALUES (${order.row})`);
  return {
    ...(isChain(order) ? chained([write, posting]) : write),
    reason: undefined,
    idempotencyKey: undefined,
    run: undefined,
    compensates: undefined,
  };
}

function around(store: Store, step: AroundStep): Store {
  const commit = store.commit.bind(store);
  store.commit = (change) => step('commit', () => commit(change));
  return store;
}

function aroundTarget(target: Target, scenario: Scenario, step: AroundStep): Target {
  const { plan, hold, apply, probe } = target;
  const isHeld = scenario === 'held' && hold !== undefined;
  return {
    ...(isHeld
      ? {
          hold: async (request, signal) =>
            aroundHeld(await step('hold', () => hold.call(target, request, signal)), step),
        }
      : {}),
    name: target.name,
    kind: target.kind,
    guarantee: target.guarantee,
    operations: target.operations,
    plan: (request, signal) => step('plan', () => plan.call(target, request, signal)),
    apply: (request, signal) =>
      step('apply', async () => {
        if (scenario === 'back' && target.name === 'books') return REFUSAL;
        return apply.call(target, request, signal);
      }),
    probe: (request, signal) => step('probe', () => probe.call(target, request, signal)),
    close: () => target.close(),
  };
}

function aroundHeld(held: HoldAnswer, step: AroundStep): HoldAnswer {
  if (held === null || held.kind === 'refused') return held;
  const { kind, plan, reference } = held;
  return {
    kind,
    plan,
    ...(reference === undefined ? {} : { reference }),
    commit: () => step('keep', () => held.commit()),
    release: () => held.release(),
  };
}
