/** What agents and people do, as far as the seed has it. */
import type { OpenGate } from '../../src/gate.ts';
import { chained, type Draft, type DraftStep } from '../../src/model/draft.ts';
import type { FreezeScope } from '../../src/model/freeze.ts';
import { freezeId, proposalId, type FreezeId, type ProposalId } from '../../src/model/ids.ts';
import type { Chance, Weighted } from './chance.ts';
import { isEnded, targetsOf, type Act } from './invariants/act.ts';
import type { Model } from './invariants/model.ts';
import { PEOPLE } from './policies.ts';
import { agentOf, personOf } from './principals.ts';
import { OPERATION_KINDS, type OperationKind, type Shape } from './shape.ts';

/** A call to a gateway; undefined where there is nothing to do it to. */
export interface Operation {
  readonly what: string;
  readonly call: (gate: OpenGate) => Promise<unknown>;
  /** How much it counts of what a seed has; absent: 1. */
  readonly counts?: number;
}

/** How something in doubt ended, as who looks at the targets sees it; undefined while that moves. */
export type LookedAt = (act: Act) => 'applied' | 'refused' | undefined;

export interface WorkloadParts {
  readonly chance: Chance;
  readonly shape: Shape;
  readonly model: Model;
  readonly lookedAt: LookedAt;
}

/** How often another kind of operation is chosen, because there is nothing to do the first to. */
const TRIES_MAX = 5;
const ROWS: readonly string[] = ['a', 'b', 'c'];
const AGENTS: Weighted<string> = [
  [4, 'bot'],
  [3, 'clerk'],
  [2, 'temp'],
];
const USUAL: Weighted<string | null> = [
  [4, '1'],
  [4, '2'],
  [2, '3'],
  [0.3, '9'],
  [1, null],
];
const ODD: Weighted<string | null> = ['5', '6', '7', '8'].map((value) => [1.2, value]);

export class Workload {
  readonly #parts: WorkloadParts;
  readonly #sent: { readonly agent: string; readonly draft: Draft }[] = [];
  readonly #values: Weighted<string | null>;
  #count = 0;

  constructor(parts: WorkloadParts) {
    this.#parts = parts;
    this.#values = parts.shape.isOdd ? [...USUAL, ...ODD] : USUAL;
  }

  /** `switch` and `policy` are about the gateway itself, which does them. */
  next(): Operation | 'switch' | 'policy' | undefined {
    const { chance, shape } = this.#parts;
    const kinds = OPERATION_KINDS.map((kind) => [shape.workload[kind], kind] as const);
    for (let tries = 0; tries < TRIES_MAX; tries += 1) {
      const made = this.make(chance.weighted(kinds));
      if (made !== undefined) return made;
    }
    return undefined;
  }

  make(kind: OperationKind): Operation | 'switch' | 'policy' | undefined {
    switch (kind) {
      case 'propose':
        return this.#propose(this.#agent(), this.#single());
      case 'chain':
        return this.#propose(this.#agent(), this.#chain());
      case 'again':
        return this.#again();
      case 'approve':
        return this.#approve('approve');
      case 'deny':
        return this.#approve('deny');
      case 'cancel':
        return this.#cancel();
      case 'rollback':
        return this.#rollback();
      case 'resolve':
        return this.#resolve();
      case 'stop':
        return this.#stop();
      case 'release':
        return this.#release();
      case 'preview':
        return this.#preview();
      case 'look':
        return this.#look();
      case 'switch':
      case 'policy':
        return kind;
    }
  }

  // ---- agents

