// Setting a target up as somebody who may make roles, on every server that is here.
import { strict as assert } from 'node:assert';
import { readFile } from 'node:fs/promises';
import { after, describe, test } from 'node:test';
import pg from 'pg';
import { startPostgres, type Postgres } from '../../../../support/postgres.ts';
import { Secret } from '../../../lib/secret.ts';
import { asking, type Ask } from '../session/ask.ts';
import type { Finding } from './finding.ts';
import { examine, withRoles, type RoleCheck, type RoleUrls } from './findings.ts';
import { reportTables } from './report.ts';
import type { RoleKind } from './role-facts.ts';
import { newPassword, roleNames } from './roles.ts';
import { carryOutSetup, planSetup, readGround, type SetupWish } from './setup.ts';
import { parsePostgresSettings, type PostgresSettings } from '../settings.ts';

const SCHEMA = `
CREATE TABLE customers (id serial PRIMARY KEY, email text NOT NULL);
CREATE TABLE orders (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  customer int REFERENCES customers ON DELETE CASCADE, changed timestamptz);
CREATE SCHEMA side;
CREATE TABLE side.audit (what text, at timestamptz DEFAULT now());
CREATE TABLE side.notes (id int PRIMARY KEY, customer int REFERENCES public.customers ON DELETE SET NULL);
CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
  NEW.changed := now();
  -- DELETE FROM customers
  INSERT INTO side.audit (what) VALUES (TG_OP); RETURN NEW; END$$;
CREATE TRIGGER audit BEFORE INSERT OR UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION audit();
CREATE TABLE secrets (id int PRIMARY KEY, tenant int);
ALTER TABLE secrets ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON secrets USING (tenant = 1);
CREATE VIEW totals AS SELECT count(*) FROM orders;
CREATE VIEW mail AS SELECT id, email FROM customers WHERE email <> '';
CREATE TABLE side.ideas (id int PRIMARY KEY, body text);
CREATE VIEW ideas AS SELECT id, body FROM side.ideas;
CREATE VIEW doors AS SELECT 1 AS id;
CREATE TABLE side.doors (id int);
CREATE FUNCTION open_door() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
  INSERT INTO side.doors VALUES (NEW.id); RETURN NEW; END$$;
CREATE TRIGGER open_door INSTEAD OF INSERT ON doors FOR EACH ROW EXECUTE FUNCTION open_door();
`;

/** The sample databases stand beside the checkout where there are any. */
const DATA = new URL('../../../../../shared/data/postgres/', import.meta.url);

const closers: (() => Promise<unknown>)[] = [];
after(async () => {
  for (const close of closers.toReversed()) await close();
});

let made = 0;

interface Stage {
  readonly server: Postgres;
  readonly name: string;
  readonly admin: pg.Client;
  readonly ask: Ask;
}

async function stage(server: Postgres, schema = SCHEMA): Promise<Stage> {
  made += 1;
  const name = `stage_${made}`;
  await server.createDatabase(name);
  const admin = new pg.Client(server.url(name));
  admin.on('error', () => {});
  await admin.connect();
  closers.push(() => admin.end());
  await admin.query(schema);
  return { server, name, admin, ask: asking(admin) };
}

function wishFor(name: string, wish: Partial<SetupWish> = {}): SetupWish {
  return {
    names: roleNames('wg', name),
    governed: { schemas: ['public'], tables: undefined },
    receipts: 'writegate',
    hasUndo: true,
    hasTrackFunctions: true,
    isPublicRevoked: false,
    ...wish,
  };
}

const KINDS: readonly RoleKind[] = ['writer', 'reader', 'evidence', 'undo'];

/** Makes the roles and returns their URLs; passwords are for those that are new. */
async function setUp(at: Stage, ask: Ask = at.ask, given: Partial<SetupWish> = {}) {
  const wish = wishFor(at.name, given);
  const ground = await readGround(ask, wish);
  const passwords = Object.fromEntries(KINDS.map((kind) => [kind, newPassword()])) as Record<
    RoleKind,
    Secret
  >;
  const plan = planSetup(wish, ground, passwords);
  await carryOutSetup(ask, plan);
  return { wish, plan, passwords, urls: urlsOf(at, wish, passwords) };
}

