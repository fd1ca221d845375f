/** The names of `writegate.yaml` and the credentials that are live for them. */
import type { Command } from 'commander';
import { GatewayProblem } from '../client/problem.ts';
import type { CredentialBody } from '../model/api.ts';
import { Problem } from '../model/problem.ts';
import { withConfiguration, type ConfigurationOption } from './configuration.ts';
import { connect } from './connect.ts';
import type { Io } from './io.ts';
import { pairLines } from './render-result.ts';
import { print, remark, withConnection, type ConnectionOptions } from './shell.ts';

export type HolderListOptions = ConnectionOptions & ConfigurationOption;

/** One name of the file. */
interface Named {
  /** As `--json` shows it. */
  readonly item: { readonly name: string };
  /** What the file says of it, in a few words. */
  readonly description: string;
}

/** Adds what a list of names takes: the file they stand in, and the gateway that knows their credentials. */
export function withHolders(command: Command): Command {
  return withConfiguration(withConnection(command));
}

/** Prints names with the ids of their live credentials; while no gateway answers, the names alone. */
export async function listHolders(
  io: Io,
  options: HolderListOptions,
  kind: CredentialBody['holder']['kind'],
  named: readonly Named[],
): Promise<void> {
  const live = named.length === 0 ? new Map<string, string[]>() : await liveIds(io, options, kind);
  if (live === null) remark(io, 'no gateway answers: credentials are not shown');
  const items = named.map(({ item }) => ({
    ...item,
    credentials: live === null ? null : (live.get(item.name) ?? []),
  }));
  const section = kind === 'agent' ? 'agents' : 'people';
  print(io, options, { items }, () =>
    named.length === 0
      ? [`no ${section}; add one under \`${section}\` in writegate.yaml`]
      : pairLines(named.flatMap((each) => pairsOf(each, live))),
  );
}

type Pair = readonly [string, string];

function pairsOf({ item, description }: Named, live: Live | null): readonly Pair[] {
  const ids = live === null ? [] : (live.get(item.name) ?? ['no credential']);
  return [[item.name, description], ...ids.map((id): Pair => ['', id])];
}

type Live = ReadonlyMap<string, readonly string[]>;

/** Ids by name, or null while no gateway answers. */
async function liveIds(
  io: Io,
  options: HolderListOptions,
  kind: CredentialBody['holder']['kind'],
): Promise<Live | null> {
  try {
    const client = await connect(io, options, 'person');
    const { items } = await client.credentials();
    const ofKind = items.filter((each) => each.holder.kind === kind && each.revokedAt === null);
    const byName = Map.groupBy(ofKind, ({ holder }) => holder.name);
    return new Map([...byName].map(([name, each]) => [name, each.map(({ id }) => id)]));
  } catch (error) {
    const isAway = error instanceof Problem || error instanceof GatewayProblem;
    if (isAway && error.code === 'gateway-unreachable') return null;
    throw error;
  }
}
