/**
 * The configuration in force, and how another comes into force, over any number of gateways.
 *
 * 1. What is in force is the last `policy` entry of the ledger, whichever gateway put it there. A
 *    gateway decides by no other: it knows up to which step of the ledger it has followed, each
 *    decision is committed at exactly that step, and what it cannot follow it does not decide by.
 * 2. What comes into force loaded without a fault and is an entry first, made at the step that it was
 *    compared with. A crash between the entry and the change of policy leaves an entry that this
 *    process did not decide by yet; the next look, or start, takes it for what is in force.
 * 3. A file that does not load, or is gone, changes nothing: the last good version stays, and the
 *    status says why the file is not in force (fail closed).
 * 4. A file that is weaker than what is in force, in any way, changes nothing until a person with the
 *    role `policy`, or whoever can write to the data folder, lets exactly this text in. That holds
 *    over a restart: only the very first start takes the file as it is.
 * 5. What was let in once is let in from the policy that was in force then: the same text again,
 *    after another was in force, is asked for again.
 * 6. A file is brought into force when it changed, and once: one that did not change since it was
 *    judged gives way to what came into force meanwhile, over restarts too.
 * 7. Only the policy changes while the gateway runs. What else the file says takes a restart.
 */
import type { PolicyApplied } from '../model/api.ts';
import { LOG_ACT, type PolicyAuthor } from '../model/entry.ts';
import type { Configuration, Policy } from '../model/policy.ts';
import type { PersonPrincipal } from '../model/principal.ts';
import { Problem, type ProblemCode } from '../model/problem.ts';
import { changesOf, weakenings } from '../policy/weakening.ts';
import {
  configurationFrom,
  loadConfiguration,
  policyOf,
  restartParts,
  withFileOf,
} from './configuration.ts';
import { readText } from './folder.ts';
import {
  AT_START,
  changedText,
  heldText,
  lacksRole,
  otherText,
  restartNeeded,
} from './in-force-words.ts';
import { sha256Of, type Judged } from './judged.ts';
import {
  contendedLog,
  policies,
  policiesAfter,
  POLICY_TRIES_MAX,
  recordPolicy,
  type LoggedPolicy,
  type LogPorts,
} from './policy-log.ts';

export interface ConfigurationInForce {
  /** What this gateway decides by; see `policyAt`. */
  current(): Configuration;
  /** Why the file as it is now is not in force; null where it is. */
  problem(): string | null;
  /**
   * Puts what is in force from this start into the ledger, once everything that it names could be
   * opened: what cannot start was never in force. Problem `restart-needed` where another gateway
   * brought something into force meanwhile that was not opened here.
   */
  begin(): Promise<void>;
  /**
   * Follows the ledger as it is now, and returns how far its own act is. Cheap where nothing came.
   * What cannot be followed is no problem of this call.
   */
  follow(): Promise<number>;
  /**
   * The policy in force at that step of the ledger's own act, or at a later one. Problems
   * `restart-needed` and `policy-unreadable` where this gateway cannot decide by it.
   */
  policyAt(logStep: number): Promise<Policy>;
  /** Looks at ledger and file and, where its text is new, good and no weaker, brings it into force. */
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
  readonly judged: Judged;
  /** Told of each change: brought into force, or why not. */
  readonly onChange: (line: string) => void;
}

/** How many policies of the past an unknown file is looked for among. */
const PAST_MAX = 200;
/** What is wrong with a text stays so until the text changes; anything else is tried again. */
const OF_TEXTS: ReadonlySet<ProblemCode> = new Set([
  'configuration-invalid',
  'configuration-missing',
  'policy-unreadable',
]);

/**
 * Settles what is in force at the start, given the file as it loads now, and keeps file and ledger in
 * view. Problem `policy-unreadable` where the ledger's last policy does not load with this version.
 */
export async function openConfiguration(
  ports: ConfigurationPorts,
  file: Configuration,
): Promise<ConfigurationInForce> {
  const known = await policies(ports, { limit: PAST_MAX });
  const [last] = known;
  const step = last?.step ?? (await ports.store.actStep(ports.tenant, LOG_ACT));
  const asTheFile = { file, current: file, why: null, step, last };
  if (last === undefined || last.digest === file.policy.digest) {
    return new InForce(ports, asTheFile);
  }
  const base = withFileOf(policyOf(last.text, ports.path), file);
  const ways = weakenings(base, file);
  if (ways.length === 0 && (await isNewFile(ports, file, known))) {
    return new InForce(ports, asTheFile);
  }
  const why = ways.length === 0 ? otherText(last) : heldText(ways);
  return new InForce(ports, { file, current: base, why, step, last });
}

