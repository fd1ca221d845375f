/** What is asked of the past: what another policy would have decided, which one it suggests, what a run did. Reads only. */
import type { TenantId } from '../model/ids.ts';
import type { Configuration, Policy } from '../model/policy.ts';
import type { Clock, Store, Targets } from '../model/ports.ts';
import type { Principal } from '../model/principal.ts';
import { Problem } from '../model/problem.ts';
import type { ReplayBody, ReplayReport } from '../model/replay.ts';
import type { SuggestAnswer, SuggestBody } from '../model/suggest.ts';
import type { Step } from '../model/steps.ts';
import type { TracePage } from '../model/trace.ts';
import { parseConfiguration } from '../policy/parse.ts';
import { person } from './approve.ts';
import type { Score } from './assess.ts';
import { permissionsOf } from '../policy/suggest/suggest-permissions.ts';
import { seenText } from '../policy/suggest/seen-text.ts';
import { suggest } from '../policy/suggest.ts';
import { replay, type ReplayAsked } from './replay/replay.ts';
import { trace } from './trace.ts';
import { figuresOf, seenSince } from './seen.ts';

/** The past as `server/` sees it. */
export interface Past {
  /**
   * Decides the store's own proposals again. Throws before the first step what cannot be taken:
   * `credential-kind`, `role-missing`, `configuration-invalid`, `too-many-requests`.
   */
  replay(
    principal: Principal,
    body: ReplayBody,
    signal: AbortSignal,
  ): AsyncGenerator<Step<ReplayReport>>;
  /** What was proposed under a run, step by step; an agent is told what it proposed itself. */
  trace(principal: Principal, run: string): Promise<TracePage>;
  /** Drafts a policy from what was seen, and replays it. Throws as `replay` does. */
  suggest(
    principal: Principal,
    body: SuggestBody,
    signal: AbortSignal,
  ): AsyncGenerator<Step<SuggestAnswer>>;
}

export interface PastPorts {
  readonly store: Store;
  readonly targets: Targets;
  readonly clock: Clock;
  readonly pause: () => Promise<void>;
}

export interface PastSettings {
  /** In force now. */
  readonly configuration: () => Configuration;
  readonly score: (policy: Policy) => Score;
  readonly bounds?: ReplayAsked['bounds'];
}

/** Opens it. One question at a time: each reads much, and the gateway has writes to decide. */
export function openPast(ports: PastPorts, settings: PastSettings): Past {
  let isBusy = false;
  async function* alone<Answer>(
    work: () => AsyncGenerator<Step<Answer>>,
  ): AsyncGenerator<Step<Answer>> {
    if (isBusy) throw busy();
    isBusy = true;
    try {
      yield* work();
    } finally {
      isBusy = false;
    }
  }
  return {
    async *replay(principal, body, signal) {
      const { tenant } = reader(principal);
      const candidate = candidateOf(settings.configuration(), body);
      const asked = askedOf(settings, tenant, candidate, body.since);
      yield* alone(() => replay(ports, asked, signal));
    },
    trace: (principal, run) => trace(ports, principal, run),
    async *suggest(principal, body, signal) {
      const { tenant } = reader(principal);
      yield* alone(() => suggested(ports, settings, { ...body, tenant }, signal));
    },
  };
}

async function* suggested(
  ports: PastPorts,
  settings: PastSettings,
  asked: SuggestBody & { readonly tenant: TenantId },
  signal: AbortSignal,
): AsyncGenerator<Step<SuggestAnswer>> {
  const configuration = settings.configuration();
  const names = [...configuration.policy.agents.keys()];
  const agents = asked.agent === undefined ? names : names.filter((name) => name === asked.agent);
  if (asked.agent !== undefined && agents.length === 0) {
    throw new Problem('request-invalid', `the policy in force names no agent \`${asked.agent}\``, {
      at: '/agent',
    });
  }
  const seen = await seenSince(ports.store, asked, ports.pause);
  const figures = agents.map((agent) => {
    const own = seen.writes.filter((write) => write.agent === agent);
    return figuresOf(agent, seen, permissionsOf(configuration.policy, agent, own).unnamed);
  });
  const about = (agent: string): readonly string[] => {
    const found = figures.find((each) => each.agent === agent);
    return found === undefined ? [] : seenText(found);
  };
  const text = suggest({ configuration, writes: seen.writes, agents, about });
  const candidate = candidateOf(configuration, { text });
  const question = askedOf(settings, asked.tenant, candidate, asked.since);
  for await (const step of replay(ports, question, signal)) {
    if (step.kind === 'done') {
      yield { kind: 'done', answer: { text, agents: figures, replay: step.answer } };
    } else yield step;
  }
}

function askedOf(
  { configuration, score, bounds }: PastSettings,
  tenant: TenantId,
  candidate: Omit<ReplayAsked['candidate'], 'score'>,
  since: number,
): ReplayAsked {
  return {
    tenant,
    candidate: { ...candidate, score: score(candidate.policy) },
    inForce: configuration().policy.digest,
    since,
    ...(bounds === undefined ? {} : { bounds }),
  };
}

/** Operators and auditors look at everybody's proposals. */
function reader(principal: Principal): Principal {
  const { roles, name } = person(principal);
  if (roles.includes('operator') || roles.includes('auditor')) return principal;
  throw new Problem(
    'role-missing',
    `this needs the role \`operator\` or \`auditor\`; \`${name}\` has neither`,
  );
}

function candidateOf(
  inForce: Configuration,
  { text, mode }: Pick<ReplayBody, 'text' | 'mode'>,
): { readonly policy: Policy; readonly targets: ReadonlySet<string> } {
  const { policy, targets } = text === undefined ? inForce : parseConfiguration(text, 'candidate');
  return {
    policy: mode === undefined ? policy : { ...policy, mode },
    targets: new Set(targets.map(({ name }) => name)),
  };
}

function busy(): Problem {
  return new Problem(
    'too-many-requests',
    'another question about the past is being answered; ask again when it is done',
    { retryAfterMs: 5_000 },
  );
}
