/** The NEVER list and the tiers: what an agent may do at all. */
import { quote } from '../../lib/quote.ts';
import type { Finding } from '../../model/decision.ts';
import type { EffectClass } from '../../model/plan.ts';
import type { AgentPolicy, Permission, Policy, Tier } from '../../model/policy.ts';
import { candidatesOf } from './candidates.ts';
import { lineageOf } from './lineage.ts';
import { matches, matchesBeside, type MatchSubject } from './match.ts';
import { count, list } from './sentences.ts';
import { concerns, means, writeOf, type PolicyFacts, type Write } from './write.ts';

/**
 * Judges by the NEVER list. `destroy` is on it for everybody and nothing takes it off. `delete` is
 * on it for agents, unless a permission names it for that target and those resources and the
 * inverse is proved. The file's own lines come after.
 */
export function neverFindings(policy: Policy, facts: PolicyFacts): Finding[] {
  const write = writeOf(facts);
  const findings: Finding[] = [];
  if (write.class === 'destroy') {
    const what =
      facts.blastRadius.recordsDeleted > 0 ? deletedText(facts) : changedText(facts, write);
    const reason = `${what}; \`destroy\` is never done and no configuration enables it`;
    findings.push(never('destroy', reason));
  }
  if (write.class === 'delete' && facts.principal.kind === 'agent') {
    const hindrance = deleteHindrance(policy, facts, write);
    if (hindrance !== undefined) {
      findings.push(never('delete', `${deletedText(facts)}; agents never delete: ${hindrance}`));
    }
  }
  for (const line of candidatesOf(policy, write.subject).never) {
    if (!concerns(line.match, write)) continue;
    findings.push(never(line.name, `${line.reason}; ${changedText(facts, write)}`));
  }
  return findings;
}

function never(name: string, reason: string): Finding {
  return { stage: 'never', verdict: 'deny', rule: `never.${name}`, code: 'never', reason };
}

function deleteHindrance(policy: Policy, facts: PolicyFacts, write: Write): string | undefined {
  const lines = policy.agents.get(facts.principal.name)?.permissions ?? [];
  const unnamed = write.direct.filter(
    (resource) =>
      !lines.some((line) => namesDelete(line, write.subject, lineageOf(write.plan, resource))),
  );
  if (unnamed.length > 0) {
    return `no permission names \`delete\` for ${list(unnamed.map(quote))} on ${quote(facts.target)} at tier \`confirm\``;
  }
  // Taking a delete back puts rows in: that needs no proof of a way back.
  if (facts.compensation) return undefined;
  const { kind } = facts.plan.reversibility;
  return kind === 'proved' ? undefined : `its inverse is ${kind}, not proved`;
}

/** Reports whether a line names the deletes of a resource, which goes by any of these names. */
export function namesDelete(
  line: Permission,
  subject: MatchSubject,
  names: readonly string[],
): boolean {
  return (
    line.tier === 'confirm' &&
    line.match.class?.includes('delete') === true &&
    line.match.target?.includes(subject.target) === true &&
    names.some((name) => line.match.resource?.includes(name)) &&
    matchesBeside(line.match, subject)
  );
}

function deletedText(facts: PolicyFacts): string {
  const direct = deletedRows(facts, true);
  const indirect = deletedRows(facts, false);
  const figure = indirect === 0 ? count(direct) : `${count(direct)} + ${count(indirect)}`;
  const tables = new Set(
    facts.plan.counts.filter((each) => each.deleted > 0).map((each) => each.resource),
  ).size;
  return `${figure} ${direct + indirect === 1 ? 'row' : 'rows'} would be deleted in ${count(tables, 'table')}`;
}

function deletedRows(facts: PolicyFacts, isDirect: boolean): number {
  return facts.plan.counts
    .filter((each) => (each.attribution === 'direct') === isDirect)
    .reduce((sum, each) => sum + each.deleted, 0);
}

function changedText(facts: PolicyFacts, write: Write): string {
  const records = count(facts.blastRadius.records, 'record');
  return `${records} would change in ${list(write.affected.map(quote))}`;
}

