/** The kit: what every connector shares. A connector is one file or folder and one line in `index.ts`. */
import { readFile } from 'node:fs/promises';
import type { z } from 'zod';
import type { Json, JsonObject } from '../lib/json.ts';
import { Secret } from '../lib/secret.ts';
import type { Conflict } from '../model/entry.ts';
import type { Clock, EvidenceFiles, Target, TargetRefusal, Uploads } from '../model/ports.ts';
import { Problem } from '../model/problem.ts';

/** One kind of target: how a configured system of that kind is opened. */
export interface Connector {
  /** `kind` of a target in the configuration. */
  readonly kind: string;
  /**
   * Checks the settings, reaches the system once and returns it.
   * Throws `configuration-invalid` (settings) or `target-misconfigured` (the system refuses to be governed).
   */
  open(
    name: string,
    settings: JsonObject,
    environment: Environment,
    surroundings?: Surroundings,
  ): Promise<Target>;
}

/** What the gateway lends to its targets; one that is opened without keeps to what fits in a plan. */
export interface Surroundings {
  /** Where images go that are too many for a plan. */
  readonly evidence?: EvidenceFiles;
  /** Files that agents sent ahead of a write. */
  readonly uploads?: Uploads;
  readonly clock?: Clock;
  /** Lines for the operator; `cause` is for a log, not for a caller. */
  readonly log?: (line: string, cause: unknown) => void;
}

/** Looks up an environment variable; the composition root hands in the real ones. */
export type Environment = (name: string) => string | undefined;

/** What a refusal says beside its code and reason; by default permanent, no span, no conflicts. */
export interface RefusalDetail {
  readonly permanent?: boolean;
  readonly span?: { readonly from: number; readonly to: number } | null;
  readonly conflicts?: readonly Conflict[];
  /** Of several steps: the one that was refused, from 0. */
  readonly step?: number;
}

/** Makes a refusal: surely no effect. */
export function refusal(
  code: TargetRefusal['code'],
  reason: string,
  detail: RefusalDetail = {},
): TargetRefusal {
  return {
    kind: 'refused',
    code,
    reason,
    permanent: detail.permanent ?? true,
    span: detail.span ?? null,
    conflicts: detail.conflicts ?? [],
    ...(detail.step === undefined ? {} : { step: detail.step }),
  };
}

/** Carries a refusal out of the depths of a connector to its border, where it becomes the answer. */
export class Refused extends Error {
  override readonly name = 'Refused';
  readonly refusal: TargetRefusal;

  constructor(code: TargetRefusal['code'], reason: string, detail: RefusalDetail = {}) {
    super(reason);
    this.refusal = refusal(code, reason, detail);
  }
}

/**
 * Checks the settings of a target against the connector's schema, which must be strict.
 * Throws `configuration-invalid` with the JSON pointer of the first thing that is wrong.
 */
export function parseSettings<Schema extends z.ZodType>(
  schema: Schema,
  target: string,
  settings: Json,
): z.infer<Schema> {
  const parsed = schema.safeParse(settings);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const unknown = issue?.code === 'unrecognized_keys' ? issue.keys.slice(0, 1) : [];
  const path = [...(issue?.path ?? []), ...unknown].map((part) =>
    String(part).replaceAll('~', '~0').replaceAll('/', '~1'),
  );
  const at = path.length === 0 ? '' : `/${path.join('/')}`;
  const wrong =
    unknown.length > 0 ? 'is not a setting of this kind of target' : (issue?.message ?? 'is wrong');
  throw new Problem('configuration-invalid', `settings of target \`${target}\`: ${wrong}`, { at });
}

const REFERENCE = /\$\{(env|file):([^}]*)\}/g;

/**
 * Fills `${env:NAME}` and `${file:PATH}` in a setting that holds a credential; a file's closing line
 * end is left out. Throws `configuration-invalid` where a reference leads nowhere.
 */
export async function resolveSecret(
  text: string,
  at: string,
  environment: Environment,
): Promise<Secret> {
  let resolved = '';
  let end = 0;
  for (const match of text.matchAll(REFERENCE)) {
    resolved += text.slice(end, match.index);
    resolved += await referenced(match[1] ?? '', match[2] ?? '', at, environment);
    end = match.index + match[0].length;
  }
  return new Secret(resolved + text.slice(end));
}

async function referenced(
  source: string,
  name: string,
  at: string,
  environment: Environment,
): Promise<string> {
  if (source === 'env') {
    const value = environment(name);
    if (value !== undefined && value !== '') return value;
    throw new Problem(
      'configuration-invalid',
      `the environment variable \`${name}\` is not set; set it or name another`,
      { at },
    );
  }
  try {
    return (await readFile(name, 'utf8')).replace(/\r?\n$/, '');
  } catch (cause) {
    throw new Problem(
      'configuration-invalid',
      `the file \`${name}\` cannot be read; expected a file with the credential: name the place where it is now, put it back from your copy, or make a new one with \`writegate add … --rotate\``,
      { at, cause },
    );
  }
}
