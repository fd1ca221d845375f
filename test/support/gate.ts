/** A gate over the production store, ledger and policy; only target, clock and random are fakes. */
import { openGate, type OpenGate } from '../../src/gate.ts';
import { createSequencer } from '../../src/ledger/sequencer.ts';
import type { JsonObject } from '../../src/lib/json.ts';
import { chained, type Draft } from '../../src/model/draft.ts';
import type { EntryBody } from '../../src/model/entry.ts';
import type { FreezeScope } from '../../src/model/freeze.ts';
import { credentialId, proposalId, tenantId, type ProposalId } from '../../src/model/ids.ts';
import type { Store, Target } from '../../src/model/ports.ts';
import type { AgentPrincipal, PersonPrincipal, Role } from '../../src/model/principal.ts';
import type { Proposal } from '../../src/model/proposal.ts';
import { parseConfiguration } from '../../src/policy/parse.ts';
import { scoreOf } from '../../src/policy/stages/risk.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import { countingRandom, fakeClock } from './fakes.ts';
import { fakeTarget, type FakeTarget } from './fake-target.ts';

/** `bot` may create and update on its own and delete `rows` with a person's yes; `clerk` only with one. */
export const POLICY = `
version: 1
tenant: acme
environment: test
targets: { kv: { kind: fake } }
people:
  owner: { roles: [approver, operator] }
  ann: { roles: [approver] }
  ben: { roles: [operator] }
agents:
  bot:
    owner: owner
    permissions:
      - { target: kv, class: [create, update], tier: autonomous }
      - { target: kv, resource: rows, class: delete, tier: confirm }
  clerk:
    owner: owner
    permissions: [{ target: kv, class: [create, update], tier: confirm }]
rules:
  - { id: permit-all, effect: permit, match: { target: kv }, reason: a test }
budgets:
  - { name: writes, per: [agent], measure: writes, window: minute, max: 5 }
routes: { people: { steps: [{ quorum: 1 }], expiresAfter: 30m } }
defaultRoute: people
`;

const TENANT = need(tenantId('acme'));
const CREDENTIAL = need(credentialId(`cred_${'0'.repeat(26)}`));

const ROWS = { a: '1', b: '2' } as const;

export interface TestGate {
  readonly gate: OpenGate;
  readonly store: Store;
  readonly target: FakeTarget;
  /** `target`, and those that `beside` named, in that order. */
  readonly targets: readonly FakeTarget[];
  readonly clock: ReturnType<typeof fakeClock>;
  readonly waitingShown: string[];
  setPolicy(text: string): void;
  /** A gate over the same store and target, as of another gateway beside the first. */
  another(): OpenGate;
  /** Another gate over the same store and target, as after a crash of the first. */
  restart(): Promise<OpenGate>;
  proposal(id: string | null): Promise<Proposal>;
}

export interface TestGateOptions {
  readonly policy?: string;
  readonly holds?: boolean;
  readonly journals?: boolean;
  /** Names of more targets, each with the same rows as `kv`. */
  readonly beside?: readonly string[];
  /** Of the store; in memory where it is left out. */
  readonly path?: string;
  /** Of the gateway before, where this is the one after it. */
  readonly target?: FakeTarget;
  /** Targets beside it, such as one on a real database. */
  readonly others?: readonly Target[];
  readonly clock?: ReturnType<typeof fakeClock>;
  readonly isStoppedByFile?: () => boolean;
}

export async function testGate(options: TestGateOptions = {}): Promise<TestGate> {
  const clock = options.clock ?? fakeClock();
  const random = countingRandom(clock.now());
  const target = options.target ?? fakeTarget('kv', ROWS);
  target.holds = options.holds ?? false;
  target.journals = options.journals ?? false;
  const targets = [target, ...(options.beside ?? []).map((name) => fakeTarget(name, ROWS))];
  const sequencer = createSequencer({ gateway: { id: 'test' } });
  const path = options.path ?? ':memory:';
  const store = await openSqliteStore({ path, sequencer, random, now: () => clock.now() });
  const known: readonly Target[] = [...targets, ...(options.others ?? [])];
  let policy = parseConfiguration(options.policy ?? POLICY, 'test.yaml').policy;
  const waitingShown: string[] = [];
  let runs = 0;
  const open = (gateway = 'test'): OpenGate => {
    runs += 1;
    return openGate(
      {
        store,
        clock,
        random,
        targets: {
          find: (name) => known.find((each) => each.name === name),
          names: () => known.map(({ name }) => name),
        },
        notifier: { waiting: async (proposal) => void waitingShown.push(proposal.id) },
      },
      {
        holder: `${gateway}/${runs}`,
        policy: () => policy,
        score: scoreOf,
        links: { human: () => null },
        ...(options.isStoppedByFile && { isStoppedByFile: options.isStoppedByFile }),
      },
    );
  };
  return {
    gate: open(),
    another: () => open('another'),
    restart: async () => {
      await store.endLeases('test');
      return open();
    },
    store,
    target,
    targets,
    clock,
    waitingShown,
    setPolicy: (text) => {
      policy = parseConfiguration(text, 'test.yaml').policy;
    },
    proposal: async (id) => need(await store.proposal(TENANT, idOf(id))),
  };
}

export function agent(name: string, owner = 'owner'): AgentPrincipal {
  const common = { tenant: TENANT, environment: 'test', credential: CREDENTIAL };
  return { kind: 'agent', name, owner, ...common };
}

export function human(name: string, roles: readonly Role[] = ['approver']): PersonPrincipal {
  const common = { tenant: TENANT, environment: 'test', credential: CREDENTIAL };
  return { kind: 'person', name, roles, groups: [], ...common };
}

export function setDraft(
  key: string,
  value: string | null,
  extra: { idempotencyKey?: string; run?: string; target?: string } = {},
): Draft {
  const args: JsonObject = { key, value };
  return {
    target: extra.target ?? 'kv',
    operation: 'set',
    arguments: args,
    reason: undefined,
    idempotencyKey: extra.idempotencyKey,
    run: extra.run,
    compensates: undefined,
  };
}

/** A chain of `set` steps, each `[target, key, value]`. */
export function chainDraft(
  steps: readonly (readonly [target: string, key: string, value: string | null])[],
  extra: Partial<Draft> = {},
): Draft {
  const given = steps.map(([target, key, value]) => ({
    target,
    operation: 'set',
    arguments: { key, value },
  }));
  return {
    ...chained(given),
    reason: undefined,
    idempotencyKey: undefined,
    run: undefined,
    compensates: undefined,
    ...extra,
  };
}

export function idOf(text: string | null): ProposalId {
  return need(proposalId(text ?? ''));
}

/** Narrows what a test knows to be there. */
export function need<Value>(value: Value | undefined | null): Value {
  if (value === undefined || value === null) throw new Error('the test expected a value here');
  return value;
}

/** An operator stops with `scope` just before the `nth` commit that holds an entry of `type`. */
export function stopBefore(
  { gate, store }: Pick<TestGate, 'gate' | 'store'>,
  scope: FreezeScope,
  type: EntryBody['type'],
  nth = 1,
): void {
  const operator = human('ben', ['operator']);
  const commit = store.commit.bind(store);
  let seen = 0;
  store.commit = async (change) => {
    const isIt = change.acts.some(({ entries }) => entries.some((entry) => entry.type === type));
    if (isIt) seen += 1;
    if (isIt && seen === nth) await gate.stop(operator, scope, 'just in time');
    return commit(change);
  };
}