/**
 * Whether the file is another than the one that this gateway judged last. Where nobody remembers,
 * one that the ledger had in force before the present one is none.
 */
async function isNewFile(
  { judged }: ConfigurationPorts,
  { text, policy: { digest } }: Configuration,
  known: readonly LoggedPolicy[],
): Promise<boolean> {
  const last = await judged.last();
  const wasInForce = (since: number): boolean =>
    known.some((each) => each.digest === digest && each.step > since);
  if (last === undefined) return !wasInForce(0);
  if (last.sha256 !== sha256Of(text)) return true;
  return !last.isSettled && !wasInForce(last.step);
}

/** What a gateway begins with. */
interface Beginning {
  readonly file: Configuration;
  readonly current: Configuration;
  /** Why the file is not in force; null where it is, or is about to be. */
  readonly why: string | null;
  readonly step: number;
  readonly last: LastPolicy | undefined;
}

type LastPolicy = Pick<LoggedPolicy, 'digest' | 'text'>;

/** File, ledger and what of them is in force; one look or change at a time. */
class InForce implements ConfigurationInForce {
  readonly #ports: ConfigurationPorts;
  /** What targets and address were opened by: it stays until the process ends. */
  readonly #opened: Configuration;
  #current: Configuration;
  /** How far the ledger's own act was followed. */
  #step: number;
  /** The ledger's last policy, which a file is compared with; undefined before the first. */
  #last: LastPolicy | undefined;
  /** Why this process cannot decide by the ledger's last policy. */
  #blocked: Problem | null = null;
  #problem: string | null = null;
  /** The file as it loaded last; null while it does not. */
  #file: Configuration | null;
  /** The file's text as it was judged last; null where it could not be read. */
  #seen: string | undefined | null;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(ports: ConfigurationPorts, { file, current, why, step, last }: Beginning) {
    this.#ports = ports;
    this.#opened = current;
    this.#current = current;
    this.#step = step;
    this.#last = last;
    this.#file = file;
    this.#seen = file.text;
    if (why !== null) this.#keepOut(why);
  }

  current(): Configuration {
    return this.#current;
  }

  problem(): string | null {
    return this.#blocked?.message ?? this.#problem;
  }

  async follow(): Promise<number> {
    const { store, tenant } = this.#ports;
    const step = await store.actStep(tenant, LOG_ACT);
    if (step > this.#step) await this.#inTurn(() => this.#catchUp());
    return this.#step;
  }

  async policyAt(logStep: number): Promise<Policy> {
    if (logStep > this.#step) await this.#inTurn(() => this.#catchUp());
    if (this.#blocked !== null) throw this.#blocked;
    return this.#current.policy;
  }

  begin(): Promise<void> {
    return this.#inTurn(async () => {
      const file = this.#file;
      if (this.#current === file) await this.#bringFileIn(file);
      else await this.#catchUp();
      if (this.#blocked !== null) throw this.#blocked;
      if (file !== null) await this.#note(file, true);
    });
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

  // ---- the ledger

  async #catchUp(): Promise<void> {
    const { step, found } = await policiesAfter(this.#ports, this.#step);
    for (const each of found) this.#meet(each);
    this.#step = step;
  }

  /** Decides from here on by a policy that another gateway brought into force. */
  #meet(logged: LoggedPolicy): void {
    this.#last = logged;
    const isFile = this.#file?.policy.digest === logged.digest;
    if (logged.digest === this.#current.policy.digest) {
      this.#blocked = null;
      this.#problem = isFile ? null : this.#problem;
      return;
    }
    if (logged.atStart) {
      this.#keepOut(isFile ? AT_START : `${otherText(logged)}; it takes a restart of this gateway`);
      return;
    }
    try {
      const next = withFileOf(policyOf(logged.text, this.#ports.path), this.#opened);
      const [part] = restartParts(this.#opened, next);
      if (part !== undefined) throw restartNeeded(part);
      this.#bringIn(next);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      this.#blocked = error;
      this.#ports.onChange(`nothing is decided any more: ${error.message}`);
      return;
    }
    if (!isFile && this.#file !== null) this.#keepOut(otherText(logged));
  }

  // ---- the file

  async #look(): Promise<void> {
    await this.#catchUp();
    // Null where it cannot be read: then loading it says why, once.
    const text = await readText(this.#ports.path).catch(() => null);
    if (text === this.#seen) return;
    this.#file = null;
    try {
      this.#file = await loadConfiguration(this.#ports.path);
      await this.#bringFileIn(this.#file);
    } catch (error) {
      if (!(error instanceof Problem) || !OF_TEXTS.has(error.code)) throw error;
      this.#keepOut(error.message);
    }
    this.#seen = text;
  }

  /** Brings a new text into force, where it is not weaker than what is, and takes no restart. */
  async #bringFileIn(file: Configuration): Promise<void> {
    for (let tries = 0; tries < POLICY_TRIES_MAX; tries += 1) {
      await this.#catchUp();
      const last = this.#last;
      const ways = last === undefined ? [] : weakenings(this.#base(last, file), file);
      const [part] = restartParts(this.#opened, file);
      if (ways.length > 0 || part !== undefined) {
        // What takes a restart is judged by that.
        await this.#note(file, ways.length > 0);
        return this.#keepOut(ways.length > 0 ? heldText(ways) : changedText(part));
      }
      if (last?.digest === file.policy.digest || (await this.#record(file))) {
        await this.#note(file, true);
        return this.#bringIn(file);
      }
    }
    throw contendedLog();
  }

  /** What is in force, as it would be with what the file alone says. */
  #base(last: LastPolicy, file: Configuration): Configuration {
    return withFileOf(policyOf(last.text, this.#ports.path), file);
  }

  /** Makes the entry, at the step that was followed; false where another came first. */
  async #record(
    next: Configuration,
    how: Parameters<typeof recordPolicy>[3] = {},
  ): Promise<boolean> {
    await this.#note(next, false);
    if (!(await recordPolicy(this.#ports, next, this.#step, how))) return false;
    this.#step += 1;
    this.#last = { digest: next.policy.digest, text: next.text };
    return true;
  }

  #note({ text }: Configuration, isSettled: boolean): Promise<void> {
    return this.#ports.judged.note(text, { step: this.#step, isSettled });
  }

  async #apply(by: PersonPrincipal, text: string): Promise<PolicyApplied> {
    for (let tries = 0; tries < POLICY_TRIES_MAX; tries += 1) {
      await this.#catchUp();
      if (this.#blocked !== null) throw this.#blocked;
      const next = await this.#posted(text);
      const last = this.#last;
      const changes = last === undefined ? [] : changesOf(this.#base(last, next), next);
      const weakens = changes.filter(({ effect }) => effect === 'weaker').length;
      // Read now: what was asked when the call came in may have changed since.
      const roles = this.#current.policy.people.get(by.name)?.roles ?? [];
      const isEnough = roles.includes('policy') || (weakens === 0 && roles.includes('operator'));
      if (!isEnough) throw lacksRole(by.name, weakens);
      const atStart = restartParts(this.#opened, next).length > 0;
      const author: PolicyAuthor = { kind: 'person', name: by.name, credential: by.credential };
      const how = { by: author, weakens, ...(atStart && ({ atStart } as const)) };
      if (last?.digest !== next.policy.digest && !(await this.#record(next, how))) continue;
      this.#file = next;
      this.#seen = text;
      await this.#note(next, true);
      if (atStart) this.#keepOut(AT_START);
      else this.#bringIn(next);
      const { digest, mode } = next.policy;
      return { digest, mode, weakens, changes, inForce: atStart ? 'at-start' : 'now' };
    }
    throw contendedLog();
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
    const { digest } = next.policy;
    const isNews = this.problem() !== null || digest !== this.#current.policy.digest;
    this.#current = next;
    this.#blocked = null;
    this.#problem = null;
    if (isNews) this.#ports.onChange(`policy ${digest} is in force`);
  }

  #keepOut(why: string): void {
    this.#problem = why;
    this.#ports.onChange(`the file is not in force, the last good policy stays: ${why}`);
  }
}
