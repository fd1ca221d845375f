/** What the schema cannot see: names that must exist, and lines that could never do what they say. */
import { isJsonObject, type Json } from '../../lib/json.ts';
import { nearest } from '../../lib/nearest.ts';
import type { Policy } from '../../model/policy.ts';
import { isPattern, matchesPattern } from '../stages/match.ts';
import { ENVIRONMENT_DEFAULT } from './build.ts';
import { mayRelease } from './release.ts';
import { routeSatisfied } from '../stages/route.ts';
import { many, pathText, type FileShape, type MatchShape, type PermissionShape } from './shape.ts';
import { hasPassword, isSecretName, isWrittenOut } from './secrets.ts';
import { valueOffset, type Fault, type Path, type Source } from './source.ts';

/** Checks a file that is of the form as a whole; returns every fault. */
export function checkReferences(file: FileShape, policy: Policy, source: Source): readonly Fault[] {
  const found = [
    ...sameNames(file),
    ...takenNames(file),
    ...permissionFaults(file),
    ...matchFaults(file),
    ...routeReferences(file, policy),
    ...routeFaults(file, policy),
    ...releaseFaults(file, policy),
    ...emptyBounds(file),
    ...ruleFaults(file),
    ...dependentFaults(file),
    ...secretFaults(file),
  ];
  return found.map(({ path, message }) => ({ offset: valueOffset(source, path), message }));
}

interface Found {
  readonly path: Path;
  readonly message: string;
}

function sameNames(file: FileShape): readonly Found[] {
  return [
    ...repeated(
      'never',
      'name',
      (file.never ?? []).map((line) => line.name),
    ),
    ...repeated(
      'limits',
      'name',
      (file.limits ?? []).map((line) => line.name),
    ),
    ...repeated(
      'thresholds',
      'name',
      (file.thresholds ?? []).map((line) => line.name),
    ),
    ...repeated(
      'budgets',
      'name',
      (file.budgets ?? []).map((line) => line.name),
    ),
    ...repeated(
      'dependents',
      'name',
      (file.dependents ?? []).map((line) => line.name),
    ),
    ...repeated(
      'anomaly.lines',
      'name',
      (file.anomaly?.lines ?? []).map((line) => line.name),
    ),
    ...repeated(
      'validations',
      'name',
      (file.validations ?? []).map((line) => line.name),
    ),
    ...repeated(
      'rules',
      'id',
      (file.rules ?? []).map((line) => line.id),
    ),
  ];
}

function repeated(section: string, key: string, names: readonly string[]): readonly Found[] {
  const first = new Map<string, number>();
  return names.flatMap((name, index) => {
    const earlier = first.get(name);
    if (earlier === undefined) {
      first.set(name, index);
      return [];
    }
    const message = `expected another ${key} in \`${section}\`, found \`${name}\` again, as in \`${section}[${earlier}]\`; rename one of them`;
    return [{ path: [...section.split('.'), index, key], message }];
  });
}

/** Findings name these two for the lines that no file can remove. */
function takenNames(file: FileShape): readonly Found[] {
  return (file.never ?? []).flatMap(({ name }, index) => {
    if (name !== 'destroy' && name !== 'delete') return [];
    const message = `expected a name other than \`destroy\` and \`delete\`, found \`${name}\`; rename the line`;
    return [{ path: ['never', index, 'name'], message }];
  });
}

function permissionFaults(file: FileShape): readonly Found[] {
  const found: Found[] = [];
  const people = Object.keys(file.people ?? {});
  for (const [name, { owner, permissions }] of Object.entries(file.agents ?? {})) {
    if (owner !== undefined) {
      found.push(...unknown(['agents', name, 'owner'], 'a person', owner, people, 'people'));
    }
    for (const [index, line] of (permissions ?? []).entries()) {
      found.push(...permissionFault(line, ['agents', name, 'permissions', index]));
    }
  }
  return found;
}

/** No line may promise what the NEVER list takes back. */
function permissionFault(line: PermissionShape, path: Path): readonly Found[] {
  if (line.tier === 'read-only') return [];
  const classes = many(line.class);
  const at = (message: string) => [{ path: [...path, 'class'], message }];
  if (classes.includes('destroy')) {
    return at(
      `expected no class \`destroy\` at tier \`${line.tier}\`, found it; remove it: no configuration enables it`,
    );
  }
  if (!classes.includes('delete')) return [];
  if (line.tier === 'autonomous') {
    return at(
      'expected class `delete` at tier `confirm`, found `autonomous`; move it to a line of its own with `tier: confirm`',
    );
  }
  const names = [many(line.target), many(line.resource)];
  if (names.every((each) => each.length > 0 && !each.some(isPattern))) return [];
  return at(
    'expected class `delete` with its target and its resource named in full, found it without; name both, with no `*`',
  );
}

