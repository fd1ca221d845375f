/** A schema with everything that changes rows beside the statement, for writes made at random. */

const CASCADES = `
CREATE TYPE mood AS ENUM ('calm', 'busy', 'gone');
CREATE DOMAIN short AS text CHECK (length(VALUE) < 40);
CREATE TABLE customers (id int PRIMARY KEY, email short UNIQUE, mood mood NOT NULL DEFAULT 'calm',
  manager int REFERENCES customers ON DELETE SET NULL ON UPDATE CASCADE);
CREATE TABLE orders (id int PRIMARY KEY,
  customer int NOT NULL REFERENCES customers ON DELETE CASCADE ON UPDATE CASCADE,
  total numeric(12,2) NOT NULL DEFAULT 0, note json);
CREATE TABLE items ("order" int REFERENCES orders ON DELETE CASCADE ON UPDATE CASCADE, line int,
  sku text, PRIMARY KEY ("order", line));
CREATE TABLE item_notes ("order" int, line int, note text,
  FOREIGN KEY ("order", line) REFERENCES items ON DELETE CASCADE ON UPDATE CASCADE);
CREATE TABLE coupons (id int PRIMARY KEY,
  "order" int REFERENCES orders ON DELETE SET NULL ON UPDATE SET NULL, code text UNIQUE);
CREATE TABLE tickets (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, title text,
  owner int DEFAULT 1 REFERENCES customers ON DELETE SET DEFAULT ON UPDATE SET DEFAULT,
  title_length int GENERATED ALWAYS AS (length(title)) STORED);
CREATE TABLE tree (id int PRIMARY KEY, parent int REFERENCES tree ON DELETE CASCADE ON UPDATE CASCADE,
  name text);
INSERT INTO customers SELECT i, 'c' || i, (enum_range(NULL::mood))[1 + i % 3], NULL
  FROM generate_series(1, 20) i;
UPDATE customers SET manager = id / 2 WHERE id > 3;
INSERT INTO orders SELECT i, 1 + i % 20, i * 1.10, json_build_object('b', i, 'a', NULL)
  FROM generate_series(1, 40) i;
INSERT INTO items SELECT 1 + i % 40, i, 'sku' || i % 7 FROM generate_series(1, 80) i;
INSERT INTO item_notes SELECT "order", line, 'note ' || line % 3 FROM items WHERE line % 2 = 0;
INSERT INTO item_notes SELECT "order", line, 'note ' || line % 3 FROM items WHERE line % 4 = 0;
INSERT INTO coupons SELECT i, i * 2, 'code' || i FROM generate_series(1, 20) i;
INSERT INTO tickets (title, owner) SELECT 't' || i, 1 + i % 20 FROM generate_series(1, 20) i;
INSERT INTO tree SELECT i, nullif(i / 2, 0), 'n' || i FROM generate_series(1, 30) i;
`;

const TRIGGERS = `
CREATE TABLE accounts (id int PRIMARY KEY, balance numeric NOT NULL, version int NOT NULL DEFAULT 1,
  updated_at timestamptz NOT NULL DEFAULT '2020-01-01');
CREATE TABLE audit (id bigserial PRIMARY KEY, account int, what text,
  at timestamptz NOT NULL DEFAULT clock_timestamp());
INSERT INTO accounts SELECT i, i * 100 FROM generate_series(1, 20) i;
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
  NEW.updated_at := clock_timestamp(); NEW.version := OLD.version + 1; RETURN NEW; END$$;
CREATE TRIGGER stamp BEFORE UPDATE ON accounts FOR EACH ROW EXECUTE FUNCTION stamp();
CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
  INSERT INTO audit (account, what) VALUES (coalesce(NEW.id, OLD.id), TG_OP); RETURN NULL; END$$;
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON accounts
  FOR EACH ROW EXECUTE FUNCTION audit();

CREATE TABLE stock (sku text PRIMARY KEY, amount int NOT NULL);
CREATE TABLE movements (id int PRIMARY KEY, sku text REFERENCES stock ON UPDATE CASCADE, amount int);
CREATE FUNCTION move() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
  IF TG_OP <> 'INSERT' THEN UPDATE stock SET amount = amount - OLD.amount WHERE sku = OLD.sku; END IF;
  IF TG_OP <> 'DELETE' THEN UPDATE stock SET amount = amount + NEW.amount WHERE sku = NEW.sku; END IF;
  RETURN NULL; END$$;
INSERT INTO stock SELECT 'sku' || i, 0 FROM generate_series(1, 5) i;
CREATE TRIGGER move AFTER INSERT OR UPDATE OF amount OR DELETE ON movements
  FOR EACH ROW EXECUTE FUNCTION move();
INSERT INTO movements SELECT i, 'sku' || 1 + i % 5, i FROM generate_series(1, 20) i;

CREATE TABLE jobs (id int PRIMARY KEY, state text);
CREATE TABLE job_log (job int, n int);
INSERT INTO jobs SELECT i, 'idle' FROM generate_series(1, 10) i;
CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
  INSERT INTO job_log SELECT NEW.id, n FROM generate_series(1, 3) n; RETURN NULL; END$$;
CREATE CONSTRAINT TRIGGER late AFTER UPDATE ON jobs DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION late();

CREATE TABLE twice (id int PRIMARY KEY, n int, seen int NOT NULL DEFAULT 0);
INSERT INTO twice SELECT i, i FROM generate_series(1, 10) i;
CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
  UPDATE twice SET seen = seen + 1 WHERE id = NEW.id; RETURN NULL; END$$;
CREATE TRIGGER again AFTER UPDATE OF n ON twice FOR EACH ROW EXECUTE FUNCTION again();

CREATE TABLE undone (id int PRIMARY KEY, v text);
INSERT INTO undone SELECT i, 'v' FROM generate_series(1, 10) i;
CREATE FUNCTION subtransaction() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
  BEGIN
    DELETE FROM job_log; UPDATE undone SET v = v || '?' WHERE id <> NEW.id; RAISE EXCEPTION 'no';
  EXCEPTION WHEN raise_exception THEN NULL; END;
  IF NEW.id % 2 = 0 THEN UPDATE stock SET amount = amount WHERE sku = 'sku1'; END IF;
  RETURN NULL; END$$;
CREATE TRIGGER subtransaction AFTER UPDATE OF v ON undone FOR EACH ROW WHEN (pg_trigger_depth() = 0)
  EXECUTE FUNCTION subtransaction();
`;

