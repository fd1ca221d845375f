/** What a configuration file says: loaded, compared, and joined with what is in force. */
import { dirname, resolve } from 'node:path';
import { canonicalJson } from '../lib/canonical.ts';
import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts';
import type { Configuration, StoreConfiguration } from '../model/policy.ts';
import { Problem } from '../model/problem.ts';
import { parseConfiguration, withoutSecrets } from '../policy/parse.ts';
import { readText } from './folder.ts';

/**
 * Loads the file. A relative path in a `${file:PATH}` of a target is from the file's own folder,
 * wherever the command was started. Problems `configuration-missing` and `configuration-invalid`.
 */
export async function loadConfiguration(path: string): Promise<Configuration> {
  const text = await readText(path, 'configuration-invalid');
  if (text !== undefined) return configurationFrom(text, path);
  throw new Problem(
    'configuration-missing',
    `there is no \`${path}\`; run \`writegate init\` there, or name another with --config`,
  );
}

/** As `loadConfiguration`, of a text that is, or was, in the file. */
export function configurationFrom(text: string, path: string): Configuration {
  const configuration = parseConfiguration(text, path);
  const folder = dirname(resolve(path));
  const targets = configuration.targets.map((target) => ({
    ...target,
    settings: fromFolder(target.settings, folder),
  }));
  const { store } = configuration;
  return { ...configuration, targets, store: store && storeFrom(store, folder) };
}

function storeFrom(store: StoreConfiguration, folder: string): StoreConfiguration {
  const { url, listenUrl } = store;
  return {
    ...store,
    url: fileFrom(url, folder),
    ...(listenUrl && { listenUrl: fileFrom(listenUrl, folder) }),
  };
}

const FILE_REFERENCE = /\$\{file:([^}]+)\}/g;

/** Takes each path of a reference from the folder of the file that it stands in. */
function fileFrom(text: string, folder: string): string {
  return text.replaceAll(FILE_REFERENCE, (_, file: string) => `\${file:${resolve(folder, file)}}`);
}

function fromFolder(settings: JsonObject, folder: string): JsonObject {
  const within = (value: Json): Json => {
    if (typeof value === 'string') return fileFrom(value, folder);
    if (Array.isArray(value)) return value.map(within);
    return isJsonObject(value) ? fromFolder(value, folder) : value;
  };
  return Object.fromEntries(Object.entries(settings).map(([name, value]) => [name, within(value)]));
}

/** Loads a text of the ledger. Problem `policy-unreadable` where this version cannot. */
export function policyOf(text: string, path: string): Configuration {
  try {
    return configurationFrom(text, path);
  } catch (cause) {
    if (!(cause instanceof Problem)) throw cause;
    throw new Problem(
      'policy-unreadable',
      `the policy in force, which is the last one in the ledger, does not load with this version; run the version that let it in, or, to put \`${path}\` in its place, stop the gateway and run \`writegate policy apply --offline\`; what does not load:\n${cause.message}`,
      { cause },
    );
  }
}

/**
 * What a policy does not speak of is the file's, whichever policy is in force: where to listen, where
 * the store is, and the settings of targets that hold secrets.
 */
export function withFileOf(base: Configuration, file: Configuration): Configuration {
  const { listen, allowedHosts, store } = file;
  const targets = base.targets.map((target) => {
    const same = file.targets.find(
      ({ name, kind }) => name === target.name && kind === target.kind,
    );
    if (same === undefined) return target;
    return { ...target, settings: withSecretsOf(target.settings, same.settings) };
  });
  return { ...base, listen, allowedHosts, store, targets };
}

function withSecretsOf(settings: JsonObject, others: JsonObject): JsonObject {
  const kept = withoutSecrets(settings, 1);
  const members = Object.entries(settings).map(([name, value]): readonly [string, Json] => {
    const other = others[name];
    const isSecret = isJsonObject(kept) && !Object.hasOwn(kept, name);
    if (isSecret) return [name, other ?? value];
    if (isJsonObject(value) && isJsonObject(other)) return [name, withSecretsOf(value, other)];
    return [name, value];
  });
  return Object.fromEntries(members);
}

/** What differs beside the policy; it takes a restart. */
export function restartParts(current: Configuration, next: Configuration): readonly string[] {
  const parts = {
    tenant: [current.tenant, next.tenant],
    environment: [current.environment, next.environment],
    listen: [current.listen, next.listen],
    allowedHosts: [current.allowedHosts, next.allowedHosts],
    store: [current.store, next.store],
    targets: [targetsJson(current), targetsJson(next)],
  };
  return Object.entries(parts).flatMap(([name, [before, after]]) =>
    JSON.stringify(before) === JSON.stringify(after) ? [] : [name],
  );
}

function targetsJson({ targets }: Configuration): readonly string[] {
  return targets.map(({ name, kind, settings }) => canonicalJson([name, kind, settings]));
}
