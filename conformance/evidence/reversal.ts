/** Test 8.6, rollback: bit for bit where it was promised, and no promise that is not kept. */
import { strict as assert } from 'node:assert';
import { GatewayProblem } from '../../src/client/index.ts';
import type { Figures } from '../check.ts';
import { changesBetween, rowsIn, takeSnapshot, type Snapshot } from './snapshot.ts';
import type { World } from './world.ts';
import { approved, play, proposalOf, rolledBack, type Story } from './writes.ts';

/** Takes the write back and holds the outcome against the label that was shown before approval. */
export async function reversalHolds(world: World, story: Story): Promise<Figures> {
  const { kind, label, before, after, id } = story;
  if (kind.label !== undefined) assert.equal(label, kind.label, `${kind.name}: the label`);
  if (label === 'one-way') return { label, ...(await refusesOneWay(world, story)) };
  const result = await rolledBack(world, id);
  const now = await takeSnapshot(world.superuser);
  if (result.state !== 'applied') {
    assert.notEqual(label, 'proved', `${kind.name}: ${result.code}: ${result.reason}`);
    assert.deepEqual(now, after, `${kind.name}: a rollback that was refused changed something`);
    return { label, outcome: result.code };
  }
  const left = changesBetween(before.exact, now.exact);
  const rows = rowsIn(left);
  if (label === 'proved') {
    assert.deepEqual(left, [], `${kind.name}: the rollback did not restore every bit`);
  } else {
    const indirect = new Set(Object.keys(kind.indirect ?? {}));
    const others = left.filter(({ table }) => !indirect.has(table));
    const own = others.filter(
      ({ table }) => !story.effects.some(({ resource }) => resource === table),
    );
    assert.deepEqual(own, [], `${kind.name}: the rollback changed what the write had not`);
  }
  await assert.rejects(world.olga.rollback(id), isProblem('not-compensable'), 'twice');
  return { label, restored: sizeOf(story), leftOver: rows };
}

async function refusesOneWay(world: World, story: Story): Promise<Figures> {
  await assert.rejects(
    world.olga.rollback(story.id),
    isProblem('not-compensable'),
    `${story.kind.name}: what is one-way was taken back`,
  );
  assert.deepEqual(await takeSnapshot(world.superuser), story.after);
  return { outcome: 'not-compensable' };
}

function sizeOf({ before, after }: { before: Snapshot; after: Snapshot }): number {
  return rowsIn(changesBetween(before.exact, after.exact));
}

/** Somebody else changed, removed or put back a row meanwhile: each is named, nothing is written. */
export async function conflictsAreReported(world: World): Promise<Figures> {
  const { superuser } = world;
  const story = await play(world, {
    name: 'conflict',
    statement: `UPDATE customers SET note = 'by the agent' WHERE id IN (151, 152, 153)`,
  });
  const deleted = await play(world, {
    name: 'conflict of a delete',
    statement: 'DELETE FROM order_lines WHERE order_id = 399',
  });
  await superuser.query(`UPDATE customers SET note = 'by a person' WHERE id = 152`);
  await superuser.query('UPDATE orders SET customer_id = 1 WHERE customer_id = 153');
  await superuser.query('DELETE FROM notes WHERE customer_id = 153');
  await superuser.query('DELETE FROM customers WHERE id = 153');
  await superuser.query(`INSERT INTO order_lines VALUES (399, 2, 'by a person', 1)`);
  const before = await takeSnapshot(superuser);
  const found: string[] = [];
  for (const { id } of [story, deleted]) {
    const result = await rolledBack(world, id);
    assert.equal(result.state, 'refused', `a rollback over a conflict: ${result.code}`);
    assert.equal(result.code, 'rollback-conflict');
    for (const conflict of result.conflicts) {
      found.push(`${conflict.resource} ${conflict.key.join(',')} ${conflict.problem}`);
    }
    const changed = result.conflicts.find(({ problem }) => problem === 'row-changed');
    if (changed !== undefined && id === story.id) {
      const note = changed.columns.find(({ column }) => column === 'note');
      assert.deepEqual(
        [note?.expected, note?.found],
        ['by the agent', 'by a person'],
        'a conflict names what was expected and what was found',
      );
    }
  }
  assert.deepEqual(found.toSorted(), [
    'public.customers 152 row-changed',
    'public.customers 153 row-missing',
    'public.order_lines 399,2 row-exists',
  ]);
  assert.deepEqual(await takeSnapshot(superuser), before, 'a refused rollback changed something');
  return { conflicts: found.length };
}

/**
 * What cannot be taken back was labelled so before anybody approved it, or was not done at all; a
 * delete of that kind is never done.
 */
export async function oneWayIsLabelled(world: World): Promise<Figures> {
  const outcomes: string[] = [];
  for (const statement of [
    `INSERT INTO doors VALUES (11, 'door 11')`,
    `UPDATE doors SET name = 'gate' WHERE id <= 2`,
    'DELETE FROM doors WHERE id > 8',
  ]) {
    const before = await takeSnapshot(world.superuser);
    const result = await world.agent.propose({
      target: 'shop',
      operation: 'sql',
      arguments: { statement },
    });
    outcomes.push(result.state === 'waiting' ? 'labelled' : result.code);
    if (result.state === 'denied' || result.state === 'refused') {
      assert.deepEqual(await takeSnapshot(world.superuser), before);
      continue;
    }
    assert.ok(!statement.startsWith('DELETE'), 'a delete without a way back was not denied');
    const id = proposalOf(result);
    const { assessment } = await world.alice.view(id);
    assert.equal(assessment?.plan.reversibility.kind, 'one-way', statement);
    assert.equal((await approved(world, result)).state, 'applied');
    const after = await takeSnapshot(world.superuser);
    await assert.rejects(world.olga.rollback(id), isProblem('not-compensable'), statement);
    assert.deepEqual(await takeSnapshot(world.superuser), after);
  }
  return { writes: outcomes.length, outcomes: outcomes.join(' ') };
}

/** A rollback goes through the same door: it waits for a person, who sees its own plan. */
export async function rollbackIsApproved(world: World): Promise<Figures> {
  const story = await play(world, {
    name: 'rollback through the door',
    statement: `UPDATE customers SET city = 'Bath' WHERE id = 160`,
  });
  const waiting = await world.agent.rollback(story.id);
  assert.equal(waiting.state, 'waiting', `${waiting.code}: ${waiting.reason}`);
  assert.deepEqual(await takeSnapshot(world.superuser), story.after, 'it was carried out before');
  const own = world.agent.approve(proposalOf(waiting), {
    planDigest: waiting.planDigest ?? '',
    verdict: 'approve',
  });
  await assert.rejects(own, isProblem('credential-kind'), 'the agent approved its own rollback');
  const result = await approved(world, waiting);
  assert.equal(result.state, 'applied', `${result.code}: ${result.reason}`);
  assert.deepEqual(await takeSnapshot(world.superuser), story.before);
  const view = await world.alice.view(story.id);
  assert.equal(view.compensatedBy, waiting.proposalId, 'the write names what took it back');
  return { approvals: 1 };
}

function isProblem(code: string): (error: unknown) => boolean {
  return (error) => error instanceof GatewayProblem && error.code === code;
}
