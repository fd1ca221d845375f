/** Requirement 4.5: rules, check queries, schemas and references, several at once, all told, nothing changed. */
import { strict as assert } from 'node:assert';
import type { JsonObject } from '../../src/lib/json.ts';
import type { Figures } from '../check.ts';
import { answered, digestOf, idOf, write, type ScopeWorld } from './world.ts';

const PRODUCTS = `SELECT hashtext(string_agg(p::text, ',' ORDER BY id)) FROM products p`;

/** A price below zero and a stock below zero by one statement: both are told. */
export async function allFailuresAreTold(world: ScopeWorld): Promise<Figures> {
  const before = await world.count(PRODUCTS);
  const both = await write(
    world.agent('writer'),
    'UPDATE products SET price = -1, stock = stock - 60 WHERE id = 1',
  );
  answered(both, 'denied', 'validation-failed', 'never negative', 'never below zero');
  const { decision } = await world.person('alice').view(idOf(both));
  const told = decision?.findings.filter(({ stage, verdict }) => {
    return stage === 'validation' && verdict === 'deny';
  });
  assert.deepEqual(told?.map(({ rule }) => rule).toSorted(), [
    'validations.price',
    'validations.stock',
  ]);
  const fits = await write(
    world.agent('writer'),
    'UPDATE products SET price = 11, stock = stock - 4 WHERE id = 1',
  );
  answered(fits, 'applied', 'applied');
  await world.change('UPDATE products SET price = 10, stock = 5 WHERE id = 1');
  assert.equal(await world.count(PRODUCTS), before);
  return { failures: 2, told: 2, changed: 0 };
}

/** Null is no number that a rule can be satisfied by, nor are rows that it cannot see. */
export async function rulesThatCannotSpeakDeny(world: ScopeWorld): Promise<Figures> {
  const masked = await write(
    world.agent('writer'),
    'UPDATE products SET price = round(extract(epoch FROM now())::numeric, 2) WHERE id = 2',
  );
  assert.equal(masked.state, 'denied', `${masked.code}: ${masked.reason}`);
  assert.equal(await world.count('SELECT count(*) FROM products WHERE price > 1000'), 0);
  return { denied: 1 };
}

/** The target's own references, and the form of the arguments. */
export async function referencesAndForms(world: ScopeWorld): Promise<Figures> {
  const writer = world.agent('writer');
  const orphan = await write(writer, 'UPDATE products SET category_id = 99 WHERE id = 3');
  answered(orphan, 'refused', 'constraint-violated');
  const insert = (args: JsonObject) =>
    writer.propose({ target: 'shop', operation: 'insert', arguments: args });
  const row = (id: number) => ({ id, category_id: 1, price: 5, stock: 1 });
  const two = await insert({ table: 'products', rows: [row(50), row(51)] });
  answered(two, 'denied', 'validation-failed', 'one at a time', '/rows');
  const shapeless = await insert({ table: 'products', rows: 'all', extra: 1 });
  answered(shapeless, 'denied', 'arguments-invalid');
  assert.equal(await world.count('SELECT count(*) FROM products'), 10);
  return { refused: 1, denied: 2, changed: 0 };
}

/** A check that held when people looked and does not hold at the commit stops it. */
export async function checksHoldAtTheCommit(world: ScopeWorld): Promise<Figures> {
  const clerk = world.agent('clerk');
  const held = await write(clerk, 'UPDATE products SET stock = stock - 40 WHERE id = 4');
  answered(held, 'waiting', 'approval-required');
  await world.change('UPDATE products SET stock = stock - 3 WHERE id > 4');
  const approval = { planDigest: digestOf(held), verdict: 'approve' } as const;
  const answer = await world.person('alice').approve(idOf(held), approval);
  assert.notEqual(answer.state, 'applied', answer.reason);
  const now = await clerk.status(idOf(held));
  answered(now, 'denied', 'validation-failed', 'never below zero');
  await world.change('UPDATE products SET stock = stock + 3 WHERE id > 4');
  assert.equal(await world.count('SELECT stock FROM products WHERE id = 4'), 5);
  return { approved: 1, written: 0 };
}

/** No agreement lifts a rule: over a person's desk it does not even go. */
export async function approvalLiftsNoRule(world: ScopeWorld): Promise<Figures> {
  const result = await write(world.agent('clerk'), 'UPDATE products SET price = -5 WHERE id = 6');
  answered(result, 'denied', 'validation-failed');
  const approval = { planDigest: digestOf(result), verdict: 'approve' } as const;
  await assert.rejects(world.person('alice').approve(idOf(result), approval), {
    code: 'state-conflict',
  });
  return { denied: 1 };
}
