import type { Command } from 'commander';
import { configurationPath } from './configuration.ts';
import { connect } from './connect.ts';
import { addRevoke, printCredential } from './credential.ts';
import { listHolders, withHolders, type HolderListOptions } from './holders.ts';
import { withConnection, withExample, type ConnectionOptions, type Shell } from './shell.ts';

/** `agent add | list | revoke`: credentials of agents. */
export function addAgent(program: Command, shell: Shell): void {
  const agent = program.command('agent').description('make and revoke credentials of agents');
  withExample(
    withConnection(
      agent
        .command('add')
        .description('make a credential for an agent of writegate.yaml; shows its token once')
        .argument('<name>', 'agent'),
    ),
    'writegate agent add crm-bot',
  ).action((name: string, options: ConnectionOptions) => add(shell, name, options));
  withExample(
    withHolders(
      agent
        .command('list')
        .description('list the agents of writegate.yaml with the ids of their credentials'),
    ),
    'writegate agent list',
  ).action((options: HolderListOptions) => list(shell, options));
  addRevoke(agent, shell);
}

async function add({ io }: Shell, name: string, options: ConnectionOptions): Promise<void> {
  const client = await connect(io, options, 'person');
  const credential = await client.issueCredential({ kind: 'agent', name });
  printCredential(io, options, credential);
}

async function list({ io }: Shell, options: HolderListOptions): Promise<void> {
  const { loadConfiguration } = await import('../main/configuration.ts');
  const { policy } = await loadConfiguration(configurationPath(io, options));
  const named = [...policy.agents.values()].map(({ name, owner, permissions }) => {
    const tiers = permissions.map((permission) => permission.tier);
    const said = tiers.length === 0 ? 'read-only' : [...new Set(tiers)].join(', ');
    const description = owner === null ? said : `${said}; owned by ${owner}`;
    return { item: { name, owner, tiers }, description };
  });
  await listHolders(io, options, 'agent', named);
}