/** From the weakest on. */
export const TIERS: readonly Tier[] = ['read-only', 'confirm', 'autonomous'];

/**
 * Judges by the agent's tier: the strongest line for each resource that it writes to, the weakest
 * of those resources for the whole. People have no tier: they may take back what was applied, and
 * propose nothing else.
 */
export function permissionFindings(policy: Policy, facts: PolicyFacts): Finding[] {
  if (facts.principal.kind === 'person') {
    return facts.compensation
      ? [permission('allow', 'allowed', 'people', 'people may take back what was applied')]
      : [permission('deny', 'not-permitted', 'people', 'people propose nothing but to take back')];
  }
  const { name } = facts.principal;
  const agent = policy.agents.get(name);
  if (agent === undefined) {
    const reason = `the policy names no agent \`${name}\`; what is not named is denied`;
    return [permission('deny', 'unknown-agent', 'agents', reason)];
  }
  const write = writeOf(facts);
  const held = write.direct.map((resource) => ({
    resource,
    ...strongestLine(agent, write.subject, (match) => means(match, write, resource)),
  }));
  const [weakest] = held.toSorted((left, right) => left.rank - right.rank);
  if (weakest === undefined) return [];
  const line = weakest.index < 0 ? '' : `.permissions[${weakest.index}]`;
  const rule = `agents.${name}${line}`;
  const what = `${write.class} of ${quote(weakest.resource)} on ${quote(facts.target)}`;
  const tier = TIERS[weakest.rank];
  if (tier === undefined) {
    const reason = `\`${name}\` has no permission for ${what}; what no line names is read-only`;
    return [permission('deny', 'not-permitted', rule, reason)];
  }
  const reason = `\`${name}\` is ${tier} for ${what}`;
  if (tier === 'confirm') {
    return [permission('wait', 'approval-required', rule, `${reason}; people decide`)];
  }
  const isHarmless = tier === 'autonomous' || write.class === 'read';
  return [
    permission(isHarmless ? 'allow' : 'deny', isHarmless ? 'allowed' : 'read-only', rule, reason),
  ];
}

/**
 * Reports whether an agent holds any permission at all on a resource, whatever its class and tier:
 * who holds none is not shown by a preview what is in it.
 */
export function holdsAny(
  policy: Policy,
  subject: MatchSubject & { readonly agent: string; readonly resource: string },
): boolean {
  return lineHeld(policy, subject) >= 0;
}

/** The place of the first line that `holdsAny` goes by; -1 for none. */
export function lineHeld(
  policy: Policy,
  subject: MatchSubject & { readonly agent: string; readonly resource: string },
): number {
  const lines = policy.agents.get(subject.agent)?.permissions ?? [];
  return lines.findIndex(({ match }) => {
    const { class: _anyClass, ...rest } = match;
    return matches(rest, subject);
  });
}

function permission(
  verdict: Finding['verdict'],
  code: Finding['code'],
  rule: string,
  reason: string,
): Finding {
  return { stage: 'permission', verdict, rule, code, reason };
}

/**
 * Finds the strongest line for one resource: its place among the agent's lines and in `TIERS`, -1 for
 * none. `isMeant` says whether a line means the resource.
 */
export function strongestLine(
  agent: AgentPolicy,
  subject: MatchSubject & { readonly class: EffectClass },
  isMeant: (match: Permission['match']) => boolean,
): { readonly index: number; readonly rank: number } {
  let best = { index: -1, rank: -1 };
  for (const [index, line] of agent.permissions.entries()) {
    if (!covers(line, subject.class) || !matchesBeside(line.match, subject)) continue;
    if (!isMeant(line.match)) continue;
    const rank = TIERS.indexOf(line.tier);
    if (rank > best.rank) best = { index, rank };
  }
  return best;
}

/** A line that names no class speaks of read, create and update: what is on the NEVER list is named or not meant. */
function covers(line: Permission, effectClass: EffectClass): boolean {
  if (line.match.class !== undefined) return true;
  return effectClass !== 'delete' && effectClass !== 'destroy';
}
