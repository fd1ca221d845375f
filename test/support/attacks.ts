/** Runs statements that attack a gateway, each against a database of its own making, and judges how they end. */
import { strict as assert } from 'node:assert';
import { isDeepStrictEqual } from 'node:util';
import pg from 'pg';
import { openPostgresTarget } from '../../src/connectors/postgres.ts';
import type { JsonObject } from '../../src/lib/json.ts';
import { newProposalId } from '../../src/model/ids.ts';
import type { Plan } from '../../src/model/plan.ts';
import type { PlanAnswer, ReadAnswer, Target } from '../../src/model/ports.ts';
import type { Postgres } from '../../support/postgres.ts';

/** One statement and how it must end; the same shape as the files of cases. */
export interface AttackCase {
  readonly id: string;
  readonly sql: string;
  /** Run by a superuser beforehand, in a database of its own; `:db` is its name. */
  readonly setup?: string;
  readonly why: string;
  readonly must: 'deny' | 'limit' | 'count' | 'allow-read';
  readonly expect?: Readonly<Record<string, { i?: number; u?: number; d?: number }>>;
}

export interface Attacked {
  readonly server: Postgres;
  /** A database with the fixture in it. */
  readonly template: string;
  /** Settings of the target, its URLs left out. */
  readonly settings: JsonObject;
  readonly writer: string;
  readonly reader: string;
}

/** What is left behind by no refused statement: rows, objects, settings, sequences and locks. */
const FINGERPRINT = `
CREATE FUNCTION pg_temp.fingerprint() RETURNS text LANGUAGE plpgsql AS $$
DECLARE each record; part text; whole text := '';
BEGIN
  FOR each IN SELECT c.oid::regclass AS name, c.relkind FROM pg_class c JOIN pg_namespace s
    ON s.oid = c.relnamespace WHERE c.relkind IN ('r', 'S')
      AND s.nspname NOT IN ('pg_catalog', 'information_schema', 'writegate') ORDER BY c.oid
  LOOP
    -- A preview burns numbers of the sequence behind a key; nobody else's.
    IF each.relkind = 'S' AND each.name::text !~ 'ticket_no' THEN CONTINUE; END IF;
    EXECUTE format(CASE each.relkind WHEN 'S' THEN 'SELECT row(last_value, is_called)::text FROM %s'
      ELSE 'SELECT sum(hashtextextended(writegate_row::text, 0)) FROM ONLY %s writegate_row' END,
      each.name) INTO part;
    whole := whole || each.name || coalesce(part, '-') || ' ';
  END LOOP;
  RETURN concat_ws(' ', whole, (SELECT count(*) FROM pg_proc), (SELECT count(*) FROM pg_class),
    (SELECT count(*) FROM pg_largeobject_metadata), (SELECT string_agg(relacl::text, ' ') FROM pg_class),
    (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'),
    (SELECT count(*) FROM pg_prepared_xacts), (SELECT count(*) FROM pg_db_role_setting));
END $$`;

let databases = 0;

/** How every case ended: null where it ended as it must, else what happened instead. */
export async function runAttacks(
  attacked: Attacked,
  cases: readonly AttackCase[],
): Promise<ReadonlyMap<string, string | null>> {
  const isolated = cases.filter((each) => each.setup !== undefined);
  const shared = cases.filter((each) => each.setup === undefined);
  const verdicts = new Map<string, string | null>();
  for (const group of [shared, ...isolated.map((each) => [each])]) {
    databases += 1;
    const name = `attacked_${databases}`;
    await attacked.server.createDatabase(name, attacked.template);
    await runGroup(attacked, name, group, verdicts);
    await attacked.server.dropDatabase(name);
  }
  return verdicts;
}

