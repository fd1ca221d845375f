import { strict as assert } from 'node:assert';
import { existsSync, readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import pg from 'pg';
import { startPostgres, type Postgres } from '../../../support/postgres.ts';
import { openTargetBench } from '../../../test/support/postgres-target.ts';
import { runStatements } from '../../../test/support/random-rounds.ts';

/** Real schemas, kept beside the repository. */
const DATA = new URL('../../../../shared/data/postgres/', import.meta.url);

const NORTHWIND = [
  `UPDATE products SET unit_price = unit_price * 1.1 WHERE category_id = 1`,
  `UPDATE customers SET contact_name = 'Maria Anders-Smith', phone = NULL WHERE customer_id = 'ALFKI'`,
  `UPDATE orders SET shipped_date = '1998-05-10', ship_via = 2 WHERE shipped_date IS NULL`,
  `UPDATE employees SET reports_to = 5 WHERE reports_to = 2`,
  `UPDATE employees SET photo = '\\x00ff', notes = 'O''Neil "quoted"' WHERE employee_id = 3`,
  `DELETE FROM order_details WHERE order_id = 10248`,
  `DELETE FROM order_details WHERE product_id = 11 AND quantity > 20`,
  `DELETE FROM employee_territories WHERE employee_id = 7`,
  `INSERT INTO customers (customer_id, company_name) VALUES ('NEWCO', 'New company')`,
  `INSERT INTO order_details VALUES (10248, 1, 18, 5, 0), (10248, 2, 19, 5, 0.15)`,
  `INSERT INTO categories (category_id, category_name) VALUES (1, 'Drinks') ON CONFLICT (category_id) DO UPDATE SET category_name = 'Drinks'`,
  `INSERT INTO shippers SELECT shipper_id + 100, company_name, phone FROM shippers`,
  `UPDATE us_states SET state_region = 'south' WHERE state_region = 'midwest'`,
];

const PAGILA_ROWS = `
SET search_path = public;
INSERT INTO country (country_id, country) VALUES (1, 'Chile'), (2, 'Ghana');
INSERT INTO city (city_id, city, country_id) SELECT i, 'city ' || i, 1 + i % 2 FROM generate_series(1, 6) i;
INSERT INTO address (address_id, address, district, city_id, phone)
  SELECT i, i || ' road', 'd', 1 + i % 6, '' FROM generate_series(1, 12) i;
INSERT INTO language (language_id, name) VALUES (1, 'English'), (2, 'Spanish');
INSERT INTO store (store_id, manager_staff_id, address_id) VALUES (1, 1, 1), (2, 2, 2);
INSERT INTO staff (staff_id, first_name, last_name, address_id, store_id, username)
  VALUES (1, 'Ana', 'A', 3, 1, 'ana'), (2, 'Ben', 'B', 4, 2, 'ben');
INSERT INTO actor (actor_id, first_name, last_name) SELECT i, 'F' || i, 'L' || i FROM generate_series(1, 10) i;
INSERT INTO category (category_id, name) VALUES (1, 'Action'), (2, 'Drama');
INSERT INTO film (film_id, title, description, release_year, language_id, special_features, fulltext, length)
  SELECT i, 'FILM ' || i, 'a story of ' || i, 2000 + i, 1, '{Trailers,"Deleted, Scenes"}', '', 60 + i
  FROM generate_series(1, 20) i;
INSERT INTO film_actor (actor_id, film_id) SELECT 1 + i % 10, 1 + i % 20 FROM generate_series(1, 40) i
  ON CONFLICT DO NOTHING;
INSERT INTO film_category (film_id, category_id) SELECT i, 1 + i % 2 FROM generate_series(1, 20) i;
INSERT INTO customer (customer_id, store_id, first_name, last_name, address_id, active)
  SELECT i, 1 + i % 2, 'C' || i, 'D' || i, 5 + i % 8, 1 FROM generate_series(1, 10) i;
INSERT INTO inventory (inventory_id, film_id, store_id)
  SELECT i, 1 + i % 20, 1 + i % 2 FROM generate_series(1, 31) i;
INSERT INTO rental (rental_id, rental_date, inventory_id, customer_id, staff_id)
  SELECT i, timestamptz '2022-03-01' + i * interval '1 day', 1 + i % 30, 1 + i % 10, 1
  FROM generate_series(1, 40) i;
INSERT INTO payment (payment_id, customer_id, staff_id, rental_id, amount, payment_date)
  SELECT i, 1 + i % 10, 1, i, 2.99, timestamptz '2022-03-02' + i * interval '1 day'
  FROM generate_series(1, 40) i;
SELECT setval('film_film_id_seq', 100), setval('payment_payment_id_seq', 100);
`;

const PAGILA = [
  `UPDATE customer SET email = 'new@example.com', activebool = false WHERE customer_id = 3`,
  `UPDATE film SET description = 'a tale of two ' || film_id WHERE film_id < 5`,
  `UPDATE film SET rating = 'PG-13', special_features = '{"Behind, the Scenes"}' WHERE length > 75`,
  `INSERT INTO film (title, language_id, fulltext) VALUES ('A NEW ONE', 2, '')`,
  `DELETE FROM film_category WHERE category_id = 2`,
  `DELETE FROM film_actor WHERE actor_id = 4`,
  `UPDATE country SET country_id = 20 WHERE country_id = 2`,
  `UPDATE language SET language_id = 9 WHERE language_id = 1`,
  `UPDATE actor SET actor_id = actor_id + 100 WHERE actor_id < 4`,
  `INSERT INTO payment (customer_id, staff_id, rental_id, amount, payment_date)
     VALUES (1, 1, 1, 4.99, '2022-05-20T10:00:00Z'), (2, 1, 2, 0.99, '2024-02-29T10:00:00Z')`,
  `UPDATE payment SET amount = amount + 1 WHERE customer_id = 4`,
  `UPDATE payment SET payment_date = '2023-01-15T00:00:00Z' WHERE customer_id = 5`,
  `DELETE FROM payment WHERE payment_date < '2022-03-20'`,
  `UPDATE rental SET return_date = '2022-06-01T12:00:00Z' WHERE return_date IS NULL AND customer_id = 1`,
  `DELETE FROM inventory WHERE inventory_id > 30 AND NOT EXISTS (SELECT 1 FROM rental AS r WHERE r.inventory_id = 31)`,
  `UPDATE staff SET picture = '\\x8950', store_id = 1 WHERE staff_id = 2`,
];

let server: Postgres;

before(async () => {
  server = await startPostgres({ settings: { fsync: 'off' } });
});
after(async () => {
  await server.stop();
});

for (const { name, file, rows, writes } of [
  { name: 'Northwind', file: 'northwind.sql', rows: '', writes: NORTHWIND },
  { name: 'Pagila', file: 'pagila-schema.sql', rows: PAGILA_ROWS, writes: PAGILA },
]) {
  const path = new URL(file, DATA);
  const skip = existsSync(path) ? false : `\`${file}\` is not beside this checkout`;
  test(`${name} is governed without a special case`, { skip }, async (context) => {
    const schema = await taken(readFileSync(path, 'utf8'));
    const bench = await openTargetBench(server, schema + rows);
    context.after(() => bench.close());
    await bench.admin.query(`SET TimeZone = 'UTC'`);
    const report = await runStatements(bench.target, bench.admin, writes);
    for (const [what, count] of report.seen) context.diagnostic(`${count} ${what}`);
    assert.deepEqual(report.failures, []);
    const unwanted = [...report.seen.keys()].filter((each) => /refused|one-way/.test(each));
    assert.deepEqual(unwanted, [], 'nothing is refused that should be accepted');
    assert.equal(report.seen.get('applied'), writes.length);
  });
}

/** The statements of a dump that this server knows; some need an extension, or a newer one. */
async function taken(dump: string): Promise<string> {
  const name = 'scratch';
  await server.createDatabase(name);
  const client = new pg.Client(server.url(name));
  await client.connect();
  const good: string[] = [];
  for (const statement of statements(dump)) {
    try {
      await client.query(statement);
      good.push(statement);
    } catch {
      // What hangs on it is left out as well.
    }
  }
  await client.end();
  await server.dropDatabase(name);
  return `${good.join(';\n')};\n`;
}

/** Cuts a dump at its semicolons, those in quotes and bodies aside. */
function statements(dump: string): readonly string[] {
  const found: string[] = [];
  let open = '';
  for (const [part] of dump.matchAll(
    /--[^\n]*|'(?:[^']|'')*'|(\$\w*\$)[\s\S]*?\1|;|[^-'$;]+|[-$]/g,
  )) {
    if (part.startsWith('--')) continue;
    if (part !== ';') {
      open += part;
      continue;
    }
    if (open.trim() !== '') found.push(open.trim());
    open = '';
  }
  return found;
}
