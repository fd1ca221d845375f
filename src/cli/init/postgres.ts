import type { Pack } from './pack.ts';

/** Lines for a PostgreSQL: what no agent has any business with, and effects that reach far. */
export const POSTGRES: Pack = {
  kind: 'postgres',
  target: 'crm',
  urlVariable: 'CRM_URL',
  urlExample: 'postgres://wg_writer:…@db.example.org/crm',
  settings: (urlReference) => `  crm:
    kind: postgres
    # A role with only the rights that agents may ever need. \`writegate add postgres URL --name crm\`
    # makes it, with those for reads, evidence and taking back; docs/guide/operator.md has the SQL.
    url: ${JSON.stringify(urlReference)}
    schemas: [public]
    # Only these tables; without the line, every table of the schemas.
    # tables: [public.customers, public.invoices]
    # Columns that hold money: then limits and budgets on value count what a write moves.
    # value:
    #   - {table: public.invoices, column: total, currency: GBP}
`,
  never: `  # Migrations keep the history of the schema themselves.
  - name: migrations
    match:
      target: crm
      resource:
        - "*.schema_migrations"
        - "*.flyway_schema_history"
        - "*.alembic_version"
        - "*._prisma_migrations"
        - "*.knex_migrations*"
    reason: the history of the schema is written by migrations alone
`,
  rules: `  # A write that changes far more through cascades and triggers than by itself.
  - id: far-reaching
    effect: require
    match: {target: crm}
    when: effect.amplification > 10.0 || effect.resources > 5
    reason: it reaches further than it looks
`,
  resource: 'public.customers',
  cases: (agent) => `  - name: the history of the schema is out of reach
    agent: ${agent}
    target: crm
    resource: public.schema_migrations
    class: create
    expect: deny
    rule: never.migrations
  - name: what cascades far waits for people
    agent: ${agent}
    target: crm
    resource: public.customers
    class: update
    also: [{resource: public.orders, class: update, records: 20}]
    expect: wait
`,
};