async function runGroup(
  attacked: Attacked,
  name: string,
  cases: readonly AttackCase[],
  verdicts: Map<string, string | null>,
): Promise<void> {
  const admin = new pg.Client(attacked.server.url(name));
  await admin.connect();
  let target: Target | null | undefined;
  try {
    for (const { setup } of cases) {
      if (setup !== undefined)
        await admin.query(setup.replaceAll(':db', pg.escapeIdentifier(name)));
    }
    await admin.query(FINGERPRINT);
    let whyNot = '';
    target = await openTarget(attacked, name).catch((error: unknown) => {
      whyNot = String(error);
      return null;
    });
    // From here on: the target has its receipt table by now.
    const was = await fingerprint(admin);
    for (const each of cases) {
      const verdict = target === null ? unopened(each, whyNot) : await judge(target, each);
      const now = await fingerprint(admin);
      verdicts.set(each.id, now === was ? verdict : `left something behind: ${verdict ?? ''}`);
    }
  } finally {
    await target?.close();
    await admin.end();
  }
}

/** A database that cannot be governed is refused as a whole. */
function unopened({ must }: AttackCase, whyNot: string): string | null {
  return must === 'deny' ? null : `the target was not opened: ${whyNot}`;
}

async function judge(target: Target, each: AttackCase): Promise<string | null> {
  databases += 1;
  const planned = await target.plan(
    {
      proposalId: newProposalId(databases, new Uint8Array(10)),
      operation: 'sql',
      arguments: { statement: each.sql },
      permits: () => true,
      compensated: null,
    },
    AbortSignal.timeout(20_000),
  );
  const read = await target.read?.(
    { arguments: { statement: each.sql }, permits: () => true },
    AbortSignal.timeout(20_000),
  );
  assert(read !== undefined, 'the target has reads');
  if (each.must === 'count') return judgeCount(each, planned);
  if (each.must === 'allow-read') {
    return read.kind === 'read' ? null : `the read was refused: ${said(read)}`;
  }
  if (planned.kind === 'planned') return `planned: ${planned.plan.headline}`;
  if (read.kind === 'read') return `answered with ${read.rows.length} rows`;
  // The word is that of the lane that took the statement for one of its own.
  const { code } = planned.code === 'statement-kind' ? read : planned;
  const word = code === 'limit-exceeded' || code === 'statement-timeout' ? 'limit' : 'deny';
  return word === each.must ? null : `${word} instead: ${said(planned)} / ${said(read)}`;
}

function said(answer: PlanAnswer | ReadAnswer): string {
  return answer.kind === 'refused' ? `${answer.code}: ${answer.reason}` : answer.kind;
}

function judgeCount(each: AttackCase, planned: PlanAnswer): string | null {
  if (planned.kind === 'refused') return `refused: ${said(planned)}`;
  const found = JSON.stringify(countsOf(planned.plan));
  return isDeepStrictEqual(countsOf(planned.plan), each.expect ?? {}) ? null : `counted ${found}`;
}

type Counts = Record<string, Record<string, number>>;

function countsOf(plan: Plan): Counts {
  const counts: Counts = {};
  for (const count of plan.counts) {
    for (const [name, rows] of [
      ['i', count.created],
      ['u', count.updated],
      ['d', count.deleted],
    ] as const) {
      if (rows === 0) continue;
      const row = (counts[count.resource] ??= {});
      row[name] = (row[name] ?? 0) + rows;
    }
  }
  return counts;
}

async function fingerprint(admin: pg.Client): Promise<string> {
  const { rows } = await admin.query<{ text: string }>('SELECT pg_temp.fingerprint() AS text');
  return rows[0]?.text ?? '';
}

function openTarget(attacked: Attacked, name: string): Promise<Target> {
  const urlOf = (role: string): string => {
    const url = new URL(attacked.server.url(name));
    url.username = role;
    url.password = role;
    return url.href;
  };
  return openPostgresTarget(
    'attacked',
    { url: urlOf(attacked.writer), reader: urlOf(attacked.reader), ...attacked.settings },
    () => undefined,
  );
}
