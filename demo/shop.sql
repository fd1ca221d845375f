-- The production database of the demo: a shop with 47,000 customers.
CREATE TABLE customers (
  id integer PRIMARY KEY,
  name text NOT NULL,
  email text NOT NULL,
  status text NOT NULL DEFAULT 'active'
);
CREATE TABLE addresses (
  id integer PRIMARY KEY,
  customer_id integer NOT NULL REFERENCES customers ON DELETE CASCADE,
  line text NOT NULL
);
CREATE TABLE orders (
  id integer PRIMARY KEY,
  customer_id integer NOT NULL REFERENCES customers ON DELETE CASCADE,
  total numeric(12,2) NOT NULL
);
CREATE TABLE order_items (
  id integer PRIMARY KEY,
  order_id integer NOT NULL REFERENCES orders ON DELETE CASCADE,
  sku text NOT NULL
);
CREATE TABLE accounts (
  id integer PRIMARY KEY,
  holder text NOT NULL,
  tier text NOT NULL,
  balance numeric(12,2) NOT NULL
);
CREATE TABLE journal_entries (
  id integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
  account text NOT NULL,
  reference text NOT NULL,
  amount numeric(12,2) NOT NULL
);

INSERT INTO customers
SELECT n, 'Customer ' || n, 'customer' || n || '@example.com', 'active'
FROM generate_series(1, 47000) AS n;
UPDATE customers SET email = replace(email, '@example.com', '@exmaple.com') WHERE id IN (11, 12, 13);
-- Customer 4711 has 20 addresses, 32 orders and 160 order items: 212 rows that a DELETE takes along.
INSERT INTO addresses SELECT n, 4711, 'Dock ' || n FROM generate_series(1, 20) AS n;
INSERT INTO orders SELECT n, 4711, 10.00 * n FROM generate_series(1, 32) AS n;
INSERT INTO order_items
SELECT o * 10 + i, o, 'sku-' || i FROM generate_series(1, 32) AS o, generate_series(1, 5) AS i;
INSERT INTO accounts
SELECT n, 'Holder ' || n, CASE WHEN n <= 5 THEN 'gold' ELSE 'plain' END, 1000.00 + n
FROM generate_series(1, 200) AS n;
INSERT INTO journal_entries (account, reference, amount)
SELECT 'sales', 'INV-' || n, 100.00 + n FROM generate_series(1, 5) AS n;

CREATE INDEX ON addresses (customer_id);
CREATE INDEX ON orders (customer_id);
CREATE INDEX ON order_items (order_id);
ANALYZE;