const SHAPES = `
CREATE TABLE events (id int, day int, kind text, customer int REFERENCES customers ON DELETE CASCADE,
  PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE events_a PARTITION OF events FOR VALUES FROM (0) TO (10);
CREATE TABLE events_b (kind text, dropped int, day int NOT NULL, id int NOT NULL, customer int);
ALTER TABLE events_b DROP COLUMN dropped;
ALTER TABLE events ATTACH PARTITION events_b FOR VALUES FROM (10) TO (20);
CREATE TABLE events_rest PARTITION OF events DEFAULT;
INSERT INTO events SELECT i, i % 25, 'k', 1 + i % 20 FROM generate_series(1, 50) i;
CREATE TABLE event_tags (event int, day int, tag text, PRIMARY KEY (event, day, tag),
  FOREIGN KEY (event, day) REFERENCES events ON DELETE CASCADE ON UPDATE CASCADE);
INSERT INTO event_tags SELECT id, day, 'tag' FROM events WHERE id % 3 = 0;

CREATE TABLE ruled (id int PRIMARY KEY, v text);
CREATE TABLE rule_log (id int, v text);
INSERT INTO ruled SELECT i, 'v' FROM generate_series(1, 10) i;
CREATE RULE also AS ON UPDATE TO ruled DO ALSO INSERT INTO rule_log VALUES (NEW.id, OLD.v);
CREATE TABLE kept (id int PRIMARY KEY, alive boolean NOT NULL DEFAULT true);
INSERT INTO kept SELECT i FROM generate_series(1, 10) i;
CREATE RULE instead AS ON DELETE TO kept DO INSTEAD UPDATE kept SET alive = false WHERE id = OLD.id;

CREATE TABLE base (id int PRIMARY KEY, name text);
CREATE TABLE special (extra text, PRIMARY KEY (id)) INHERITS (base);
INSERT INTO base SELECT i, 'b' || i FROM generate_series(1, 10) i;
INSERT INTO special SELECT i, 's' || i, 'x' || i FROM generate_series(11, 20) i;

CREATE TABLE secured (id int PRIMARY KEY, tenant int NOT NULL, v text);
INSERT INTO secured SELECT i, 1 + i % 2, 'v' FROM generate_series(1, 20) i;
ALTER TABLE secured ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON secured USING (tenant = 1);

CREATE VIEW calm AS SELECT id, email, mood FROM customers WHERE mood = 'calm';
CREATE VIEW balances AS SELECT id, balance FROM accounts;
CREATE FUNCTION set_balance() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
  UPDATE accounts SET balance = NEW.balance WHERE id = OLD.id; RETURN NEW; END$$;
CREATE TRIGGER set_balance INSTEAD OF UPDATE ON balances FOR EACH ROW EXECUTE FUNCTION set_balance();

CREATE TABLE loose (a int, b text);
INSERT INTO loose VALUES (1, 'x'), (1, 'x'), (2, 'y'), (3, NULL), (3, '');
CREATE TABLE mixed (id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, j json, jb jsonb, b bytea,
  f float8, n numeric, ts timestamptz, d date, c char(5), a text[], m mood[], s short, i interval,
  u uuid, flag boolean, r int4range, bits bit(4), ip inet, twin numeric GENERATED ALWAYS AS (n) STORED);
INSERT INTO mixed (j, jb, b, f, n, ts, d, c, a, m, s, i, u, flag, r, bits, ip) VALUES
  ('{"b":1,  "a":[1.0]}', '{"b":1.0}', '\\x00ff', 'NaN', '1.500', '2020-01-01 01:02:03.5+02',
   '0044-03-15 BC', 'ab', '{"a,b",NULL,"q\\"uote",""}', '{calm,busy}', '', '1 mon 2 days',
   '00000000-0000-0000-0000-000000000001', true, '[1,5)', '1010', '10.0.0.1/8'),
  (NULL, NULL, '', '-0', 'NaN', 'infinity', '-infinity', '', '{}', NULL, NULL, NULL, NULL, NULL,
   'empty', NULL, NULL),
  (E'[1,\\n2]', 'null', NULL, '-Infinity', '-0.00', '-infinity', 'infinity', ' x ', '{{1,2},{3,4}}',
   '{}', E'tab\\t"q"\\\\', '-1 day 00:00:01', NULL, false, '(,3)', '0000', '::1');
`;

export const RANDOM_SCHEMA: string = CASCADES + TRIGGERS + SHAPES;
