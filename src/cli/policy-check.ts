import type { Command } from 'commander';
import type { Configuration, Permission, Policy } from '../model/policy.ts';
import { configurationPath } from './configuration.ts';
import { counted, field, heading, whole, type Look } from './look.ts';
import { print, withExample, withJson, type JsonOption, type Shell } from './shell.ts';

/** `policy check`: whether a file loads, and at a glance what it lets through. */
export function addPolicyCheck(policy: Command, shell: Shell): void {
  const command = policy
    .command('check')
    .description('load a policy and say at a glance what it lets through; touches nothing')
    .argument('[file]', 'else ./writegate.yaml');
  withExample(
    withJson(command),
    'writegate policy check',
    'writegate policy check next.yaml',
  ).action((file: string | undefined, options: JsonOption) => check(shell, file, options));
}

async function check({ io }: Shell, file: string | undefined, options: JsonOption): Promise<void> {
  const { loadConfiguration } = await import('../main/configuration.ts');
  const path = configurationPath(io, file === undefined ? {} : { config: file });
  const glance = glanceOf(path, await loadConfiguration(path));
  print(io, options, glance, (look) => glanceLines(glance, look));
}

/** A policy at a glance. */
export interface Glance {
  readonly file: string;
  readonly digest: string;
  readonly mode: Policy['mode'];
  readonly environment: string;
  readonly targets: readonly string[];
  readonly agents: readonly { readonly name: string; readonly may: readonly string[] }[];
  /** Who has each role that somebody has. */
  readonly people: Readonly<Record<string, readonly string[]>>;
  readonly lines: Readonly<
    Record<'never' | 'limits' | 'thresholds' | 'budgets' | 'rules' | 'validations', number>
  >;
  readonly warnings: readonly string[];
}

/** Looks a policy over without asking it anything. */
export function glanceOf(file: string, { policy, environment, targets }: Configuration): Glance {
  const { digest, mode, agents, people, never, limits, thresholds, budgets } = policy;
  const byRole = new Map<string, string[]>();
  for (const { name, roles } of people.values()) {
    for (const role of roles) byRole.set(role, [...(byRole.get(role) ?? []), name]);
  }
  return {
    file,
    digest,
    mode,
    environment,
    targets: targets.map(({ name, kind }) => `${name} (${kind})`),
    agents: [...agents.values()].map(({ name, permissions }) => ({
      name,
      may: permissions.map(permissionText),
    })),
    people: Object.fromEntries(byRole),
    lines: {
      never: never.length,
      limits: limits.length,
      thresholds: thresholds.length,
      budgets: budgets.length,
      rules: policy.rules.length,
      validations: policy.validations.length,
    },
    warnings: warningsOf(policy),
  };
}

function permissionText({ match, tier }: Permission): string {
  const { class: classes, resource, target, operation, environment } = match;
  const beside = [
    ...(target === undefined ? [] : [`on ${target.join(', ')}`]),
    ...(operation === undefined ? [] : [`by ${operation.join(', ')}`]),
    ...(environment === undefined ? [] : [`in ${environment.join(', ')}`]),
  ];
  const what = `${(classes ?? ['read', 'create', 'update']).join(', ')} of ${resource?.join(', ') ?? 'everything'}`;
  return [`${tier}: ${what}`, ...beside].join(' ');
}

/** What loads and is likely not meant. */
function warningsOf({ agents, people, rules, limits, thresholds }: Policy): readonly string[] {
  const permissions = [...agents.values()].flatMap((agent) => agent.permissions);
  const held = [...people.values()].flatMap(({ roles }) => roles);
  const mayWait =
    permissions.some(({ tier }) => tier === 'confirm') ||
    thresholds.length > 0 ||
    rules.some(({ effect }) => effect === 'require');
  const idle = [...agents.values()].filter((agent) =>
    agent.permissions.every(({ tier }) => tier === 'read-only'),
  );
  const isUnbound = limits.length === 0 && permissions.some(({ tier }) => tier === 'autonomous');
  return [
    ...(held.includes('policy')
      ? []
      : [
          'nobody has the role `policy`: a weaker version is let in on the host alone, with --offline',
        ]),
    ...(mayWait && !held.includes('approver')
      ? ['nobody has the role `approver`: what waits for people expires']
      : []),
    ...(rules.some(({ effect }) => effect === 'permit')
      ? []
      : ['no rule permits anything: every write of an agent is denied']),
    ...(isUnbound ? ['agents are autonomous somewhere, and no limit bounds what they write'] : []),
    ...idle.map(({ name }) => `agent \`${name}\` may write nothing`),
  ];
}

function glanceLines(glance: Glance, look: Look): readonly string[] {
  const { lines, people } = glance;
  return [
    ...heading(look, [['loads', look.paint.green], [glance.file]]),
    ...field(look, 'mode', glance.mode),
    ...field(look, 'environment', glance.environment),
    ...whole(look, 'digest', glance.digest),
    ...field(look, 'targets', glance.targets.join(', ') || 'none'),
    ...glance.agents.flatMap(({ name, may }) => [
      ...field(look, 'agent', name),
      ...may.flatMap((text) => field(look, '', text)),
    ]),
    ...Object.entries(people).flatMap(([role, names]) => field(look, role, names.join(', '))),
    ...field(
      look,
      'lines',
      [
        `${lines.never} never`,
        counted(lines.limits, 'limit'),
        counted(lines.thresholds, 'threshold'),
        counted(lines.budgets, 'budget'),
        counted(lines.rules, 'rule'),
        counted(lines.validations, 'validation'),
      ].join(', '),
    ),
    ...glance.warnings.flatMap((warning) => field(look, 'warning', warning, look.paint.yellow)),
  ];
}