  #agent(): string {
    const { chance, shape } = this.#parts;
    return shape.theme === 'bursts' ? 'bot' : chance.weighted(AGENTS);
  }

  #step(): DraftStep {
    const { chance, shape } = this.#parts;
    const target = chance.hits(0.008) ? 'nowhere' : chance.pick(shape.targets).name;
    const rows = Object.fromEntries(
      Array.from(
        {
          length: chance.weighted([
            [6, 1],
            [2, 2],
            [1, 3],
          ]),
        },
        () => [chance.pick(ROWS), chance.weighted(this.#values)],
      ),
    );
    const operation = chance.weighted([
      [70, 'set'],
      [30, 'pay'],
      [0.8, 'burn'],
    ]);
    return { target, operation, arguments: { rows } };
  }

  #draft(what: Pick<Draft, 'target' | 'operation' | 'arguments' | 'steps'>): Draft {
    const { chance } = this.#parts;
    this.#count += 1;
    return {
      ...what,
      reason: undefined,
      idempotencyKey: chance.hits(0.4) ? `key-${this.#count}` : undefined,
      run: chance.hits(0.5) ? chance.pick(['r1', 'r2']) : undefined,
      compensates: undefined,
    };
  }

  #single(): Draft {
    return this.#draft(this.#step());
  }

  #chain(): Draft {
    const steps = Array.from({ length: this.#parts.chance.between(2, 3) }, () => this.#step());
    return this.#draft(chained(steps));
  }

  #propose(agent: string, draft: Draft): Operation {
    this.#sent.push({ agent, draft });
    const what = (draft.steps ?? [draft])
      .map(
        ({ target, operation, arguments: given }) =>
          `${target}.${operation} ${JSON.stringify(given['rows'])}`,
      )
      .join(' + ');
    const key = draft.idempotencyKey === undefined ? '' : ` as ${draft.idempotencyKey}`;
    return {
      what: `${agent} proposes ${what}${key}`,
      call: (gate) => gate.propose(agentOf(agent), draft),
    };
  }

  /** The same call again; or the same write otherwise; or another under the same key. */
  #again(): Operation | undefined {
    const { chance } = this.#parts;
    const sent = chance.pickAny(this.#sent);
    if (sent === undefined) return undefined;
    const { agent, draft } = sent;
    this.#count += 1;
    const how = chance.weighted([
      [4, { agent, draft }],
      [2, { agent, draft: { ...draft, idempotencyKey: `key-${this.#count}` } }],
      [1, { agent: this.#agent(), draft }],
      [1, { agent, draft: { ...this.#single(), idempotencyKey: draft.idempotencyKey } }],
    ]);
    return this.#propose(how.agent, how.draft);
  }

  #preview(): Operation {
    const draft = this.#single();
    const agent = this.#agent();
    const { signal } = new AbortController();
    return {
      what: `${agent} previews`,
      call: (gate) => gate.preview(agentOf(agent), draft, signal),
    };
  }

  #look(): Operation | undefined {
    const { chance } = this.#parts;
    const found = this.#one(() => true);
    if (found === undefined) return undefined;
    const { act, id } = found;
    const who = act.proposer.kind === 'agent' ? agentOf(act.proposer.name) : personOf('ann');
    const { signal } = new AbortController();
    return chance.pick<Operation>([
      { what: `somebody asks for ${id}`, call: (gate) => gate.status(who, id) },
      { what: `somebody waits for ${id}`, call: (gate) => gate.wait(who, id, 2_000, signal) },
      { what: 'somebody looks at budgets', call: (gate) => gate.budgets(personOf('aud')) },
      { what: 'somebody lists', call: (gate) => gate.list(personOf('ann'), { limit: 20 }) },
    ]);
  }

  // ---- people

  #one(isMeant: (act: Act) => boolean): { readonly act: Act; readonly id: ProposalId } | undefined {
    const act = this.#parts.chance.pickAny([...this.#parts.model.acts.values()].filter(isMeant));
    const id = act && proposalId(act.id);
    return act === undefined || id === undefined ? undefined : { act, id };
  }

  #approve(verdict: 'approve' | 'deny'): Operation | undefined {
    const { chance, shape } = this.#parts;
    const found =
      this.#one(({ state }) => state === 'waiting') ?? this.#one(() => chance.hits(0.1));
    if (found === undefined) return undefined;
    const { act, id } = found;
    const name = chance.weighted([
      [5, 'ann'],
      [5, 'ben'],
      [shape.theme === 'people' ? 3 : 1, 'ollie'],
      [0.5, 'olga'],
      [0.5, 'bot'],
    ]);
    const who = name === 'bot' ? agentOf(name) : personOf(name);
    const old = `sha256:${'0'.repeat(64)}`;
    const planDigest = chance.hits(0.05) ? old : (act.digest ?? old);
    return {
      what: `${name} ${verdict === 'approve' ? 'approves' : 'denies'} ${id}`,
      call: (gate) => gate.approve(who, id, { planDigest, verdict }),
      // Else most of what waits would expire.
      counts: 0.4,
    };
  }

  #cancel(): Operation | undefined {
    const found = this.#one((act) => !isEnded(act));
    if (found === undefined) return undefined;
    const { act, id } = found;
    const isOwn = act.proposer.kind === 'agent' && this.#parts.chance.hits(0.5);
    const who = isOwn ? agentOf(act.proposer.name) : personOf('olga');
    return { what: `${who.name} cancels ${id}`, call: (gate) => gate.cancel(who, id) };
  }

  #rollback(): Operation | undefined {
    const { chance, shape } = this.#parts;
    const isAny = chance.hits(shape.theme === 'regrets' ? 0.7 : 0.1);
    const found = this.#one(({ state }) => isAny || state === 'applied');
    if (found === undefined) return undefined;
    const { act, id } = found;
    const isOwn = act.proposer.kind === 'agent' && chance.hits(0.4);
    const who = isOwn ? agentOf(act.proposer.name) : personOf(chance.pick(['ann', 'olga', 'aud']));
    return { what: `${who.name} rolls ${id} back`, call: (gate) => gate.rollback(who, id) };
  }

  /** People say how it ended once nothing of it moves any more, and what they say is true. */
  #resolve(): Operation | undefined {
    const { lookedAt } = this.#parts;
    const isOpen = ({ state }: Act): boolean => state === 'in_doubt' || state === 'executing';
    const found = this.#one((act) => isOpen(act) && lookedAt(act) !== undefined);
    const outcome = found && lookedAt(found.act);
    if (found === undefined || outcome === undefined) return undefined;
    return {
      what: `olga says that ${found.id} is ${outcome}`,
      call: (gate) => gate.resolve(personOf('olga'), found.id, { outcome, reason: 'looked' }),
    };
  }

  #stop(): Operation {
    const { chance, shape, model } = this.#parts;
    const acts = [...model.acts.values()];
    const some = chance.pickAny(acts);
    const target = some === undefined ? chance.pick(shape.targets).name : targetsOf(some)[0];
    const scope = chance.weighted<FreezeScope>([
      [1, { kind: 'all' }],
      [1, { kind: 'tenant' }],
      [1, { kind: 'agent', name: this.#agent() }],
      [1, { kind: 'target', name: target ?? 'ledger' }],
      [1, { kind: 'run', name: 'r1' }],
    ]);
    const who = chance.pick(['olga', 'pete', 'ann']);
    return {
      what: `${who} stops ${scope.kind} ${'name' in scope ? scope.name : ''}`,
      call: (gate) => gate.stop(personOf(who), scope, 'a simulation'),
    };
  }

  #release(): Operation | undefined {
    const { chance, model } = this.#parts;
    const id = stopId(chance.pickAny(model.stops.on()));
    if (id === undefined) return undefined;
    const who = chance.pick(operators());
    return releaseBy(who, id);
  }
}

export function operators(): readonly string[] {
  return Object.keys(PEOPLE).filter((name) => PEOPLE[name]?.includes('operator'));
}

export function releaseBy(who: string, id: FreezeId): Operation {
  return {
    what: `${who} speaks for the release of ${id}`,
    call: (gate) => gate.release(personOf(who), id, 'over'),
  };
}

export function stopId(text: string | undefined): FreezeId | undefined {
  return text === undefined ? undefined : freezeId(text);
}
