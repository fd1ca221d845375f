import type { Command } from 'commander';
import { GatewayProblem } from '../client/problem.ts';
import type { ExplainedTarget } from '../policy/explain/explained.ts';
import { nearest } from '../lib/nearest.ts';
import type { Configuration } from '../model/policy.ts';
import { Problem } from '../model/problem.ts';
import { configurationPath, withConfiguration, type ConfigurationOption } from './configuration.ts';
import { connect } from './connect.ts';
import type { Io } from './io.ts';
import { explanationLines, type ExplainAnswer } from './render-explain.ts';
import { print, withConnection, withExample, type ConnectionOptions, type Shell } from './shell.ts';

interface ExplainOptions extends ConnectionOptions, ConfigurationOption {
  readonly environment?: string;
}

/** `policy explain`: what each tier allows an agent, of the file as it is. */
export function addPolicyExplain(group: Command, shell: Shell): void {
  const command = withConfiguration(
    group
      .command('explain')
      .description('what an agent may do on its own, with a yes of people, or never')
      .argument('<agent>', 'name in writegate.yaml'),
  ).option('--environment <name>', 'as if it wrote there; else that of writegate.yaml');
  withExample(
    withConnection(command),
    'writegate policy explain crm-bot',
    'writegate policy explain crm-bot --environment staging --json',
  ).action((agent: string, options: ExplainOptions) => explainAgent(shell, agent, options));
}

async function explainAgent({ io }: Shell, agent: string, options: ExplainOptions): Promise<void> {
  const { loadConfiguration } = await import('../main/configuration.ts');
  const configuration = await loadConfiguration(configurationPath(io, options));
  const { policy } = configuration;
  const asked = await askGateway(io, options, configuration);
  const { explain } = await import('../policy/explain.ts');
  const environment = options.environment ?? configuration.environment;
  const explanation = explain({ policy, agent, environment, targets: asked.targets });
  if (explanation === undefined) throw unknownAgent(agent, [...policy.agents.keys()]);
  const answer: ExplainAnswer = { ...explanation, source: asked.source };
  print(io, options, answer, (look) => explanationLines(answer, look));
}

interface Asked {
  readonly targets: readonly ExplainedTarget[];
  readonly source: ExplainAnswer['source'];
}

/** What the gateway says of its targets; none that answers is no reason not to explain the file. */
async function askGateway(
  io: Io,
  options: ConnectionOptions,
  { targets, policy }: Configuration,
): Promise<Asked> {
  try {
    const client = await connect(io, options, 'person');
    const [status, { items: operations }, { items: resources }] = await Promise.all([
      client.gatewayStatus(),
      client.operations(),
      client.resources(),
    ]);
    return {
      source: { kind: 'gateway', isInForce: status.policyDigest === policy.digest },
      targets: targets.map(({ name, kind }) => ({
        name,
        kind,
        operations: namesOf(operations.filter((each) => each.target === name)),
        resources: resources.find((each) => each.target === name)?.resources ?? null,
      })),
    };
  } catch (error) {
    if (!(error instanceof Problem || error instanceof GatewayProblem)) throw error;
    const unknown = { operations: null, resources: null };
    return {
      source: { kind: 'file', why: error.message },
      targets: targets.map(({ name, kind }) => ({ name, kind, ...unknown })),
    };
  }
}

/** Null for a target of the file that the gateway does not have. */
function namesOf(operations: readonly { readonly operation: string }[]): readonly string[] | null {
  const names = operations.map(({ operation }) => operation);
  return names.length === 0 ? null : names;
}

function unknownAgent(agent: string, known: readonly string[]): Problem {
  const near = nearest(agent, known);
  const names = known.map((name) => `\`${name}\``).join(', ') || 'none';
  const remedy = near === undefined ? `it names ${names}` : `write \`${near}\``;
  return new Problem(
    'configuration-invalid',
    `expected an agent of writegate.yaml, found \`${agent}\`, which may do nothing; ${remedy}`,
  );
}
