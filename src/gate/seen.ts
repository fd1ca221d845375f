/** Reads from the store what agents were seen to do. Changes nothing. */
import type { Finding } from '../model/decision.ts';
import type { ProposalId, TenantId } from '../model/ids.ts';
import { measure, type Plan } from '../model/plan.ts';
import { PAGE_MAX, type Store } from '../model/ports.ts';
import type { Proposal } from '../model/proposal.ts';
import { REPLAY_BOUNDS } from '../model/replay.ts';
import type { SeenAgent } from '../model/suggest.ts';
import { quantile, type SeenWrite } from '../policy/suggest/seen.ts';
import { recordedVerdict } from './replay/recorded.ts';
import { measuredSteps } from './steps.ts';

/** What was let through, by agent, and what was denied meanwhile. */
export interface Seen {
  readonly writes: readonly SeenWrite[];
  readonly denied: ReadonlyMap<string, ReadonlyMap<string, number>>;
}

/** Reads page by page, newest first, at most as many as a replay looks at. */
export async function seenSince(
  store: Store,
  asked: { readonly tenant: TenantId; readonly since: number; readonly agent?: string },
  pause: () => Promise<void>,
): Promise<Seen> {
  const writes: SeenWrite[] = [];
  const denied = new Map<string, Map<string, number>>();
  let before: ProposalId | undefined;
  for (let taken = 0; taken < REPLAY_BOUNDS.proposalsMax;) {
    const page = await store.proposals(asked.tenant, {
      limit: PAGE_MAX,
      ...(asked.agent === undefined ? {} : { agent: asked.agent }),
      ...(before === undefined ? {} : { before }),
    });
    const fresh = page.filter(({ proposedAt }) => proposedAt >= asked.since);
    for (const proposal of fresh) {
      const own = seenWrites(proposal);
      writes.push(...own);
      if (own.length === 0) noteDenied(denied, proposal);
    }
    taken += page.length;
    before = page.at(-1)?.id;
    if (before === undefined || page.length < PAGE_MAX || fresh.length === 0) break;
    await pause();
  }
  return { writes, denied };
}

/** The figures of one agent, for people. */
export function figuresOf(agent: string, { writes, denied }: Seen, unnamed: number): SeenAgent {
  const own = writes.filter((write) => write.agent === agent);
  const times = own.map(({ at }) => at);
  const records = own.map((write) => write.records);
  const spanMs = own.length === 0 ? 0 : Math.max(...times) - Math.min(...times);
  return {
    agent,
    writes: own.length,
    spanMs,
    records: {
      p50: quantile(records, 0.5),
      p99: quantile(records, 0.99),
      max: quantile(records, 1),
    },
    denied: [...(denied.get(agent) ?? [])].map(([code, proposals]) => ({ code, proposals })),
    unnamed,
  };
}

/** One for each step; none for what was not let through, or takes something back. */
function seenWrites(proposal: Proposal): readonly SeenWrite[] {
  const { proposer, draft, assessment, decision, environment } = proposal;
  if (proposer.kind !== 'agent' || draft.compensates !== undefined) return [];
  if (assessment === null || decision === null || !isLetThrough(proposal)) return [];
  const tier = tierOf(decision.findings);
  if (tier === null) return [];
  return measuredSteps(draft, assessment.plan).map(({ target, operation, plan }) => {
    const { records, value } = measure(plan);
    return {
      agent: proposer.name,
      environment,
      target,
      operation,
      class: plan.class,
      resources: directOf(plan),
      tier,
      records,
      value,
      at: decision.decidedAt,
    };
  });
}

/** What the agent wrote to itself. */
function directOf(plan: Plan): readonly string[] {
  const direct = plan.counts
    .filter((each) => each.attribution === 'direct')
    .filter((each) => each.created + each.updated + each.deleted > 0)
    .map(({ resource }) => resource);
  return [...new Set([plan.resource, ...direct])];
}

/** What a person said no to was not let through, though the policy would have. */
function isLetThrough({ decision }: Proposal): boolean {
  if (decision === null || decision.settledBy === 'approval.person') return false;
  return recordedVerdict(decision) !== 'deny';
}

/** What the permission came to: one that waited was confirm, whatever people said to it. */
function tierOf(findings: readonly Finding[]): SeenWrite['tier'] | null {
  const permissions = findings.filter(({ stage }) => stage === 'permission');
  if (permissions.length === 0) return null;
  return permissions.every(({ code }) => code === 'allowed') ? 'autonomous' : 'confirm';
}

function noteDenied(denied: Map<string, Map<string, number>>, proposal: Proposal): void {
  const { proposer, decision } = proposal;
  if (proposer.kind !== 'agent' || decision === null) return;
  const codes = denied.get(proposer.name) ?? new Map<string, number>();
  codes.set(decision.code, (codes.get(decision.code) ?? 0) + 1);
  denied.set(proposer.name, codes);
}