function matchFaults(file: FileShape): readonly Found[] {
  const sections = {
    never: file.never ?? [],
    limits: file.limits ?? [],
    thresholds: file.thresholds ?? [],
    budgets: file.budgets ?? [],
    rules: file.rules ?? [],
    validations: file.validations ?? [],
  };
  const lines: (readonly [Path, MatchShape | undefined])[] = [];
  for (const [section, items] of Object.entries(sections)) {
    for (const [index, { match }] of items.entries())
      lines.push([[section, index, 'match'], match]);
  }
  for (const [index, match] of (file.duplicates?.repeatable ?? []).entries()) {
    lines.push([['duplicates', 'repeatable', index], match]);
  }
  for (const [index, { match }] of (file.anomaly?.lines ?? []).entries()) {
    lines.push([['anomaly', 'lines', index, 'match'], match]);
  }
  for (const [name, agent] of Object.entries(file.agents ?? {})) {
    for (const [index, line] of (agent.permissions ?? []).entries()) {
      lines.push([['agents', name, 'permissions', index], line]);
    }
  }
  const targets = Object.keys(file.targets ?? {});
  const agents = Object.keys(file.agents ?? {});
  const found: Found[] = [];
  for (const [path, match] of lines) {
    found.push(
      ...unknownNames([...path, 'target'], 'a target', match?.target, targets, 'targets'),
      ...unknownNames([...path, 'agent'], 'an agent', match?.agent, agents, 'agents'),
      // What is permitted elsewhere permits nothing here, and is told by `policy explain`.
      ...(path[0] === 'agents'
        ? []
        : elsewhere([...path, 'environment'], match?.environment, file)),
    );
  }
  return found;
}

/** A line for other gateways alone would never match here. */
function elsewhere(
  path: Path,
  names: MatchShape['environment'],
  file: FileShape,
): readonly Found[] {
  const here = file.environment ?? ENVIRONMENT_DEFAULT;
  const all = many(names);
  if (all.length === 0 || all.some((each) => matchesPattern(each, here))) return [];
  const message = `expected this gateway's environment, \`${here}\`, found ${all.map((each) => `\`${each}\``).join(', ')}; change it or remove the line: it would never match`;
  return [{ path, message }];
}

function unknownNames(
  path: Path,
  what: string,
  names: MatchShape['target'],
  known: readonly string[],
  section: string,
): readonly Found[] {
  return many(names).flatMap((name, index) => {
    const at = typeof names === 'string' ? path : [...path, index];
    if (!isPattern(name)) return unknown(at, what, name, known, section);
    if (known.length === 0 || known.some((each) => matchesPattern(name, each))) return [];
    const message = `expected ${what} of \`${section}\` in ${pathText(path)}, found \`${name}\`, which none of them matches; change it or remove it here`;
    return [{ path: at, message }];
  });
}

function unknown(
  path: Path,
  what: string,
  name: string,
  known: readonly string[],
  section: string,
): readonly Found[] {
  if (known.includes(name)) return [];
  const near = nearest(name, known);
  const remedy =
    near === undefined ? `add it to \`${section}\` or remove it here` : `write \`${near}\``;
  const message = `expected ${what} of \`${section}\` in ${pathText(path)}, found \`${name}\`; ${remedy}`;
  return [{ path, message }];
}

function routeReferences(file: FileShape, policy: Policy): readonly Found[] {
  const known = [...policy.routes.keys()];
  const at = (path: Path, route: string | undefined) =>
    route === undefined ? [] : unknown(path, 'a route', route, known, 'routes');
  return [
    ...at(['defaultRoute'], file.defaultRoute),
    ...(file.thresholds ?? []).flatMap((each, index) =>
      at(['thresholds', index, 'route'], each.route),
    ),
    ...(file.rules ?? []).flatMap((each, index) => at(['rules', index, 'route'], each.route)),
    ...at(['anomaly', 'route'], file.anomaly?.route),
    ...(file.anomaly?.lines ?? []).flatMap((each, index) =>
      at(['anomaly', 'lines', index, 'route'], each.route),
    ),
  ];
}

/**
 * Asks everybody at once: a route that is not satisfied then never will be. The built-in default
 * is no line of the author's; with nobody to ask it waits until it expires.
 */
