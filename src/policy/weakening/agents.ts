/** Agents and people: who may do more, and who may agree to more. */
import type { Match, Permission, Person, Policy, Tier } from '../../model/policy.ts';
import type { Role } from '../../model/principal.ts';
import { list } from '../stages/sentences.ts';
import { conditionsOf, paired, type Comparison } from './changes.ts';
import { covers, partsOf } from './cover.ts';
import { classesText, orNone } from './words.ts';

const TIERS: readonly Tier[] = ['read-only', 'confirm', 'autonomous'];

export function compareAgents(
  comparison: Comparison,
  before: Policy['agents'],
  after: Policy['agents'],
): void {
  for (const [name, old, present] of paired(before, after)) {
    const path = `agents.${name}`;
    const [had, has] = [old?.permissions ?? [], present?.permissions ?? []];
    if (old === undefined) comparison.same(path, 'added');
    for (const text of beyond(has, had)) comparison.weaker(path, `gains ${text}`);
    const lost = beyond(had, has);
    for (const text of lost) comparison.tighter(path, `loses ${text}`);
    // What was autonomous may be left at `confirm`.
    if (lost.length > 0) comparison.asksDefault();
    if (present === undefined) comparison.tighter(path, 'removed');
    else if (old !== undefined) compareOwner(comparison, path, [old.owner, present.owner]);
  }
}

/** What the lines give beyond what the others give: one sentence for each line that does. */
function beyond(lines: readonly Permission[], others: readonly Permission[]): readonly string[] {
  return lines.flatMap((line) => {
    const parts = ordinary(line.match).filter(
      (part) => !others.some((other) => gives(other, part, line.tier)),
    );
    return parts.length === 0 ? [] : [permissionText(parts, line.tier)];
  });
}

/** A line that names no class speaks of these, and of no other. */
function ordinary(match: Match): readonly Match[] {
  return partsOf({ ...match, class: match.class ?? ['read', 'create', 'update'] });
}

function gives(line: Permission, part: Match, tier: Tier): boolean {
  if (TIERS.indexOf(line.tier) < TIERS.indexOf(tier)) return false;
  return covers({ ...line.match, class: line.match.class ?? ['read', 'create', 'update'] }, part);
}

function permissionText(parts: readonly Match[], tier: Tier): string {
  const values = (key: 'target' | 'resource' | 'class' | 'operation' | 'environment') => [
    ...new Set(parts.flatMap((part): readonly string[] => part[key] ?? [])),
  ];
  const resources = values('resource');
  const beside = (['target', 'operation', 'environment'] as const).flatMap((key) => {
    const names = values(key);
    return names.length === 0 ? [] : [`${key} ${list(names)}`];
  });
  const what = resources.length === 0 ? 'everything' : list(resources);
  const where = beside.length === 0 ? '' : ` (${beside.join(', ')})`;
  return `${classesText(parts.flatMap((part) => part.class ?? []).filter(isFirst))} of ${what}${where} at ${tier}`;
}

function isFirst<Item>(item: Item, position: number, items: readonly Item[]): boolean {
  return items.indexOf(item) === position;
}

/** The owner never approves what the agent proposes: one who is no longer owner may. */
function compareOwner(
  comparison: Comparison,
  path: string,
  [old, present]: readonly [string | null, string | null],
): void {
  if (old === present) return;
  const { policy } = comparison.after;
  const change = `owner ${orNone(old)} → ${orNone(present)}`;
  const freed = old !== null && policy.people.get(old)?.roles.includes('approver') === true;
  if (freed) comparison.weaker(path, `${change}: \`${old}\` may approve what it proposes`);
  const asking = conditionsOf(policy).filter(({ text }) => /\bprincipal\b/.test(text));
  for (const condition of asking) {
    comparison.weaker(path, `${change}: the condition of ${condition.path} may look at the owner`);
  }
  if (freed || asking.length > 0) return;
  if (present === null) comparison.same(path, change);
  else comparison.tighter(path, `${change}: \`${present}\` may not approve what it proposes`);
}

/** What each role lets its holder do that a person without it cannot; all but `auditor` let writes through. */
const ROLES: Readonly<Record<Role, 'weaker' | 'same'>> = {
  operator: 'weaker',
  approver: 'weaker',
  policy: 'weaker',
  auditor: 'same',
};

export function comparePeople(
  comparison: Comparison,
  before: Policy['people'],
  after: Policy['people'],
): void {
  for (const [name, old, present] of paired(before, after)) {
    const path = `people.${name}`;
    if (present === undefined) {
      comparison.tighter(path, 'removed');
      continue;
    }
    if (old === undefined) comparison.same(path, 'added');
    comparePerson(comparison, path, old ?? { name, roles: [], groups: [] }, present);
  }
}

function comparePerson(comparison: Comparison, path: string, old: Person, present: Person): void {
  for (const role of without(present.roles, old.roles)) {
    comparison[ROLES[role]](path, `gains the role ${role}`);
  }
  for (const role of without(old.roles, present.roles)) {
    comparison[ROLES[role] === 'weaker' ? 'tighter' : 'same'](path, `loses the role ${role}`);
  }
  // Groups count for approvals, and for the release of stops.
  const counts = present.roles.some((role) => role === 'approver' || role === 'operator');
  for (const group of without(present.groups, old.groups)) {
    comparison[counts ? 'weaker' : 'same'](path, `joins the group ${group}`);
  }
  for (const group of without(old.groups, present.groups)) {
    comparison[counts ? 'tighter' : 'same'](path, `leaves the group ${group}`);
  }
}

function without<Item>(items: readonly Item[], others: readonly Item[]): readonly Item[] {
  return [...new Set(items)].filter((item) => !others.includes(item));
}
