import { EFFECT_CLASSES } from '../../model/plan.ts';
import type { AgentPolicy, Policy, Tier } from '../../model/policy.ts';
import { isPattern, matches } from '../stages/match.ts';
import { namesDelete, strongestLine, TIERS } from '../stages/permissions.ts';
import type { SeenWrite } from './seen.ts';
import { count } from '../stages/sentences.ts';
import type { DraftLine } from './suggest-bounds.ts';

export interface DraftPermissions {
  readonly lines: readonly DraftLine[];
  /** Resources that a line cannot name in full. */
  readonly unnamed: number;
}

/** What the file takes as a name in a match. */
const NAMEABLE = /^[^*\s\p{C}]{1,255}$/u;

interface Used {
  readonly target: string;
  readonly class: SeenWrite['class'];
  readonly resource: string;
  readonly operations: Set<string>;
  rank: number;
  writes: number;
}

/** Drafts what an agent used, by target, class, operation and resource, and keeps its read-only lines. */
export function permissionsOf(
  policy: Policy,
  agent: string,
  writes: readonly SeenWrite[],
): DraftPermissions {
  const held = policy.agents.get(agent);
  if (held === undefined) return { lines: [], unnamed: 0 };
  const used = new Map<string, Used>();
  const unnamed = new Set<string>();
  for (const write of writes) {
    for (const resource of write.resources) {
      if (!NAMEABLE.test(resource) || isPattern(resource)) {
        unnamed.add(resource);
        continue;
      }
      const rank = rankOf(held, write, resource);
      if (rank > 0) note(used, write, resource, rank);
    }
  }
  const lines = grouped([...used.values()], environmentsOf(held, writes));
  return { lines: [...lines, ...readOnlyLines(held)], unnamed: unnamed.size };
}

/** The weaker of what was held then and what is held now; 0 or less for none. */
function rankOf(held: AgentPolicy, write: SeenWrite, resource: string): number {
  const subject = {
    agent: write.agent,
    environment: write.environment,
    target: write.target,
    operation: write.operation,
    resource,
    class: write.class,
  };
  const now = strongestLine(held, subject, (match) => matches(match, subject)).rank;
  if (write.class === 'destroy') return -1;
  const isDelete = write.class === 'delete';
  if (isDelete && !held.permissions.some((line) => namesDelete(line, subject, [resource])))
    return -1;
  const then = TIERS.indexOf(write.tier);
  return Math.min(now, then, isDelete ? TIERS.indexOf('confirm') : Infinity);
}

function note(used: Map<string, Used>, write: SeenWrite, resource: string, rank: number): void {
  const { target, class: effectClass, operation } = write;
  const key = JSON.stringify([target, effectClass, resource]);
  const known = used.get(key) ?? {
    target,
    class: effectClass,
    resource,
    operations: new Set<string>(),
    rank,
    writes: 0,
  };
  known.operations.add(operation);
  known.rank = Math.min(known.rank, rank);
  known.writes += 1;
  used.set(key, known);
}

/** One line for the resources that agree in everything else. */
function grouped(used: readonly Used[], environment: readonly string[]): readonly DraftLine[] {
  const groups = new Map<string, Used[]>();
  for (const each of used) {
    const operations = [...each.operations].toSorted(byText);
    const key = JSON.stringify([each.target, each.class, each.rank, operations]);
    groups.set(key, [...(groups.get(key) ?? []), each]);
  }
  return [...groups.values()]
    .flatMap((group) => {
      const [first] = group;
      return first === undefined ? [] : [{ first, group }];
    })
    .toSorted((left, right) => orderOf(left.first) - orderOf(right.first))
    .map(({ first, group }) => lineOf(first, group, environment));
}

function lineOf(
  { target, class: effectClass, operations, rank }: Used,
  group: readonly Used[],
  environment: readonly string[],
): DraftLine {
  const writes = group.reduce((sum, each) => sum + each.writes, 0);
  const tier: Tier = TIERS[rank] ?? 'read-only';
  return {
    seen: `seen ${count(writes, 'write')} to ${count(group.length, 'resource')}`,
    value: {
      target,
      ...(environment.length === 0 ? {} : { environment: [...environment] }),
      operation: [...operations].toSorted(byText),
      resource: group.map(({ resource }) => resource).toSorted(byText),
      class: effectClass,
      tier,
    },
  };
}

/** Only where a line of the agent tells environments apart: then a draft does too. */
function environmentsOf(held: AgentPolicy, writes: readonly SeenWrite[]): readonly string[] {
  const isTold = held.permissions.some(({ match }) => match.environment !== undefined);
  return isTold ? [...new Set(writes.map(({ environment }) => environment))].toSorted(byText) : [];
}

function readOnlyLines(held: AgentPolicy): readonly DraftLine[] {
  return held.permissions
    .filter(({ tier }) => tier === 'read-only')
    .map(({ match, tier }) => ({ seen: 'as it is in the file', value: { ...match, tier } }));
}

function orderOf({ class: effectClass }: Used): number {
  return EFFECT_CLASSES.indexOf(effectClass);
}

function byText(left: string, right: string): number {
  return left < right ? -1 : 1;
}
