/** Functions that depend on tables, as far as the server knows or their text says; for the plan's dependents. */
import { quoted } from './catalog.ts';
import type { Plan } from '../../../model/plan.ts';
import type { Sessions } from '../session/session.ts';

export const CALLERS_BOUNDS = {
  /** How long an answer is taken for the present one: reading every body takes milliseconds. */
  keptMs: 60_000,
  /** Tables whose answer is kept; the one asked for longest ago makes room. */
  tablesMax: 1_000,
  /** Functions named of one table. */
  namesMax: 50,
} as const;

/**
 * A body in standard SQL (BEGIN ATOMIC) is known by the server's own dependencies. Of one that is a text
 * only the text can be searched, which proves nothing: it may build its statements, or mean another
 * table of the name.
 */
const CALLERS = `
WITH asked AS (
  SELECT name AS resource, c.oid, c.relname AS name, '\\m' ||
    regexp_replace(c.relname, '([^[:alnum:]_])', '\\\\\\1', 'g') || '\\M' AS word
  FROM unnest($1::text[], $2::text[]) AS given (name, quoted)
    JOIN pg_class c ON c.oid = to_regclass(quoted)
), own AS (
  SELECT p.oid, format('function %s.%s', s.nspname, p.proname) AS name, p.prosrc
  FROM pg_proc p JOIN pg_namespace s ON s.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
  WHERE p.oid >= 16384 AND l.lanname NOT IN ('c', 'internal')
)
SELECT DISTINCT a.resource, own.name FROM asked a JOIN pg_depend d
    ON d.refclassid = 'pg_class'::regclass AND d.refobjid = a.oid AND d.classid = 'pg_proc'::regclass
  JOIN own ON own.oid = d.objid
UNION ALL
SELECT DISTINCT a.resource, own.name || ', which may use it by name' FROM asked a JOIN own
  ON strpos(lower(own.prosrc), lower(a.name)) > 0 AND own.prosrc ~* a.word
ORDER BY 1, 2`;

interface Kept {
  readonly names: readonly string[];
  readonly until: number;
}

/** One for each target. */
export class Callers {
  readonly #sessions: Pick<Sessions, 'read'>;
  readonly #now: () => number;
  readonly #kept = new Map<string, Kept>();

  /** `now` in milliseconds, from wherever it counts. */
  constructor(sessions: Pick<Sessions, 'read'>, now: () => number = () => performance.now()) {
    this.#sessions = sessions;
    this.#now = now;
  }

  /** Adds to the dependents of a plan, and of its steps, the functions of all that these change. */
  async addTo(plan: Plan): Promise<Plan> {
    const plans = [plan, ...(plan.steps ?? []).map((step) => step.plan)];
    await this.#ask(new Set(plans.flatMap(touchedBy)));
    const { steps } = plan;
    if (steps === undefined) return this.#added(plan);
    const added = steps.map((step) => ({
      operation: step.operation,
      plan: this.#added(step.plan),
    }));
    return { ...this.#added(plan), steps: added };
  }

  #added(plan: Plan): Plan {
    const names = touchedBy(plan).flatMap((resource) => this.#kept.get(resource)?.names ?? []);
    return { ...plan, dependents: [...new Set([...plan.dependents, ...names])] };
  }

  /** Looks up what is not known, or not any more, in one round trip. */
  async #ask(resources: ReadonlySet<string>): Promise<void> {
    const now = this.#now();
    const asked = [...resources].filter((each) => (this.#kept.get(each)?.until ?? 0) <= now);
    if (asked.length === 0) return;
    const names = new Map<string, string[]>(asked.map((resource) => [resource, []]));
    const rows = await this.#sessions.read({ text: CALLERS, values: [asked, asked.map(spelt)] });
    for (const [resource, name] of rows) names.get(String(resource))?.push(String(name));
    for (const [resource, found] of names) {
      this.#kept.delete(resource);
      const kept = found.slice(0, CALLERS_BOUNDS.namesMax);
      this.#kept.set(resource, { names: kept, until: now + CALLERS_BOUNDS.keptMs });
    }
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= CALLERS_BOUNDS.tablesMax || resources.has(oldest)) break;
      this.#kept.delete(oldest);
    }
  }
}

/** What a plan names and changes, and what those are parts of. */
function touchedBy({ resource, counts, partOf }: Plan): readonly string[] {
  const own = new Set([resource, ...counts.map((count) => count.resource)]);
  return [...new Set([...own, ...[...own].flatMap((each) => partOf[each] ?? [])])];
}

/** A resource as SQL names it; where a schema has a dot in its name, nothing is found. */
function spelt(resource: string): string {
  const dot = resource.indexOf('.');
  return quoted({ schema: resource.slice(0, dot), name: resource.slice(dot + 1), at: -1 });
}
