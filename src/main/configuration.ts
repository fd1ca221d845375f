/**
 * The configuration in force, and how another comes into force.
 *
 * 1. What is in force loaded without a fault and stands in the ledger. A crash between the entry
 *    and the change of policy leaves an entry too many, never a policy that no entry names; the next
 *    start takes that entry for what is in force.
 * 2. A file that does not load, or is gone, changes nothing: the last good version stays, and the
 *    status says why the file is not in force (fail closed).
 * 3. A file that is weaker than what is in force, in any way, changes nothing until a person with the
 *    role `policy`, or whoever can write to the data folder, lets exactly this text in. That holds
 *    over a restart: only the very first start takes the file as it is.
 * 4. What was let in once is let in from the policy that was in force then: the same text again,
 *    after another was in force, is asked for again.
 * 5. Only the policy changes while the gateway runs. What else the file says takes a restart.
 */
import { dirname, resolve } from 'node:path';
import { canonicalJson } from '../lib/canonical.ts';
import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts';
import type { PolicyApplied } from '../model/api.ts';
import type { PolicyAuthor } from '../model/entry.ts';
import type { Configuration } from '../model/policy.ts';
import type { PersonPrincipal } from '../model/principal.ts';
import { Problem } from '../model/problem.ts';
import { parseConfiguration, withoutSecrets } from '../policy/parse.ts';
import { changesOf, weakenings, type Change } from '../policy/weakening.ts';
import { readText } from './folder.ts';
import { lastPolicy, recordPolicy, type LogPorts } from './policy-log.ts';

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
  return { ...configuration, targets };
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
  /** Looks at the file and, where its text is new, good and no weaker, brings it into force. */
  reload(): Promise<void>;
  /**
   * Brings the text of the file into force, weaker or not, as the person may. Problems
   * `policy-differs` where the file has another text, `policy-invalid`, `role-missing`. Durable, and
   * in force or waiting for the restart that it takes, when it resolves.
   */
  apply(by: PersonPrincipal, text: string): Promise<PolicyApplied>;
}

export interface ConfigurationPorts extends LogPorts {
  readonly path: string;
  /** Told of each change: brought into force, or why not. */
  readonly onChange: (line: string) => void;
}

/**
 * Settles what is in force at the start, given the file as it loads now, and keeps the file in view.
 * It is for the caller to record it, once the targets are open: what cannot start was never in force.
 * Problem `policy-unreadable` where the ledger's last policy does not load with this version.
 */
export async function openConfiguration(
  ports: ConfigurationPorts,
  file: Configuration,
): Promise<ConfigurationInForce> {
  const last = await lastPolicy(ports);
  const base = last === undefined ? file : withFileOf(policyOf(last.text, ports.path), file);
  const ways = weakenings(base, file);
  const current = ways.length === 0 ? file : base;
  return new Kept(ports, current, { seen: file.text, ways });
}

/** Loads a text of the ledger. */
function policyOf(text: string, path: string): Configuration {
  try {
    return configurationFrom(text, path);
  } catch (cause) {
    if (!(cause instanceof Problem)) throw cause;
    throw new Problem(
      'policy-unreadable',
      `the policy in force, which is the last one in the ledger, does not load with this version; to put \`${path}\` in its place, stop the gateway and run \`writegate policy apply --offline\`; what does not load:\n${cause.message}`,
      { cause },
    );
  }
}

/**
 * What a policy does not speak of is the file's, whichever policy is in force: where to listen, and
 * the settings of targets that hold secrets.
 */
