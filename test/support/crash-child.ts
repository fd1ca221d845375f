// A gateway that kills itself with SIGKILL at a named step, or picks up what a killed one left.
// argv: a JSON object, see `Order`. Prints one JSON line if it lives to the end.
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

export interface Order {
  readonly storePath: string;
  readonly databaseUrl: string;
  readonly statement: string;
  /**
   * `autonomous`, by plan and apply, or in one pass where it is `held`; `approved` by a person; or
   * applied before and now `rolled back`. A `chain` writes to a second database after it; in `back` that
   * one refuses, and the first is taken back.
   */
  readonly scenario: 'autonomous' | 'held' | 'approved' | 'rollback' | 'chain' | 'back';
  readonly booksUrl: string;
  /** `before commit 2`, `after plan 1`, `before apply 1` …; null lives. */
  readonly killAt: string | null;
  /** Reconcile first, and report what is there afterwards. */
  readonly recover: boolean;
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

// Written by `crash.test.ts` a moment ago.
const order = JSON.parse(process.argv[2] ?? '') as Order;
const counts = new Map<string, number>();

/** Runs a call between two steps at which this process may have to die. */
async function step<Answer>(name: string, call: () => Promise<Answer>): Promise<Answer> {
  const turn = (counts.get(name) ?? 0) + 1;
  counts.set(name, turn);
  if (order.killAt === `before ${name} ${turn}`) process.kill(process.pid, 'SIGKILL');
  const answer = await call();
  if (order.killAt === `after ${name} ${turn}`) process.kill(process.pid, 'SIGKILL');
  return answer;
}

function mortalStore(store: Store): Store {
  const commit = store.commit.bind(store);
  store.commit = (change) => step('commit', () => commit(change));
  return store;
}

function mortalTarget(target: Target): Target {
  const { plan, hold, apply, probe } = target;
  const isHeld = order.scenario === 'held' && hold !== undefined;
  return {
    ...(isHeld
      ? {
          hold: async (request, signal) =>
            mortalHeld(await step('hold', () => hold.call(target, request, signal))),
        }
      : {}),
    name: target.name,
    kind: target.kind,
    guarantee: target.guarantee,
    operations: target.operations,
    plan: (request, signal) => step('plan', () => plan.call(target, request, signal)),
    apply: (request, signal) =>
      step('apply', async () => {
        if (order.scenario === 'back' && target.name === 'books') return REFUSAL;
        return apply.call(target, request, signal);
      }),
    probe: (request, signal) => step('probe', () => probe.call(target, request, signal)),
    close: () => target.close(),
  };
}

function mortalHeld(held: HoldAnswer): HoldAnswer {
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

const configuration = parseConfiguration(POLICY, 'crash.yaml');
const clock = wallClock();
const random = systemRandom;
const store = mortalStore(
  await openSqliteStore({
    path: order.storePath,
    sequencer: createSequencer({ gateway: { id: 'crash' } }),
    random,
  }),
);
const urls: Readonly<Record<string, string>> = {
  DATABASE_URL: order.databaseUrl,
  BOOKS_URL: order.booksUrl,
};
const isChain = order.scenario === 'chain' || order.scenario === 'back';
const targets = await Promise.all(
  configuration.targets
    .filter(({ name }) => isChain || name === 'shop')
    .map(async ({ name, settings }) =>
      mortalTarget(await openPostgresTarget(name, settings, (variable) => urls[variable])),
    ),
);
const gate = openGate(
  {
    store,
    clock,
    random,
    targets: { find: (name) => targets.find((target) => target.name === name) },
    notifier: { waiting: async () => {} },
  },
  {
    holder: 'crash/1',
    policy: () => configuration.policy,
    score: scoreOf,
    links: { human: () => null },
  },
);

const tenant = agent('bot').tenant;
const write = { target: 'shop', operation: 'sql', arguments: { statement: order.statement } };
const posting = {
  target: 'books',
  operation: 'sql',
  arguments: { statement: 'INSERT INTO postings (id) VALUES (1)' },
};
const draft: Draft = {
  ...(isChain ? chained([write, posting]) : write),
  reason: undefined,
  idempotencyKey: undefined,
  run: undefined,
  compensates: undefined,
};

/** The scenario's calls; on a second run they are the retry of a caller who got no answer. */
async function play(): Promise<string> {
  if (order.scenario === 'approved') {
    const held = await gate.propose(agent('clerk'), draft);
    if (held.state !== 'waiting') return held.state;
    const body = { planDigest: held.planDigest ?? '', verdict: 'approve' } as const;
    return (await gate.approve(human('ann'), idOf(held.proposalId), body)).state;
  }
  const applied = await gate.propose(agent('bot'), draft);
  if (order.scenario !== 'rollback') return applied.state;
  const original = await store.proposal(tenant, idOf(applied.proposalId));
  if (original !== undefined && original.compensatedBy !== null) return 'applied';
  return (await gate.rollback(agent('bot'), idOf(applied.proposalId))).state;
}

const states = async (): Promise<readonly string[]> =>
  (await store.proposals(tenant, { limit: 100 })).map((proposal) => proposal.state);

const recovered: string[] = [];
if (order.recover) {
  await gate.tick();
  await gate.tick();
  recovered.push(...(await states()));
}
const ended = await play();
await gate.drain();
process.stdout.write(`${JSON.stringify({ recovered, ended, states: await states() })}\n`);
await store.close();
await Promise.all(targets.map((target) => target.close()));