function routeFaults(file: FileShape, policy: Policy): readonly Found[] {
  const everybody = [...policy.people.values()]
    .filter((person) => person.roles.includes('approver'))
    .map(({ name, groups }) => ({ person: name, groups, verdict: 'approve' as const }));
  return Object.keys(file.routes ?? {}).flatMap((name) => {
    const { satisfied, missing } = routeSatisfied(
      policy.routes.get(name)?.steps ?? [],
      everybody,
      [],
    );
    if (satisfied) return [];
    const message = `expected people with the role \`approver\` to fill route \`${name}\`, found ${missing} missing; add people or lower the quorum`;
    return [{ path: ['routes', name], message }];
  });
}

/** A stop that all operators together cannot lift would stay for good. */
function releaseFaults(file: FileShape, policy: Policy): readonly Found[] {
  if (file.stop?.release === undefined) return [];
  const { release } = policy.stop;
  const able = [...policy.people.values()].filter((person) => mayRelease(release, person));
  if (able.length >= release.quorum) return [];
  const where = release.groups.length === 0 ? '' : ` in ${release.groups.join(', ')}`;
  const message = `expected at least ${release.quorum} people with the role \`operator\`${where} to release a stop, found ${able.length}; add people or lower the quorum`;
  return [{ path: ['stop', 'release'], message }];
}

function emptyBounds(file: FileShape): readonly Found[] {
  const sections = { limits: file.limits ?? [], thresholds: file.thresholds ?? [] };
  const besides = ['name', 'match', 'route'];
  return Object.entries(sections).flatMap(([section, lines]) =>
    lines.flatMap((line, index) => {
      if (Object.keys(line).some((key) => !besides.includes(key))) return [];
      const message = `expected at least one bound in \`${section}[${index}]\`, found none; add one or remove the line`;
      return [{ path: [section, index], message }];
    }),
  );
}

function ruleFaults(file: FileShape): readonly Found[] {
  return (file.rules ?? []).flatMap((rule, index) => {
    const path = ['rules', index] as const;
    if (rule.route !== undefined && rule.effect !== 'require') {
      const message = `expected a route with effect \`require\` alone, found one with \`${rule.effect}\`; remove it or change the effect`;
      return [{ path: [...path, 'route'], message }];
    }
    if (rule.effect === 'permit' && many(rule.match?.class).includes('destroy')) {
      const message =
        'expected classes that can be permitted, found `destroy`; remove it: no configuration enables it';
      return [{ path: [...path, 'match', 'class'], message }];
    }
    return [];
  });
}

/** A dependent that relies on nothing raises no risk, though it looks as if it did. */
function dependentFaults(file: FileShape): readonly Found[] {
  const lines = file.dependents ?? [];
  const names = lines.map((line) => line.name);
  const targets = Object.keys(file.targets ?? {});
  return lines.flatMap((line, index) => {
    const path = ['dependents', index] as const;
    if (line.resource === undefined && line.dependsOn === undefined) {
      const message = `expected \`resource\` or \`dependsOn\` in \`dependents[${index}]\`, found neither; say what \`${line.name}\` relies on`;
      return [{ path, message }];
    }
    if (line.target !== undefined && line.resource === undefined) {
      const message = `expected \`resource\` beside \`target\` in \`dependents[${index}]\`, found none; add it, \`"*"\` for all of the target`;
      return [{ path: [...path, 'target'], message }];
    }
    const unknownNeeds = many(line.dependsOn).flatMap((name) =>
      unknown([...path, 'dependsOn'], 'a dependent', name, names, 'dependents'),
    );
    const at = [...path, 'target'];
    return unknownNames(at, 'a target', line.target, targets, 'targets').concat(unknownNeeds);
  });
}

/** The ledger keeps the file's text: a secret in it could never be taken back. */
function secretFaults(file: FileShape): readonly Found[] {
  const ofTargets = Object.entries(file.targets ?? {}).flatMap(([name, settings]) =>
    secretsIn(settings, ['targets', name], false),
  );
  const ofStore = file.store === undefined ? [] : secretsIn(file.store, ['store'], false);
  return [...ofTargets, ...ofStore].map((path) => {
    const message = `expected \`\${env:NAME}\` or \`\${file:PATH}\` for the secret in ${pathText(path)}, found it written out; move it there: the ledger keeps the text of this file`;
    return { path, message };
  });
}

/** Below the name of a secret everything is secret. */
function secretsIn(value: Json, path: Path, isSecret: boolean): readonly Path[] {
  if (isJsonObject(value)) {
    return Object.entries(value).flatMap(([name, each]) =>
      secretsIn(each, [...path, name], isSecret || isSecretName(name)),
    );
  }
  if (Array.isArray(value)) {
    return value.flatMap((each: Json, index) => secretsIn(each, [...path, index], isSecret));
  }
  if (typeof value !== 'string' && typeof value !== 'number') return [];
  const text = String(value);
  return hasPassword(text) || (isSecret && isWrittenOut(text)) ? [path] : [];
}
