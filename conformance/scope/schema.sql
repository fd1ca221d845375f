-- What the scope of a write is measured on: rows, rows elsewhere, money, recipients, bytes.
CREATE TABLE items (
  id integer PRIMARY KEY,
  name text NOT NULL,
  price numeric(12, 2) NOT NULL,
  stock integer NOT NULL
);
INSERT INTO items SELECT n, 'item ' || n, n, 10 FROM generate_series(1, 400) AS n;

-- A key whose change goes on to other rows.
CREATE TABLE members (id integer PRIMARY KEY, name text NOT NULL);
CREATE TABLE visits (
  id integer PRIMARY KEY,
  member_id integer NOT NULL REFERENCES members ON UPDATE CASCADE
);
INSERT INTO members SELECT n, 'member ' || n FROM generate_series(1, 20) AS n;
INSERT INTO visits SELECT n, (n % 20) + 1 FROM generate_series(1, 800) AS n;

-- A trigger that writes one row elsewhere for each.
CREATE TABLE accounts (id integer PRIMARY KEY, balance numeric(12, 2) NOT NULL);
CREATE TABLE account_log (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  account_id integer NOT NULL,
  balance numeric(12, 2)
);
CREATE FUNCTION log_account() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO account_log (account_id, balance) VALUES (NEW.id, NEW.balance);
  RETURN NULL;
END $$;
CREATE TRIGGER log_account AFTER UPDATE ON accounts FOR EACH ROW EXECUTE FUNCTION log_account();
INSERT INTO accounts SELECT n, 100 FROM generate_series(1, 60) AS n;

-- Money in two columns and in the currency of the row.
CREATE TABLE payments (
  id integer PRIMARY KEY,
  amount numeric(12, 2) NOT NULL DEFAULT 0,
  fee numeric(12, 2) NOT NULL DEFAULT 0,
  currency text NOT NULL
);
CREATE TABLE transfers (id integer PRIMARY KEY, amount numeric(12, 2) NOT NULL, note text);
INSERT INTO transfers SELECT n, 10, 'open' FROM generate_series(1, 20) AS n;

CREATE TABLE mails (id integer PRIMARY KEY, recipient text NOT NULL, body text NOT NULL);
CREATE TABLE bulk (id integer PRIMARY KEY, note text);
INSERT INTO bulk SELECT n, NULL FROM generate_series(1, 400) AS n;

-- One table for each budget, so that no check spends what another counts on.
CREATE TABLE rate_minute (id integer PRIMARY KEY, run integer NOT NULL DEFAULT 0);
CREATE TABLE rate_hour (LIKE rate_minute INCLUDING ALL);
CREATE TABLE rate_day (LIKE rate_minute INCLUDING ALL);
CREATE TABLE rate_shared (LIKE rate_minute INCLUDING ALL);
CREATE TABLE rate_restart (LIKE rate_minute INCLUDING ALL);
CREATE TABLE rate_chain (LIKE rate_minute INCLUDING ALL);
CREATE TABLE rate_value (id integer PRIMARY KEY, amount numeric(12, 2) NOT NULL);

CREATE TABLE repeated (
  id integer PRIMARY KEY,
  label text,
  quantity numeric NOT NULL DEFAULT 0
);
INSERT INTO repeated SELECT n, 'row ' || n, 0 FROM generate_series(1, 100) AS n;
CREATE TABLE postings (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  reference text NOT NULL,
  amount numeric(12, 2) NOT NULL
);

CREATE TABLE categories (id integer PRIMARY KEY, name text NOT NULL);
CREATE TABLE products (
  id integer PRIMARY KEY,
  category_id integer NOT NULL REFERENCES categories,
  price numeric(12, 2) NOT NULL,
  stock integer NOT NULL
);
INSERT INTO categories VALUES (1, 'tools');
INSERT INTO products SELECT n, 1, 10, 5 FROM generate_series(1, 10) AS n;

-- The seed incidents.
CREATE TABLE customers (id integer PRIMARY KEY, email text NOT NULL);
INSERT INTO customers SELECT n, 'c' || n || '@example.org' FROM generate_series(1, 47000) AS n;
CREATE TABLE journal (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  reference text NOT NULL,
  amount numeric(12, 2) NOT NULL
);
CREATE TABLE tickets (id integer PRIMARY KEY, tenant text NOT NULL, status text NOT NULL);
INSERT INTO tickets SELECT n, CASE WHEN n % 2 = 0 THEN 'acme' ELSE 'globex' END, 'open'
  FROM generate_series(1, 500) AS n;
CREATE TABLE configuration (name text PRIMARY KEY, value text NOT NULL);
INSERT INTO configuration VALUES ('pool.size', '10');
