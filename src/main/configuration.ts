/**
 * The configuration in force, and how another comes into force while the gateway runs.
 *
 * 1. What is in force loaded without a fault and stands in the ledger. A crash between the entry
 *    and the change of policy leaves an entry too many, never a policy that no entry names.
 * 2. A file that does not load, or is gone, changes nothing: the last good version stays, and the
 *    status says why the file is not in force (fail closed).
 * 3. Only the policy changes while the gateway runs. What else the file says takes a restart.
 */
import { dirname, resolve } from 'node:path';
import { canonicalJson } from '../lib/canonical.ts';
import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts';
import { parseLeaf } from '../ledger/leaf.ts';
import type { EntryBody } from '../model/entry.ts';
import type { TenantId } from '../model/ids.ts';
import type { Configuration } from '../model/policy.ts';
import type { Clock, Store } from '../model/ports.ts';
import { Problem } from '../model/problem.ts';
import { parseConfiguration } from '../policy/parse.ts';
import { readText } from './folder.ts';

/** The act of the ledger's own entries: `genesis` and `policy`. */
export const LOG_ACT = 'log';
const COMMIT_TRIES_MAX = 5;

/**
 * Loads the file. A relative path in a `${file:PATH}` of a target is from the file's own folder,
 * wherever the command was started. Problems `configuration-missing` and `configuration-invalid`.
 */
export async function loadConfiguration(path: string): Promise<Configuration> {
  const text = await readText(path, 'configuration-invalid');
  if (text !== undefined) {
    const configuration = parseConfiguration(text, path);
    const folder = dirname(resolve(path));
    const targets = configuration.targets.map((target) => ({
      ...target,
      settings: fromFolder(target.settings, folder),
    }));
    return { ...configuration, targets };
  }
  throw new Problem(
    'configuration-missing',
    `there is no \`${path}\`; run \`writegate init\` there, or name another with --config`,
  );
}

const FILE_REFERENCE = /\$\{file:([^}]+)\}/g;

function fromFolder(settings: JsonObject, folder: string): JsonObject {
  const within = (value: Json): Json => {
    if (typeof value === 'string') {
      return value.replaceAll(
        FILE_REFERENCE,
        (_, file: string) => `\${file:${resolve(folder, file)}}`,
      );
    }
    if (Array.isArray(value)) return value.map(within);
    return isJsonObject(value) ? fromFolder(value, folder) : value;
  };
  return Object.fromEntries(Object.entries(settings).map(([name, value]) => [name, within(value)]));
}

export interface ConfigurationInForce {
  current(): Configuration;
  /** Why the file as it is now is not in force; null where it is. */
  problem(): string | null;
  /** Looks at the file and, where its text is new and good, brings it into force. */
  reload(): Promise<void>;
}

export interface ConfigurationPorts {
  readonly store: Store;
  readonly clock: Clock;
  readonly tenant: TenantId;
  readonly path: string;
  /** Told of each change: brought into force, or why not. */
  readonly onChange: (line: string) => void;
}

/** Puts the configuration that was loaded at start into force and keeps the file in view. */
export function keepConfiguration(
  ports: ConfigurationPorts,
  first: Configuration,
): ConfigurationInForce {
  let current = first;
  let problem: string | null = null;
  let seen: string | undefined | null = first.text;
  let turn: Promise<void> = Promise.resolve();

  async function look(): Promise<void> {
    // Null where it cannot be read: then loading it says why, once.
    const text = await readText(ports.path).catch(() => null);
    if (text === seen) return;
    try {
      const next = await loadConfiguration(ports.path);
      checkOnlyPolicy(current, next);
      await recordPolicy(ports, next);
      current = next;
      problem = null;
      ports.onChange(`policy ${next.policy.digest} is in force`);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      problem = error.message;
      ports.onChange(`the file is not in force, the last good policy stays: ${problem}`);
    }
    seen = text;
  }

  return {
    current: () => current,
    problem: () => problem,
    reload: () => {
      turn = turn.catch(() => {}).then(look);
      return turn;
    },
  };
}

function checkOnlyPolicy(current: Configuration, next: Configuration): void {
  const parts = {
    tenant: [current.tenant, next.tenant],
    environment: [current.environment, next.environment],
    listen: [current.listen, next.listen],
    allowedHosts: [current.allowedHosts, next.allowedHosts],
    targets: [targetsJson(current), targetsJson(next)],
  };
  for (const [name, [before, after]] of Object.entries(parts)) {
    if (JSON.stringify(before) === JSON.stringify(after)) continue;
    throw new Problem(
      'configuration-invalid',
      `\`${name}\` changed, which takes a restart; restart the gateway, or put it back`,
    );
  }
}

function targetsJson({ targets }: Configuration): readonly string[] {
  return targets.map(({ name, kind, settings }) => canonicalJson([name, kind, settings]));
}

/** Puts a policy that comes into force into the ledger, unless it is the last one there. */
export async function recordPolicy(
  ports: Pick<ConfigurationPorts, 'store' | 'clock' | 'tenant'>,
  { policy, text }: Configuration,
): Promise<void> {
  const latest = await ports.store.latest(ports.tenant, LOG_ACT);
  const last = latest === undefined ? undefined : parseLeaf(latest.leaf);
  if (last?.kind === 'leaf' && last.leaf.type === 'policy' && last.leaf.digest === policy.digest) {
    return;
  }
  const { digest, mode } = policy;
  await commitLog(ports, [{ type: 'policy', digest, mode, text }]);
}

/** Adds entries to the ledger's own act. */
export async function commitLog(
  { store, clock, tenant }: Pick<ConfigurationPorts, 'store' | 'clock' | 'tenant'>,
  entries: readonly EntryBody[],
): Promise<void> {
  for (let tries = 0; tries < COMMIT_TRIES_MAX; tries += 1) {
    const expectStep = await store.actStep(tenant, LOG_ACT);
    const commit = await store.commit({
      tenant,
      at: clock.now(),
      acts: [{ act: LOG_ACT, expectStep, entries }],
    });
    if (commit.kind === 'committed') return;
  }
  throw new Problem('store-unusable', 'the ledger could not take its own entry; try again');
}
