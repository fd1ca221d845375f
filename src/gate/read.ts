/**
 * Reads: an agent's question to a target, answered in a read-only transaction.
 *
 * 1. No rows leave before the read stands in the log; where it cannot be written, there are none.
 * 2. Who holds no permission on a resource, of whatever tier, does not learn what is in it.
 * 3. A stop does not end reads: they change nothing, and who looks into a stop needs them.
 */
import { digestJson } from '../lib/canonical.ts';
import { quote } from '../lib/quote.ts';
import { isOfWrites } from '../model/codes.ts';
import { QUERY_OPERATION, type ReadBody, type ReadLog, type ReadResult } from '../model/read.ts';
import type { Clock, ReadAnswer, Target, Targets } from '../model/ports.ts';
import type { AgentPrincipal, Principal } from '../model/principal.ts';
import { Problem } from '../model/problem.ts';
import type { Next } from '../model/result.ts';
import { holdsAny } from '../policy/stages/permissions.ts';
import { policyInForce, type PolicyPorts } from './commit.ts';

const RETRY_AFTER_MS = 5_000;

export interface ReadPorts extends PolicyPorts {
  readonly targets: Targets;
  readonly clock: Clock;
  /** Absent: nothing may be read. */
  readonly reads?: ReadLog | undefined;
}

/**
 * Answers a read, or says why not; what the target or the statement did is a result. Problem
 * `store-unusable` where the read cannot be written down.
 */
export async function read(
  ports: ReadPorts,
  principal: Principal,
  body: ReadBody,
  signal: AbortSignal,
): Promise<ReadResult> {
  const agent = asAgent(principal);
  const startedAt = ports.clock.now();
  const result = await answered(ports, agent, body, signal);
  const isRead = result.state === 'read';
  await logOf(ports).record({
    at: startedAt,
    tenant: agent.tenant,
    agent: agent.name,
    credential: agent.credential,
    environment: agent.environment,
    run: body.run ?? null,
    target: body.target,
    argumentsDigest: digestJson(body.arguments),
    code: result.code,
    resources: isRead ? result.resources : [],
    rows: isRead ? result.rows.length : 0,
    bytes: isRead ? result.bytes : 0,
    durationMs: ports.clock.now() - startedAt,
  });
  return result;
}

function asAgent(principal: Principal): AgentPrincipal {
  if (principal.kind === 'agent') return principal;
  throw new Problem(
    'credential-kind',
    'reads take the credential of an agent: people hold no permissions on what is in a target',
  );
}

function logOf(ports: ReadPorts): ReadLog {
  if (ports.reads !== undefined) return ports.reads;
  throw new Problem('store-unusable', 'reads cannot be written down here, so none is answered');
}

async function answered(
  ports: ReadPorts,
  agent: AgentPrincipal,
  body: ReadBody,
  signal: AbortSignal,
): Promise<ReadResult> {
  const target = ports.targets.find(body.target);
  if (target === undefined) {
    const reason = `the configuration names no target ${quote(body.target)}`;
    return refused('unknown-target', reason);
  }
  if (target.read === undefined) {
    const reason = `\`${target.name}\` answers no reads: its configuration names no role for them`;
    return refused('unknown-operation', reason);
  }
  const { policy } = await policyInForce(ports, agent.tenant);
  if (!policy.agents.has(agent.name)) {
    const reason = `the policy names no agent \`${agent.name}\`; what is not named may not read`;
    return refused('unknown-agent', reason);
  }
  const { environment, name } = agent;
  const subject = { agent: name, environment, target: target.name, operation: QUERY_OPERATION };
  const request = {
    arguments: body.arguments,
    permits: (resource: string) => holdsAny(policy, { ...subject, resource }),
  };
  return resultOf(await ask(target, request, signal));
}

/** A throw out of the connector is a target that did not answer: it gave nothing away. */
async function ask(
  target: Target,
  request: Parameters<NonNullable<Target['read']>>[0],
  signal: AbortSignal,
): Promise<ReadAnswer> {
  const unanswered: ReadAnswer = {
    kind: 'refused',
    code: 'target-unavailable',
    reason: `\`${target.name}\` did not answer`,
    permanent: false,
    span: null,
    conflicts: [],
  };
  return (await target.read?.(request, signal).catch(() => unanswered)) ?? unanswered;
}

function resultOf(answer: ReadAnswer): ReadResult {
  if (answer.kind === 'read') {
    const { columns, rows, resources, bytes } = answer;
    const masked = columns.filter((column) => column.isMasked).length;
    const tail = masked === 0 ? '' : `; ${masked} of ${columns.length} columns are masked`;
    return {
      state: 'read',
      code: 'read',
      reason: `${rows.length} ${rows.length === 1 ? 'row' : 'rows'}, all there are${tail}`,
      next: 'none',
      columns,
      rows,
      resources,
      bytes,
      retryAfterMs: null,
    };
  }
  const { code, reason, span } = answer;
  // A read that meets one of these is refused like any other.
  if (isOfWrites(code)) return refused('target-refused', reason, span);
  return refused(code, reason, span);
}

type Refused = Extract<ReadResult, { state: 'refused' }>;

function refused(code: Refused['code'], reason: string, span: Refused['span'] = null): Refused {
  const next = nextAfter(code);
  const retryAfterMs = next === 'wait' ? RETRY_AFTER_MS : null;
  return { state: 'refused', code, reason, next, span, retryAfterMs };
}

function nextAfter(code: Refused['code']): Next {
  switch (code) {
    case 'target-unavailable':
    case 'target-busy':
      return 'wait';
    case 'limit-exceeded':
    case 'statement-timeout':
      return 'narrow';
    case 'not-permitted':
    case 'unknown-agent':
    case 'scope-violated':
      return 'ask-human';
    default:
      return 'fix-arguments';
  }
}
