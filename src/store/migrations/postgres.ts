/**
 * The schema of the PostgreSQL store, one text per version: the n-th takes version n - 1 to n. A text
 * that was released never changes, and a digest of it is kept beside what it made; a new one is added
 * at the end. Each runs in a transaction whose search path is the store's schema alone.
 *
 * There are no foreign keys: rows follow from entries under the lock of their tenant, and each check
 * would be one more write to the row that is referred to.
 */
export const POSTGRES_MIGRATIONS: readonly string[] = [
  `
  -- One row per tenant: the tree's state, and the latest time that a commit carried. Who commits locks
  -- it first. Without that time nothing was committed yet, and the row is there for its lock alone.
  CREATE TABLE logs (
    tenant text COLLATE "C" PRIMARY KEY,
    size bigint NOT NULL DEFAULT 0,
    range text NOT NULL DEFAULT '',
    latest_at bigint
  ) WITH (fillfactor = 10);

  CREATE TABLE entries (
    tenant text COLLATE "C" NOT NULL,
    entry_index bigint NOT NULL,
    act text COLLATE "C" NOT NULL,
    step bigint NOT NULL,
    type text COLLATE "C" NOT NULL,
    at bigint NOT NULL,
    leaf bytea NOT NULL,
    leaf_hash bytea NOT NULL,
    PRIMARY KEY (tenant, entry_index)
  );
  CREATE UNIQUE INDEX entries_by_act ON entries (tenant, act, step) INCLUDE (type, leaf_hash);

  -- What lies beside a leaf; a row may be erased without moving the tree.
  CREATE TABLE payloads (
    tenant text COLLATE "C" NOT NULL,
    entry_index bigint NOT NULL,
    position bigint NOT NULL,
    label text COLLATE "C" NOT NULL,
    nonce bytea NOT NULL,
    commitment text COLLATE "C" NOT NULL,
    value text COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant, entry_index, position)
  );

  -- Below: what the entries fold to. Every column follows from the record; subjects are whose
  -- baselines the proposal counts towards, as [target, operation].
  CREATE TABLE proposals (
    tenant text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    state text COLLATE "C" NOT NULL,
    step bigint NOT NULL,
    settled_at bigint,
    agent text COLLATE "C",
    run text COLLATE "C",
    subjects jsonb NOT NULL,
    record text COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant, id)
  );
  CREATE INDEX proposals_by_state ON proposals (tenant, state, id);
  CREATE INDEX proposals_by_agent ON proposals (tenant, agent, state, id) WHERE agent IS NOT NULL;
  CREATE INDEX proposals_by_run ON proposals (tenant, run, id) WHERE run IS NOT NULL;
  -- What is not settled, over all tenants.
  CREATE INDEX proposals_open ON proposals (state, id, tenant)
    WHERE state IN ('proposed', 'assessed', 'waiting', 'allowed', 'executing', 'stale', 'in_doubt');

  -- When waiting proposals are next looked at.
  CREATE TABLE deadlines (
    tenant text COLLATE "C" NOT NULL,
    proposal text COLLATE "C" NOT NULL,
    due_at bigint NOT NULL,
    PRIMARY KEY (tenant, proposal)
  );
  CREATE INDEX deadlines_by_time ON deadlines (due_at, tenant, proposal);

  CREATE TABLE effects (
    tenant text COLLATE "C" NOT NULL,
    proposal text COLLATE "C" NOT NULL,
    part text COLLATE "C" NOT NULL
      CHECK (part IN ('plan', 'outcome', 'plan-parts', 'outcome-parts')),
    effects text COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant, proposal, part)
  );

  CREATE TABLE derived_keys (
    tenant text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    proposal text COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant, key)
  );

  CREATE TABLE supplied_keys (
    tenant text COLLATE "C" NOT NULL,
    agent text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    proposal text COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant, agent, key)
  );

  -- What is in flight.
  CREATE TABLE reservations (
    tenant text COLLATE "C" NOT NULL,
    proposal text COLLATE "C" NOT NULL,
    budget text COLLATE "C" NOT NULL,
    scope text COLLATE "C" NOT NULL,
    measure text COLLATE "C" NOT NULL,
    "window" text COLLATE "C" NOT NULL,
    amount bigint NOT NULL CHECK (amount >= 0),
    PRIMARY KEY (tenant, proposal, budget, scope, measure, "window")
  );
  CREATE INDEX reservations_by_line
    ON reservations (tenant, budget, scope, measure, "window") INCLUDE (proposal, amount);

  -- What was spent; sum adds up the line from its first row on, so that a window costs two look-ups
  -- however much is in it. The order within a line is that of the index below, never that of the id,
  -- which is there to name a row.
  CREATE TABLE spendings (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    budget text COLLATE "C" NOT NULL,
    scope text COLLATE "C" NOT NULL,
    measure text COLLATE "C" NOT NULL,
    "window" text COLLATE "C" NOT NULL,
    settled_at bigint NOT NULL,
    amount bigint NOT NULL,
    sum bigint NOT NULL
  );
  -- Of two at one time with one sum, the later ones added nothing.
  CREATE INDEX spendings_by_line ON spendings
    (tenant, budget, scope, measure, "window", settled_at, sum, amount DESC);
  CREATE INDEX spendings_by_time ON spendings (tenant, settled_at);

  CREATE TABLE baselines (
    tenant text COLLATE "C" NOT NULL,
    agent text COLLATE "C" NOT NULL,
    target text COLLATE "C" NOT NULL,
    operation text COLLATE "C" NOT NULL,
    record text COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant, agent, target, operation)
  );

  CREATE TABLE freezes (
    tenant text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    scope text COLLATE "C" NOT NULL,
    released_at bigint,
    record text COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant, id)
  );
  CREATE INDEX freezes_by_release ON freezes (tenant, released_at);
  -- A stop for everything binds every tenant of the store.
  CREATE INDEX freezes_of_all ON freezes (released_at, tenant) WHERE scope = 'all';

  CREATE TABLE credentials (
    id text COLLATE "C" PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    record text COLLATE "C" NOT NULL
  );
  CREATE INDEX credentials_by_tenant ON credentials (tenant, id);

  -- The clock by which leases run, the same for every gateway: ms since 1970.
  CREATE FUNCTION now_ms() RETURNS bigint LANGUAGE sql VOLATILE
    AS 'SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint';

  -- Who works on a proposal that is not settled, and which time it was taken: no state, no entries.
  CREATE TABLE leases (
    tenant text COLLATE "C" NOT NULL,
    proposal text COLLATE "C" NOT NULL,
    epoch bigint NOT NULL,
    holder text COLLATE "C",
    until bigint NOT NULL,
    PRIMARY KEY (tenant, proposal)
  );
  `,
  `
  -- Beside the state: what gateways over one store must agree on, for good.
  CREATE TABLE notes (
    tenant text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    value text COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant, name)
  );

  -- Who is there. Nothing relies on it but what people are shown, and that no two have one name.
  CREATE TABLE gateways (
    tenant text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    holder text COLLATE "C" NOT NULL,
    version text COLLATE "C" NOT NULL,
    url text COLLATE "C",
    host text COLLATE "C" NOT NULL,
    pid bigint NOT NULL,
    started_at bigint NOT NULL,
    seen_at bigint NOT NULL,
    PRIMARY KEY (tenant, id)
  ) WITH (fillfactor = 20);

  -- When some work of old things was last begun, so that one gateway does it at a time.
  CREATE TABLE rounds (
    tenant text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    at bigint NOT NULL,
    PRIMARY KEY (tenant, name)
  );

  -- Evidence and uploads: bytes that are written once, in chunks of one size.
  CREATE TABLE blobs (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL CHECK (kind IN ('evidence', 'upload')),
    owner text COLLATE "C" NOT NULL,
    name text COLLATE "C",
    size_bytes bigint NOT NULL DEFAULT 0,
    made_at bigint NOT NULL,
    is_kept boolean NOT NULL DEFAULT false,
    CHECK (is_kept = (name IS NOT NULL))
  ) WITH (fillfactor = 50);
  CREATE UNIQUE INDEX blobs_by_name ON blobs (tenant, kind, owner, name) WHERE is_kept;
  CREATE INDEX blobs_by_owner ON blobs (tenant, kind, owner);
  -- The one reference of the store: what is dropped while it is written must leave no chunk.
  CREATE TABLE blob_chunks (
    blob bigint NOT NULL REFERENCES blobs ON DELETE CASCADE,
    position integer NOT NULL,
    bytes bytea NOT NULL,
    PRIMARY KEY (blob, position)
  );
  -- What is sealed does not get smaller.
  ALTER TABLE blob_chunks ALTER COLUMN bytes SET STORAGE EXTERNAL;
  `,
  `
  -- What each gateway opened at its start, so that one that runs with other settings can be named.
  ALTER TABLE gateways ADD COLUMN opened text COLLATE "C" NOT NULL DEFAULT '{}';
  `,
];
