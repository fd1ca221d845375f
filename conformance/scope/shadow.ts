/** Requirement 4.9: carried out on a replica first, which differs, or is down, and is never skipped unsaid. */
import { strict as assert } from 'node:assert';
import type { Figures } from '../check.ts';
import { answered, digestOf, idOf, type ScopeWorld } from './world.ts';

function write(world: ScopeWorld, target: string, statement: string) {
  return world.agent('writer').propose({ target, operation: 'sql', arguments: { statement } });
}

/** The preview touched the replica alone, and what it measured is what was committed. */
export async function replicaAgrees(world: ScopeWorld): Promise<Figures> {
  const result = await write(world, 'mirrored', 'UPDATE things SET n = 100 WHERE id = 1');
  answered(result, 'applied', 'applied');
  const { assessment } = await world.person('alice').view(idOf(result));
  assert.equal(assessment?.plan.measuredOn, 'shadow');
  assert.equal(await world.countIn('mirror', 'SELECT n FROM things WHERE id = 1'), 100);
  assert.equal(await world.countIn('replica', 'SELECT n FROM things WHERE id = 1'), 1);
  return { 'on the replica': 0, 'on the primary': 1 };
}

/** It measured another effect than the primary has: held for people, though the agent is autonomous. */
export async function replicaDiffers(world: ScopeWorld): Promise<Figures> {
  await world.changeIn('replica', 'UPDATE things SET n = 7 WHERE id IN (8, 9)');
  const result = await write(world, 'mirrored', 'UPDATE things SET n = 0 WHERE n = 7');
  assert.notEqual(result.state, 'applied', result.reason);
  const held = await world.agent('writer').status(idOf(result));
  answered(held, 'waiting', 'effect-incomplete', 'another effect than the target itself');
  assert.equal(await world.countIn('mirror', 'SELECT count(*) FROM things WHERE n = 0'), 0);
  const approval = { planDigest: digestOf(held), verdict: 'approve' } as const;
  answered(await world.person('alice').approve(idOf(held), approval), 'applied', 'applied');
  assert.equal(await world.countIn('mirror', 'SELECT count(*) FROM things WHERE n = 0'), 1);
  return { 'rows on the replica': 3, 'rows on the primary': 1 };
}

/** Down, it refuses or says that it was not used, as configured; it is never skipped without a word. */
export async function replicaIsDown(world: ScopeWorld): Promise<Figures> {
  const shut = await write(world, 'shut', 'UPDATE things SET n = 50 WHERE id = 2');
  answered(shut, 'refused', 'target-unavailable', 'shadow');
  const open = await write(world, 'open', 'UPDATE things SET n = 51 WHERE id = 3');
  answered(open, 'waiting', 'effect-incomplete', 'shadow could not be reached');
  assert.equal(
    await world.countIn('mirror', 'SELECT count(*) FROM things WHERE n > 49 AND id < 4'),
    1,
  );
  return { refused: 1, held: 1, written: 0 };
}
