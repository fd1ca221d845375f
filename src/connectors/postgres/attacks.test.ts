import { strict as assert } from 'node:assert';
import { existsSync, readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import pg from 'pg';
import { startPostgres, type Postgres } from '../../../support/postgres.ts';
import { runAttacks, type AttackCase } from '../../../test/support/attacks.ts';
import type { JsonObject } from '../../lib/json.ts';

/** Cases that are kept beside the repository; see the file of the same name with `.md`. */
const CASES = new URL('../../../../shared/cases/', import.meta.url);
/** Our own, with a fixture of their own. */
const VECTORS = new URL('../../../test/vectors/', import.meta.url);

interface CasesPolicy {
  readonly writer: string;
  readonly reader: string;
  readonly settings: Readonly<Record<string, string>>;
  readonly limits: {
    readonly rows_per_statement: number;
    readonly read_rows: number;
    readonly statement_ms: number;
    readonly result_bytes: number;
  };
  readonly scope: { readonly column: string; readonly value: number };
  readonly tables: Readonly<
    Record<
      string,
      { insert?: boolean; update?: boolean | string[]; delete?: boolean; auto?: string[] }
    >
  >;
  readonly readable_extra: readonly string[];
}

let server: Postgres;
before(async () => {
  server = await startPostgres();
});
after(async () => {
  await server.stop();
});

const isThere = existsSync(new URL('sql-attacks.jsonl', CASES));

test(
  'every attack is refused or measured as it must be, strict on the word, and leaves nothing',
  { skip: isThere ? false : 'the attack cases are not beside this checkout' },
  async (context) => {
    await runFolder(CASES, 'attacks', context);
  },
);

test('and so is every one of our own, and what engineers write every day passes', async (context) => {
  await runFolder(VECTORS, 'own_attacks', context);
});

async function runFolder(
  folder: URL,
  template: string,
  context: { diagnostic(message: string): void },
): Promise<void> {
  const cases = readCases(new URL('sql-attacks.jsonl', folder));
  const policy = readPolicy(new URL('sql-attacks.policy.json', folder));
  assert.equal(new Set(cases.map((each) => each.id)).size, cases.length, 'an id stands once');
  await prepareTemplate(template, new URL('sql-attacks.fixture.sql', folder), policy.writer);
  const verdicts = await runAttacks(
    {
      server,
      template,
      settings: settingsOf(policy),
      writer: policy.writer,
      reader: policy.reader,
    },
    cases,
  );
  const wrong = cases.flatMap(({ id, sql }) => {
    const verdict = verdicts.get(id) ?? null;
    return verdict === null ? [] : [`${id}: ${verdict.slice(0, 300)} :: ${sql.slice(0, 200)}`];
  });
  context.diagnostic(`${cases.length - wrong.length} of ${cases.length} on ${server.version}`);
  assert.deepEqual(wrong, []);
}

function settingsOf(policy: CasesPolicy): JsonObject {
  const { limits, scope } = policy;
  const written = Object.entries(policy.tables).map(([name, rules]) => {
    const { insert = false, update = false, delete: remove = false } = rules;
    return [name, { insert, update, delete: remove }] as const;
  });
  return {
    schemas: ['shop'],
    tables: Object.fromEntries([
      ...written,
      ...policy.readable_extra.map((name) => [name, {}] as const),
    ]),
    scope: [{ column: scope.column, value: String(scope.value) }],
    limits: {
      rows: limits.rows_per_statement,
      readRows: limits.read_rows,
      readBytes: limits.result_bytes,
      readTimeoutMs: limits.statement_ms,
      readsPerMinute: 1_000_000,
    },
    session: policy.settings,
    statementTimeoutMs: limits.statement_ms,
  };
}

async function prepareTemplate(name: string, fixture: URL, writer: string): Promise<void> {
  await server.createDatabase(name);
  const admin = new pg.Client(server.url(name));
  await admin.connect();
  await admin.query(readFileSync(fixture, 'utf8'));
  await admin.query(
    `RESET search_path; RESET ROLE; CREATE SCHEMA writegate AUTHORIZATION ${pg.escapeIdentifier(writer)}`,
  );
  await admin.end();
}

function readCases(file: URL): readonly AttackCase[] {
  const lines = readFileSync(file, 'utf8').trim().split('\n');
  // The file's own description is what this shape is taken from.
  return lines.map((line) => JSON.parse(line) as AttackCase);
}

function readPolicy(file: URL): CasesPolicy {
  // As above.
  return JSON.parse(readFileSync(file, 'utf8')) as CasesPolicy;
}
