/** What is asked of the past: what another policy would have decided, what a run did. Reads only. */
import type { Configuration, Policy } from '../model/policy.ts';
import type { Clock, Store, Targets } from '../model/ports.ts';
import type { Principal } from '../model/principal.ts';
import { Problem } from '../model/problem.ts';
import type { ReplayBody, ReplayReport } from '../model/replay.ts';
import type { Step } from '../model/steps.ts';
import type { TracePage } from '../model/trace.ts';
import { parseConfiguration } from '../policy/parse.ts';
import { person } from './approve.ts';
import type { Score } from './assess.ts';
import { replay, type ReplayAsked } from './replay/replay.ts';
import { trace } from './trace.ts';

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
}

export interface PastPorts {
  readonly store: Store;
  readonly targets: Targets;
  readonly clock: Clock;
  readonly pause: () => Promise<void>;
}

export interface PastSettings {
  readonly policy: () => Policy;
  readonly score: (policy: Policy) => Score;
  readonly bounds?: ReplayAsked['bounds'];
}

/** Opens it. One question at a time: each reads much, and the gateway has writes to decide. */
export function openPast(ports: PastPorts, settings: PastSettings): Past {
  let isBusy = false;
  return {
    async *replay(principal, body, signal) {
      const { tenant } = reader(principal);
      const inForce = settings.policy();
      const candidate = candidateOf(ports.targets, inForce, body);
      if (isBusy) throw busy();
      isBusy = true;
      try {
        const score = settings.score(candidate.policy);
        const asked: ReplayAsked = {
          tenant,
          candidate: { ...candidate, score },
          inForce: inForce.digest,
          since: body.since,
          ...(settings.bounds === undefined ? {} : { bounds: settings.bounds }),
        };
        yield* replay(ports, asked, signal);
      } finally {
        isBusy = false;
      }
    },
    trace: (principal, run) => trace(ports, principal, run),
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
  targets: Targets,
  inForce: Policy,
  { text, mode }: ReplayBody,
): { readonly policy: Policy; readonly targets: ReadonlySet<string> } {
  const as = (policy: Policy): Policy => (mode === undefined ? policy : { ...policy, mode });
  if (text === undefined) {
    return { policy: as(inForce), targets: new Set(targets.names?.() ?? []) };
  }
  const candidate: Configuration = parseConfiguration(text, 'candidate');
  return {
    policy: as(candidate.policy),
    targets: new Set(candidate.targets.map(({ name }) => name)),
  };
}

function busy(): Problem {
  return new Problem(
    'too-many-requests',
    'another question about the past is being answered; ask again when it is done',
  );
}
