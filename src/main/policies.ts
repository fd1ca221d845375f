/** Policies as the server sees them, and the way to let one in while no gateway runs. */
import type { PolicyChange, PolicyPage, PolicyVersion } from '../model/api.ts';
import type { Configuration } from '../model/policy.ts';
import { Problem } from '../model/problem.ts';
import { changesOf } from '../policy/weakening.ts';
import type { PolicyPort } from '../server/routes/policies.ts';
import { configurationFrom } from './configuration.ts';
import type { ConfigurationInForce } from './in-force.ts';
import {
  contendedLog,
  lastPolicy,
  policies,
  POLICY_TRIES_MAX,
  recordPolicy,
  type LoggedPolicy,
  type LogPorts,
} from './policy-log.ts';

/** Policies of one tenant: the one in force, those before it, and how another comes into force. */
export function openPolicies(ports: LogPorts, configuration: ConfigurationInForce): PolicyPort {
  return {
    current: () => {
      const { policy, text } = configuration.current();
      const { digest, mode } = policy;
      return { digest, mode, text, problem: configuration.problem() };
    },
    apply: (by, text) => configuration.apply(by, text),
    history: (range) => history(ports, range),
  };
}

async function history(
  ports: LogPorts,
  range: { readonly before?: number; readonly limit: number },
): Promise<PolicyPage> {
  const found = await policies(ports, range);
  const isAll = found.length < range.limit;
  return { items: found.map(versionOf), before: isAll ? null : (found.at(-1)?.step ?? null) };
}

function versionOf({ digest, mode, at, index, by, weakens, atStart }: LoggedPolicy): PolicyVersion {
  const author = by === undefined ? null : by.kind === 'host' ? 'host' : by.name;
  return {
    digest,
    mode,
    at,
    index,
    by: author,
    weakens: weakens ?? null,
    atStart: atStart ?? false,
  };
}

/** What `applyOnHost` did. */
export interface HostApplied {
  /** `first`: none was in force, so the first start takes the file; `same`: it is in force. */
  readonly kind: 'applied' | 'first' | 'same';
  readonly digest: string;
  readonly mode: 'active' | 'observe';
  /** Null where what was in force does not load with this version. */
  readonly changes: readonly PolicyChange[] | null;
}

/**
 * Lets the file in as whoever can write to the data folder, while no gateway runs on it: in force from
 * the next start, of each gateway over the store. Durable when it resolves.
 */
export async function applyOnHost(
  ports: LogPorts,
  file: Configuration,
  path: string,
): Promise<HostApplied> {
  const { digest, mode } = file.policy;
  for (let tries = 0; tries < POLICY_TRIES_MAX; tries += 1) {
    const last = await lastPolicy(ports);
    if (last === undefined) return { kind: 'first', digest, mode, changes: [] };
    if (last.digest === digest) return { kind: 'same', digest, mode, changes: [] };
    const base = readable(last.text, path);
    const changes = base === undefined ? null : changesOf(base, file);
    const weakens = changes?.filter(({ effect }) => effect === 'weaker').length;
    const isMade = await recordPolicy(ports, file, last.step, {
      by: { kind: 'host' },
      ...(weakens !== undefined && { weakens }),
      atStart: true,
    });
    if (isMade) return { kind: 'applied', digest, mode, changes };
  }
  throw contendedLog();
}

function readable(text: string, path: string): Configuration | undefined {
  try {
    return configurationFrom(text, path);
  } catch (error) {
    if (error instanceof Problem) return undefined;
    throw error;
  }
}