function urlsOf(
  { server, name }: Stage,
  { names }: SetupWish,
  passwords: Readonly<Record<RoleKind, Secret>>,
): RoleUrls & { readonly writer: Secret } {
  const url = (kind: RoleKind): Secret => {
    const own = new URL(server.url(name));
    own.username = names[kind];
    own.password = passwords[kind].reveal();
    return new Secret(own.href);
  };
  return {
    writer: url('writer'),
    reader: url('reader'),
    evidence: url('evidence'),
    undo: url('undo'),
  };
}

function settings(more: object = {}): PostgresSettings {
  return parsePostgresSettings('t', { url: 'postgres://x', ...more });
}

const look = (urls: RoleUrls, more: object = {}): Promise<RoleCheck> =>
  withRoles(urls, (asks) => examine(asks, settings(more)));

const codes = (findings: readonly Finding[]): readonly string[] =>
  findings.map(({ code }) => code).toSorted();

/** Who may do what, and who is what: equal where two set-ups are the same. */
async function state({ admin, name }: Stage): Promise<string> {
  const { rows } = await admin.query(
    `SELECT json_build_object(
      'roles', (SELECT json_agg((replace(rolname, $1, ''), rolsuper, rolcreaterole, rolcreatedb, rolcanlogin,
        rolreplication, rolbypassrls) ORDER BY rolname) FROM pg_roles WHERE rolname LIKE 'wg\\_%' || $1),
      'tables', (SELECT json_agg((c.oid::regclass::text, c.relkind, (SELECT json_agg(r ORDER BY r) FROM (
          SELECT replace(coalesce(g.rolname, 'PUBLIC'), $1, '') || ' ' || a.privilege_type AS r
          FROM aclexplode(c.relacl) a LEFT JOIN pg_roles g ON g.oid = a.grantee) x)) ORDER BY c.oid::regclass::text)
        FROM pg_class c JOIN pg_namespace s ON s.oid = c.relnamespace
        WHERE s.nspname IN ('public', 'side', 'writegate')),
      'parameters', (SELECT json_agg(replace(a.grantee::regrole::text, $1, '') || ' ' || p.parname ORDER BY 1)
        FROM pg_parameter_acl p, aclexplode(p.paracl) a
        WHERE a.grantee::regrole::text LIKE '%' || $1)) AS state`,
    [name],
  );
  return JSON.stringify(rows[0]);
}

