/**
 * The schema of the SQLite store, one text per version: the n-th takes version n - 1 to n. A text
 * that was released never changes; a new one is added at the end.
 */
export const SQLITE_MIGRATIONS: readonly string[] = [
  `
  -- One row per tenant: the tree's state, and the latest time that a commit carried.
  CREATE TABLE logs (
    tenant TEXT PRIMARY KEY,
    size INTEGER NOT NULL,
    range TEXT NOT NULL,
    latest_at INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE entries (
    tenant TEXT NOT NULL,
    entry_index INTEGER NOT NULL,
    act TEXT NOT NULL,
    step INTEGER NOT NULL,
    type TEXT NOT NULL,
    at INTEGER NOT NULL,
    leaf BLOB NOT NULL,
    leaf_hash TEXT NOT NULL,
    PRIMARY KEY (tenant, entry_index)
  ) STRICT;
  CREATE UNIQUE INDEX entries_by_act ON entries (tenant, act, step, type, leaf_hash);

  -- What lies beside a leaf; a row may be erased without moving the tree.
  CREATE TABLE payloads (
    tenant TEXT NOT NULL,
    entry_index INTEGER NOT NULL,
    position INTEGER NOT NULL,
    label TEXT NOT NULL,
    nonce BLOB NOT NULL,
    commitment TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (tenant, entry_index, position),
    FOREIGN KEY (tenant, entry_index) REFERENCES entries (tenant, entry_index)
  ) STRICT;

  -- Below: what the entries fold to. Every column follows from the record.
  CREATE TABLE proposals (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    state TEXT NOT NULL,
    agent TEXT,
    record TEXT NOT NULL,
    PRIMARY KEY (tenant, id)
  ) STRICT;
  CREATE INDEX proposals_by_state ON proposals (tenant, state, id);
  CREATE INDEX proposals_by_agent ON proposals (tenant, agent, state, id);

  -- Apart from the record, because SQLite writes a row whole: a step must not rewrite megabytes.
  CREATE TABLE effects (
    tenant TEXT NOT NULL,
    proposal TEXT NOT NULL,
    part TEXT NOT NULL CHECK (part IN ('plan', 'outcome')),
    effects TEXT NOT NULL,
    PRIMARY KEY (tenant, proposal, part),
    FOREIGN KEY (tenant, proposal) REFERENCES proposals (tenant, id)
  ) STRICT;

  CREATE TABLE derived_keys (
    tenant TEXT NOT NULL,
    key TEXT NOT NULL,
    proposal TEXT NOT NULL,
    PRIMARY KEY (tenant, key),
    FOREIGN KEY (tenant, proposal) REFERENCES proposals (tenant, id)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE supplied_keys (
    tenant TEXT NOT NULL,
    agent TEXT NOT NULL,
    key TEXT NOT NULL,
    proposal TEXT NOT NULL,
    PRIMARY KEY (tenant, agent, key),
    FOREIGN KEY (tenant, proposal) REFERENCES proposals (tenant, id)
  ) STRICT, WITHOUT ROWID;

  -- What is in flight.
  CREATE TABLE reservations (
    tenant TEXT NOT NULL,
    proposal TEXT NOT NULL,
    budget TEXT NOT NULL,
    scope TEXT NOT NULL,
    measure TEXT NOT NULL,
    "window" TEXT NOT NULL,
    amount INTEGER NOT NULL CHECK (amount >= 0),
    PRIMARY KEY (tenant, proposal, budget, scope, measure, "window"),
    FOREIGN KEY (tenant, proposal) REFERENCES proposals (tenant, id)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX reservations_by_line
    ON reservations (tenant, budget, scope, measure, "window", amount);

  -- What was spent, in the order of settling; sum adds up the line from its first row on, so that
  -- a window costs two look-ups however much is in it.
  CREATE TABLE spendings (
    tenant TEXT NOT NULL,
    budget TEXT NOT NULL,
    scope TEXT NOT NULL,
    measure TEXT NOT NULL,
    "window" TEXT NOT NULL,
    settled_at INTEGER NOT NULL,
    amount INTEGER NOT NULL,
    sum INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX spendings_by_line
    ON spendings (tenant, budget, scope, measure, "window", settled_at);
  CREATE INDEX spendings_by_time ON spendings (tenant, settled_at);

  CREATE TABLE freezes (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    released_at INTEGER,
    record TEXT NOT NULL,
    PRIMARY KEY (tenant, id)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX freezes_by_release ON freezes (tenant, released_at);

  CREATE TABLE credentials (
    id TEXT PRIMARY KEY,
    tenant TEXT NOT NULL,
    record TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX credentials_by_tenant ON credentials (tenant, id);
  `,
  `
  -- A stop for everything binds every tenant of the store.
  CREATE INDEX freezes_of_all ON freezes (released_at, tenant)
    WHERE json_extract(record, '$.scope.kind') = 'all';
  `,
  `
  -- What is usual for an agent and an operation, as the entries from here on fold to.
  CREATE TABLE baselines (
    tenant TEXT NOT NULL,
    agent TEXT NOT NULL,
    target TEXT NOT NULL,
    operation TEXT NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (tenant, agent, target, operation)
  ) STRICT, WITHOUT ROWID;
  `,
  `
  -- A run is the agent's own word: what it did is looked up when somebody asks.
  CREATE INDEX proposals_by_run ON proposals (tenant, json_extract(record, '$.draft.run'), id)
    WHERE json_extract(record, '$.draft.run') IS NOT NULL;
  `,
  `
  -- The steps and segments of a chain have effects of their own, a list of lists in one row each
  -- for plan and outcome. Records of before hold them until they are next written.
  CREATE TABLE effects_with_parts (
    tenant TEXT NOT NULL,
    proposal TEXT NOT NULL,
    part TEXT NOT NULL CHECK (part IN ('plan', 'outcome', 'plan-parts', 'outcome-parts')),
    effects TEXT NOT NULL,
    PRIMARY KEY (tenant, proposal, part),
    FOREIGN KEY (tenant, proposal) REFERENCES proposals (tenant, id)
  ) STRICT;
  INSERT INTO effects_with_parts (tenant, proposal, part, effects)
    SELECT tenant, proposal, part, effects FROM effects;
  DROP TABLE effects;
  ALTER TABLE effects_with_parts RENAME TO effects;
  `,
  `
  -- Who works on a proposal that is not settled, and which time it was taken: no state, no entries.
  CREATE TABLE leases (
    tenant TEXT NOT NULL,
    proposal TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    holder TEXT,
    until INTEGER NOT NULL,
    PRIMARY KEY (tenant, proposal),
    FOREIGN KEY (tenant, proposal) REFERENCES proposals (tenant, id)
  ) STRICT, WITHOUT ROWID;
  `,
  `
  -- When a waiting proposal is next looked at: when its people are out of time, or later where a stop
  -- holds its deadline up. Apart from the record, because it is looked up each second.
  CREATE TABLE deadlines (
    tenant TEXT NOT NULL,
    proposal TEXT NOT NULL,
    due_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, proposal),
    FOREIGN KEY (tenant, proposal) REFERENCES proposals (tenant, id)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX deadlines_by_time ON deadlines (due_at, tenant, proposal);
  INSERT INTO deadlines (tenant, proposal, due_at)
    SELECT tenant, id, json_extract(record, '$.expiresAt') FROM proposals
    WHERE state = 'waiting' AND json_extract(record, '$.expiresAt') IS NOT NULL;
  `,
];