function withFileOf(base: Configuration, file: Configuration): Configuration {
  const { listen, allowedHosts } = file;
  const targets = base.targets.map((target) => {
    const same = file.targets.find(
      ({ name, kind }) => name === target.name && kind === target.kind,
    );
    if (same === undefined) return target;
    return { ...target, settings: withSecretsOf(target.settings, same.settings) };
  });
  return { ...base, listen, allowedHosts, targets };
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

/** The file and what of it is in force; one look or change at a time. */
class Kept implements ConfigurationInForce {
  readonly #ports: ConfigurationPorts;
  #current: Configuration;
  #problem: string | null = null;
  /** The file's text as it was judged last; null where it could not be read. */
  #seen: string | undefined | null;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(
    ports: ConfigurationPorts,
    current: Configuration,
    file: { readonly seen: string; readonly ways: readonly Change[] },
  ) {
    this.#ports = ports;
    this.#current = current;
    this.#seen = file.seen;
    if (file.ways.length > 0) this.#keepOut(heldText(file.ways));
  }

  current(): Configuration {
    return this.#current;
  }

  problem(): string | null {
    return this.#problem;
  }

  reload(): Promise<void> {
    return this.#inTurn(() => this.#look());
  }

  apply(by: PersonPrincipal, text: string): Promise<PolicyApplied> {
    return this.#inTurn(() => this.#apply(by, text));
  }

  #inTurn<Answer>(work: () => Promise<Answer>): Promise<Answer> {
    const turn = this.#turn.catch(() => {}).then(work);
    this.#turn = turn;
    return turn;
  }

  async #look(): Promise<void> {
    // Null where it cannot be read: then loading it says why, once.
    const text = await readText(this.#ports.path).catch(() => null);
    if (text === this.#seen) return;
    try {
      const next = await loadConfiguration(this.#ports.path);
      const ways = weakenings(this.#current, next);
      if (ways.length > 0) this.#keepOut(heldText(ways));
      else {
        checkOnlyPolicy(this.#current, next);
        await recordPolicy(this.#ports, next);
        this.#bringIn(next);
      }
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      this.#keepOut(error.message);
    }
    this.#seen = text;
  }

  async #apply(by: PersonPrincipal, text: string): Promise<PolicyApplied> {
    const next = await this.#posted(text);
    const changes = changesOf(this.#current, next);
    const weakens = changes.filter(({ effect }) => effect === 'weaker').length;
    // Read now: what was asked when the call came in may have changed since.
    const roles = this.#current.policy.people.get(by.name)?.roles ?? [];
    const isEnough = roles.includes('policy') || (weakens === 0 && roles.includes('operator'));
    if (!isEnough) throw lacksRole(by.name, weakens);
    const atStart = restartParts(this.#current, next).length > 0;
    const author: PolicyAuthor = { kind: 'person', name: by.name, credential: by.credential };
    await recordPolicy(this.#ports, next, { by: author, weakens, ...(atStart && { atStart }) });
    this.#seen = text;
    if (atStart) this.#keepOut('it was let in and takes a restart; restart the gateway');
    else this.#bringIn(next);
    const { digest, mode } = next.policy;
    return { digest, mode, weakens, changes, inForce: atStart ? 'at-start' : 'now' };
  }

  /** What is sent is what is in the file, so that nobody lets in what they have not seen. */
  async #posted(text: string): Promise<Configuration> {
    const { path } = this.#ports;
    if ((await readText(path, 'configuration-invalid')) !== text) {
      throw new Problem(
        'policy-differs',
        `the text that was sent is not the one in \`${path}\` on the gateway's host; put it there first, then apply it`,
      );
    }
    try {
      return configurationFrom(text, path);
    } catch (cause) {
      if (!(cause instanceof Problem)) throw cause;
      const at = cause.at === null ? {} : { at: cause.at };
      throw new Problem('policy-invalid', cause.message, { ...at, cause });
    }
  }

  #bringIn(next: Configuration): void {
    this.#current = next;
    this.#problem = null;
    this.#ports.onChange(`policy ${next.policy.digest} is in force`);
  }

  #keepOut(why: string): void {
    this.#problem = why;
    this.#ports.onChange(`the file is not in force, the last good policy stays: ${why}`);
  }
}

/** How many of the ways are told; \`policy diff\` shows them all. */
const WAYS_TOLD_MAX = 3;

function heldText(ways: readonly Change[]): string {
  const told = ways.slice(0, WAYS_TOLD_MAX).map(({ path, sentence }) => `${path} ${sentence}`);
  const more = ways.length > told.length ? ` and ${ways.length - told.length} more` : '';
  const many = ways.length === 1 ? '1 way' : `${ways.length} ways`;
  return `it is weaker than the policy in force in ${many} (${told.join('; ')}${more}); \`writegate policy diff\` shows them, \`writegate policy apply\` lets it in`;
}

function lacksRole(name: string, weakens: number): Problem {
  const needed =
    weakens === 0
      ? 'the role `operator` or `policy`'
      : `the role \`policy\`, as it is weaker than the one in force in ${weakens} ${weakens === 1 ? 'way' : 'ways'}`;
  return new Problem(
    'role-missing',
    `to bring this policy into force \`${name}\` needs ${needed}; have somebody apply it who has it under \`people\`, or, on the gateway's host and with the gateway stopped, run \`writegate policy apply --offline\``,
  );
}

function checkOnlyPolicy(current: Configuration, next: Configuration): void {
  const [name] = restartParts(current, next);
  if (name === undefined) return;
  throw new Problem(
    'configuration-invalid',
    `\`${name}\` changed, which takes a restart; restart the gateway, or put it back`,
  );
}

/** What differs beside the policy. */
function restartParts(current: Configuration, next: Configuration): readonly string[] {
  const parts = {
    tenant: [current.tenant, next.tenant],
    environment: [current.environment, next.environment],
    listen: [current.listen, next.listen],
    allowedHosts: [current.allowedHosts, next.allowedHosts],
    targets: [targetsJson(current), targetsJson(next)],
  };
  return Object.entries(parts).flatMap(([name, [before, after]]) =>
    JSON.stringify(before) === JSON.stringify(after) ? [] : [name],
  );
}

function targetsJson({ targets }: Configuration): readonly string[] {
  return targets.map(({ name, kind, settings }) => canonicalJson([name, kind, settings]));
}