for (const prefer of ['newest', 'oldest'] as const) {
  let starting: Promise<Postgres> | undefined;
  const server = (): Promise<Postgres> => {
    starting ??= startPostgres({ prefer, settings: { fsync: 'off' } }).then((started) => {
      closers.push(() => started.stop());
      return started;
    });
    return starting;
  };

  describe(`roles of a target on the ${prefer} server`, () => {
    test('a superuser makes four roles that the check has nothing against', async (context) => {
      const at = await stage(await server());
      context.diagnostic(at.server.version);
      const { urls, plan } = await setUp(at, at.ask, { isPublicRevoked: true });
      assert.deepEqual(plan.lost, []);
      const { findings } = await look(urls);
      assert.deepEqual(findings, []);
    });

    test('the writer writes, triggers included, and may do nothing else', async () => {
      const at = await stage(await server());
      const { urls } = await setUp(at);
      const writer = new pg.Client(urls.writer.reveal());
      await writer.connect();
      await writer.query(`INSERT INTO customers (email) VALUES ('a')`);
      await writer.query('INSERT INTO orders (customer) VALUES (1)');
      await writer.query('DELETE FROM customers');
      await writer.query(`SELECT set_config('track_functions', 'all', false)`);
      for (const refused of [
        'TRUNCATE orders',
        'CREATE TABLE mine ()',
        'CREATE SCHEMA mine',
        `UPDATE side.audit SET what = ''`,
        'ALTER TABLE orders ADD x int',
        'INSERT INTO side.notes VALUES (1)',
      ]) {
        await assert.rejects(writer.query(refused), { code: '42501' }, refused);
      }
      await writer.end();
      const reader = new pg.Client(urls.reader?.reveal());
      await reader.connect();
      await reader.query('SELECT * FROM customers');
      await reader.query('SELECT * FROM totals');
      await assert.rejects(reader.query('DELETE FROM customers'), { code: '42501' });
      await reader.end();
      const undo = new pg.Client(urls.undo?.reveal());
      await undo.connect();
      await undo.query('SET session_replication_role = replica');
      await undo.query(`INSERT INTO side.notes VALUES (1, 4711)`);
      await undo.end();
      const evidence = new pg.Client(urls.evidence?.reveal());
      await evidence.connect();
      await evidence.query('SELECT * FROM side.audit');
      await evidence.end();
    });

    test('writes go through the views that take them, and what lies below is seen', async () => {
      const at = await stage(await server());
      const { urls } = await setUp(at);
      const writer = new pg.Client(urls.writer.reveal());
      await writer.connect();
      await writer.query(`INSERT INTO mail VALUES (1, 'a')`);
      await writer.query(`UPDATE mail SET email = 'b'`);
      await writer.query('DELETE FROM mail');
      await writer.query(`INSERT INTO ideas VALUES (1, 'c')`);
      await writer.query('INSERT INTO doors VALUES (1)');
      await assert.rejects(writer.query(`INSERT INTO side.ideas VALUES (2, 'd')`), {
        code: '42501',
      });
      const { rows } = await writer.query<{ rights: string }>(
        `SELECT concat(has_table_privilege('doors', 'DELETE'), has_table_privilege('totals', 'INSERT'))
          AS rights`,
      );
      assert.equal(rows[0]?.rights, 'ff');
      await writer.end();
      const evidence = new pg.Client(urls.evidence?.reveal());
      await evidence.connect();
      for (const table of ['side.ideas', 'side.doors']) await evidence.query(`TABLE ${table}`);
      await evidence.end();
      const undo = new pg.Client(urls.undo?.reveal());
      await undo.connect();
      await undo.query('DELETE FROM side.ideas');
      await undo.end();
      const writerName = at.admin.escapeIdentifier(wishFor(at.name).names.writer);
      await at.admin.query(`REVOKE UPDATE, DELETE ON mail FROM ${writerName}`);
      const missing = (await look(urls)).findings.find(({ code }) => code === 'missing-grant');
      assert.match(
        missing?.message ?? '',
        /lacks UPDATE, DELETE on `public\.mail`: writes through/,
      );
      assert(missing?.fix.kind === 'sql');
      await at.admin.query(missing.fix.sql);
      assert.deepEqual(codes((await look(urls)).findings), ['role-temp']);
    });

    test('a second run changes nothing, and covers a table that is new', async () => {
      const at = await stage(await server());
      const { urls, wish } = await setUp(at);
      const first = await state(at);
      await carryOutSetup(at.ask, planSetup(wish, await readGround(at.ask, wish), {}));
      assert.equal(await state(at), first);
      await at.admin.query('CREATE TABLE later (id serial PRIMARY KEY)');
      assert.ok(codes((await look(urls)).findings).includes('missing-grant'));
      await carryOutSetup(at.ask, planSetup(wish, await readGround(at.ask, wish), {}));
      assert.deepEqual(codes((await look(urls)).findings), ['role-temp']);
    });

    test('the printed SQL, run by somebody else, gives the same state', async () => {
      const at = await stage(await server());
      await setUp(at);
      const other = await stage(await server());
      const wish = wishFor(other.name);
      const ground = await readGround(other.ask, wish);
      const passwords = Object.fromEntries(KINDS.map((kind) => [kind, newPassword()]));
      const { statements } = planSetup(wish, ground, passwords);
      await other.admin.query(`BEGIN;\n${statements.join(';\n')};\nCOMMIT;`);
      assert.equal(await state(other), await state(at));
      for (const password of Object.values(passwords)) {
        assert.ok(!statements.join().includes(password.reveal()));
      }
    });

    test('an owner without superuser makes them, and is told what is lost', async () => {
      const at = await stage(await server(), 'SELECT');
      await at.admin.query(`
        CREATE ROLE owner_${made} LOGIN PASSWORD 'owner' CREATEROLE;
        ALTER DATABASE ${at.name} OWNER TO owner_${made};
        ALTER SCHEMA public OWNER TO owner_${made}`);
      const url = new URL(at.server.url(at.name));
      url.username = `owner_${made}`;
      url.password = 'owner';
      const owner = new pg.Client(url.href);
      await owner.connect();
      try {
        await owner.query(SCHEMA);
        const { urls, plan } = await setUp(at, asking(owner));
        assert.equal(plan.lost.length, 3);
        assert.match(plan.lost.join('\n'), /row security hides.*ALTER ROLE "wg_evidence/s);
        const { findings } = await look(urls);
        assert.deepEqual(codes(findings), ['missing-grant', 'missing-grant', 'role-temp']);
        const orders = reportTables(await look(urls)).find(
          (each) => each.table === 'public.orders',
        );
        assert.equal(orders?.reversibility.kind, 'conditional');
        assert.match(orders.reversibility.reason, /may not turn triggers off/);
        for (const { severity, fix } of findings) {
          assert.equal(severity, 'note');
          assert(fix.kind === 'sql');
          await at.admin.query(fix.sql);
        }
        assert.deepEqual((await look(urls)).findings, []);
      } finally {
        await owner.end();
      }
    });

    test('what goes wrong in the middle leaves nothing, and the next run completes it', async () => {
      const at = await stage(await server());
      const wish = wishFor(at.name);
      const before = await state(at);
      const plan = planSetup(wish, await readGround(at.ask, wish), {});
      const broken = { ...plan, statements: [...plan.statements, 'SELECT 1 / 0'] };
      await assert.rejects(carryOutSetup(at.ask, broken), { code: '22012' });
      assert.equal(await state(at), before);
      const { urls } = await setUp(at);
      assert.deepEqual(codes((await look(urls)).findings), ['role-temp']);
    });

    test('a table of the report says what acts beside a write, and what can be taken back', async () => {
      const at = await stage(await server());
      const { urls } = await setUp(at);
      const tables = reportTables(await look(urls));
      const table = (name: string) => tables.find((each) => each.table === name);
      const orders = table('public.orders');
      assert.deepEqual(orders?.triggers, [
        {
          name: 'audit',
          timing: 'before',
          events: ['insert', 'update'],
          function: 'public.audit',
          language: 'plpgsql',
          isDefiner: false,
          owner: 'postgres',
          columns: ['changed'],
        },
      ]);
      assert.equal(orders?.reversibility.kind, 'proved');
      assert.deepEqual(
        table('public.customers')?.cascades.map(({ resource, onDelete }) => [resource, onDelete]),
        [
          ['public.orders', 'cascade'],
          ['side.notes', 'set null'],
        ],
      );
      assert.equal(table('side.audit')?.isGoverned, false);
      assert.equal(table('side.audit')?.reversibility.kind, 'one-way');
      assert.deepEqual(table('public.secrets')?.policies, ['own']);
      const undo = at.admin.escapeIdentifier(wishFor(at.name).names.undo);
      await at.admin.query(`REVOKE UPDATE ON customers FROM ${undo}`);
      const without = reportTables(await look(urls)).find((each) => each.table === 'public.orders');
      assert.equal(without?.reversibility.kind, 'conditional');
      assert.match(without.reversibility.reason, /may not lock rows of `public\.customers`/);
    });

    for (const file of ['northwind.sql', 'pagila-schema.sql']) {
      test(`the real schema ${file} is governed without a special case`, async (context) => {
        const text = await readFile(new URL(file, DATA), 'utf8').catch(() => null);
        if (text === null) return context.skip('the file is not here');
        const at = await stage(await server(), 'SELECT');
        await load(at.admin, text);
        await at.admin.query('RESET ALL');
        const { urls } = await setUp(at);
        const from = performance.now();
        const check = await look(urls);
        context.diagnostic(`${(performance.now() - from).toFixed(0)} ms`);
        // Pagila lets everybody make tables in its schema, which is its owner's to say.
        assert.deepEqual(
          check.findings.filter(
            ({ severity, code }) => severity === 'refuse' || code === 'missing-grant',
          ),
          [],
        );
        // On 15 the server lacks types and functions of some of its tables.
        assert.ok(reportTables(check).length >= 11);
      });
    }
  });
}

/** As `psql -v ON_ERROR_STOP=0`: a statement that the server lacks something for is passed over. */
async function load(client: pg.Client, text: string): Promise<void> {
  let quote: string | null = null;
  let statement = '';
  for (const piece of text.split(/(\$\w*\$|;[ \t]*\n)/)) {
    statement += piece;
    if (/^\$\w*\$$/.test(piece)) {
      if (quote === null) quote = piece;
      else if (quote === piece) quote = null;
    } else if (quote === null && piece.startsWith(';')) {
      await client.query(statement).catch(() => {});
      statement = '';
    }
  }
}
