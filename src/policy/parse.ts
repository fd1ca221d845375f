import { digestJson, type Digest } from '../lib/canonical.ts';
import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts';
import type { Configuration, TargetConfiguration } from '../model/policy.ts';
import { buildPolicy, ENVIRONMENT_DEFAULT } from './load/build.ts';
import { checkReferences } from './load/check.ts';
import { checkShape, type FileShape } from './load/shape.ts';
import { plainValue, readSource, refuse, valueOffset, type Fault } from './load/source.ts';

const LISTEN_DEFAULT = '127.0.0.1:7878';
const PORT_MAX = 65_535;

/**
 * Reads `writegate.yaml`: YAML, the published JSON Schema, then what only the whole file shows.
 *
 * Throws `configuration-invalid` with at most 20 lines `file:line:column: expected …, found …`,
 * all that stand at the same stage together; `at` is the place of the first.
 */
export function parseConfiguration(text: string, fileName: string): Configuration {
  const source = readSource(text, fileName);
  // An empty file is one that says nothing beside its version: it permits nothing.
  const shape = checkShape(source, plainValue(source) ?? { version: 1 });
  if (shape.kind === 'faults') return refuse(source, shape.faults);
  const { file } = shape;
  const faults: Fault[] = [];
  const listen = address(file.listen ?? LISTEN_DEFAULT);
  if (listen.port > PORT_MAX) {
    const message = `expected a port up to ${PORT_MAX} for \`listen\`, found \`${listen.port}\`; change it`;
    faults.push({ offset: valueOffset(source, ['listen']), message });
  }
  const policy = buildPolicy(file, digestOf(file), source, faults);
  faults.push(...checkReferences(file, policy, source));
  if (faults.length > 0) refuse(source, faults);
  return {
    tenant: file.tenant ?? 'default',
    environment: file.environment ?? ENVIRONMENT_DEFAULT,
    listen,
    allowedHosts: file.allowedHosts ?? [],
    store: file.store ?? null,
    targets: targetsOf(file),
    policy,
    text,
  };
}

function address(listen: string): Configuration['listen'] {
  const colon = listen.lastIndexOf(':');
  const host = listen.slice(0, colon).replace(/^\[|\]$/g, '');
  return { host, port: Number(listen.slice(colon + 1)) };
}

function targetsOf(file: FileShape): readonly TargetConfiguration[] {
  return Object.entries(file.targets ?? {}).map(([name, { kind, ...settings }]) => ({
    name,
    kind,
    settings,
  }));
}

/** A setting that may hold a credential: not even its digest leaves the file. */
const SECRET_SETTING = /(?:url|password|secret|token|key)$/i;

/**
 * Digests what the file says, not how it is laid out: comments, quotes and the order of keys do
 * not count, the order of lists does. Left out: `listen`, `allowedHosts`, `store`, the switch `writes`, which
 * has entries of its own in the ledger, and the settings of targets that may hold a secret.
 */
function digestOf(file: FileShape): Digest {
  const { listen: _listen, allowedHosts: _hosts, store: _store, ...decides } = file;
  const { writes: _writes, targets, ...rest } = decides;
  const kept: JsonObject = rest;
  return targets === undefined
    ? digestJson(kept)
    : digestJson({ ...kept, targets: withoutSecrets(targets, 0) });
}

/**
 * Leaves out the settings that may hold a secret. The first two levels are names of targets and
 * their settings: a target may be called `key`. Settings of one target are at depth 1.
 */
export function withoutSecrets(value: Json, depth: number): Json {
  if (Array.isArray(value)) return value.map((each: Json) => withoutSecrets(each, depth + 1));
  if (!isJsonObject(value)) return value;
  const kept = Object.entries(value).filter(([name]) => depth === 0 || !SECRET_SETTING.test(name));
  return Object.fromEntries(kept.map(([name, each]) => [name, withoutSecrets(each, depth + 1)]));
}
