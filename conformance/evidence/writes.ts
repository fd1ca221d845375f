/** One write of every kind, and what becomes of it: carried out, looked at, taken back. */
import { strict as assert } from 'node:assert';
import type { Effect, Result } from '../../src/client/index.ts';
import { takeSnapshot, type Snapshot } from './snapshot.ts';
import type { World } from './world.ts';

export interface Kind {
  readonly name: string;
  readonly statement: string;
  readonly parameters?: readonly string[];
  /** What the label has to be where it has to be something. */
  readonly label?: 'proved';
  /** Tables that change by something else than the statement, and how. */
  readonly indirect?: Readonly<Record<string, NonNullable<Effect['by']>['attribution']>>;
}

export const KINDS: readonly Kind[] = [
  {
    name: 'insert',
    statement: `INSERT INTO customers (name, email, city) VALUES ($1, $2, 'York'), ('Bo', NULL, NULL)`,
    parameters: ["O'Neill \u00e9", 'oneill@example.org'],
    label: 'proved',
  },
  {
    name: 'insert of a query',
    statement: `INSERT INTO notes (id, customer_id, body) SELECT id + 1000, customer_id, upper(body) FROM notes WHERE id <= 30`,
    label: 'proved',
  },
  {
    name: 'update',
    statement: `UPDATE customers SET city = 'Hull', balance = balance + 0.01 WHERE id BETWEEN 11 AND 15`,
    label: 'proved',
  },
  {
    name: 'update of a key with cascade',
    statement: 'UPDATE orders SET id = 9001 WHERE id = 300',
    indirect: { 'public.order_lines': 'cascade' },
  },
  {
    name: 'delete',
    statement: 'DELETE FROM order_lines WHERE order_id = 50 AND line <= 2',
    label: 'proved',
  },
  {
    name: 'delete with cascades and set null',
    statement: 'DELETE FROM customers WHERE id IN (21, 22)',
    label: 'proved',
    indirect: {
      'public.orders': 'cascade',
      'public.order_lines': 'cascade',
      'public.notes': 'cascade',
    },
  },
  {
    name: 'delete with a cascade to itself',
    statement: 'DELETE FROM folders WHERE id = 3',
    label: 'proved',
  },
  {
    name: 'upsert',
    statement: `INSERT INTO stock (sku, quantity, price) VALUES ('sku-3', 77, 9.99), ('sku-new', 5, 0.10) ON CONFLICT (sku) DO UPDATE SET quantity = EXCLUDED.quantity, price = EXCLUDED.price`,
    label: 'proved',
  },
  {
    name: 'trigger that changes the row and one that writes elsewhere',
    statement: 'UPDATE accounts SET balance = balance - 12.34 WHERE id IN (4, 5, 6)',
    indirect: { 'public.audit': 'trigger' },
  },
  {
    name: 'rewrite rule',
    statement: 'UPDATE parts SET stock = stock - 1 WHERE id <= 4',
    indirect: { 'public.parts_log': 'rule' },
  },
  {
    name: 'update of a partitioned table',
    statement: `UPDATE events SET payload = payload || '!' WHERE id <= 3`,
    label: 'proved',
  },
  {
    name: 'move between partitions',
    statement: `UPDATE events SET region = 'us' WHERE id IN (7, 8)`,
  },
  {
    name: 'update through a view',
    statement: `UPDATE leeds SET note = 'seen' WHERE id IN (101, 102)`,
    label: 'proved',
  },
  {
    name: 'values that careless copies lose',
    statement: `UPDATE odd_values SET nothing = 'x', words = words || '{"y z"}' WHERE id IN (1, 2)`,
    label: 'proved',
  },
  {
    name: 'more rows than a plan holds',
    statement: `UPDATE measurements SET value = value * 1.1, unit = NULL WHERE id <= 2800`,
    label: 'proved',
  },
  {
    name: 'rows without a key',
    statement: `UPDATE keyless SET quantity = quantity + 1 WHERE quantity < 4`,
  },
];

/** A write that was carried out, with the database before and after it. */
export interface Story {
  readonly kind: Kind;
  readonly id: string;
  /** The label as it was on the screen before the approval. */
  readonly label: 'proved' | 'conditional' | 'one-way';
  readonly before: Snapshot;
  readonly after: Snapshot;
  readonly effects: readonly Effect[];
  /** Rows that the plan counts. */
  readonly records: number;
}

/** Proposes as the agent, approves as a person, and looks at the database as a superuser. */
export async function play(world: World, kind: Kind): Promise<Story> {
  const before = await takeSnapshot(world.superuser);
  const { statement, parameters } = kind;
  const first = await world.agent.propose({
    target: 'shop',
    operation: 'sql',
    arguments: { statement, ...(parameters === undefined ? {} : { parameters }) },
  });
  assert.equal(first.state, 'waiting', `${kind.name}: ${first.code}: ${first.reason}`);
  const id = proposalOf(first);
  const view = await world.alice.view(id);
  assert.ok(view.assessment !== null);
  const held = await takeSnapshot(world.superuser);
  assert.deepEqual(held, before, `${kind.name}: the preview left a change`);
  const result = await approved(world, first);
  assert.equal(result.state, 'applied', `${kind.name}: ${result.code}: ${result.reason}`);
  return {
    kind,
    id,
    label: view.assessment.plan.reversibility.kind,
    before,
    after: await takeSnapshot(world.superuser),
    effects: await world.rows(id),
    records: view.assessment.blastRadius.records,
  };
}

/** Approves what is waiting, as the person who may. */
export async function approved(world: World, waiting: Result): Promise<Result> {
  const { planDigest } = waiting;
  assert.ok(planDigest !== null);
  return world.alice.approve(proposalOf(waiting), { planDigest, verdict: 'approve' });
}

/** Asks for a rollback and, where it waits, approves it. */
export async function rolledBack(world: World, id: string): Promise<Result> {
  const first = await world.olga.rollback(id);
  return first.state === 'waiting' ? approved(world, first) : first;
}

export function proposalOf(result: Result): string {
  assert.ok(result.proposalId !== null);
  return result.proposalId;
}
