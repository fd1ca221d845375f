/** The tables that are written to. Nothing in them refuses a second effect: it is to be counted. */
export const SHOP = `
  CREATE TABLE counters (id integer PRIMARY KEY, value integer NOT NULL, marks text NOT NULL);
  CREATE TABLE marks (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, mark text NOT NULL)`;

/** A slot is taken once, so that the last step of a chain can be refused. */
export const BOOKS = `
  CREATE TABLE postings (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    mark text NOT NULL, slot integer UNIQUE)`;
