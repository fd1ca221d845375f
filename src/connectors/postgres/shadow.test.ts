import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import pg from 'pg';
import { planOf } from '../../../test/support/policy.ts';
import { newProposalId } from '../../model/ids.ts';
import type { PlanAnswer } from '../../model/ports.ts';
import { Problem } from '../../model/problem.ts';
import { refusal, Refused } from '../connector.ts';
import { checkShadow, planOn, type Place } from './shadow.ts';

interface FakePlace extends Place {
  readonly name: 'primary' | 'shadow';
}

/** A server whose answer to the one look-up is chosen: true is a standby, null is one that is down. */
function place(name: FakePlace['name'], standby: boolean | null = false): FakePlace {
  const read = (): Promise<readonly (readonly unknown[])[]> =>
    standby === null ? Promise.reject(refused()) : Promise.resolve([[standby]]);
  return { name, sessions: { read } };
}

function refused(): Error {
  return Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
}

function serverError(code: string): pg.DatabaseError {
  return Object.assign(new pg.DatabaseError('x', 1, 'error'), { code, severity: 'ERROR' });
}

const FRESH = { compensated: null };
const PRIMARY = place('primary');

async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    if (error instanceof Refused) return error.refusal.code;
    throw error;
  }
  return 'none';
}

function planning(
  asked: string[],
  shadow: () => PlanAnswer,
): (at: FakePlace) => Promise<PlanAnswer> {
  return async ({ name }) => {
    asked.push(name);
    return name === 'shadow' ? shadow() : { kind: 'planned', plan: planOf() };
  };
}

const planned = (): PlanAnswer => ({ kind: 'planned', plan: planOf() });

test('a preview runs on the shadow and says so; nothing asks a person to look', async () => {
  const asked: string[] = [];
  const places = { primary: PRIMARY, shadow: place('shadow'), whenDown: 'refuse' } as const;
  const answer = await planOn(places, FRESH, planning(asked, planned));
  assert(answer.kind === 'planned');
  assert.deepEqual([answer.plan.measuredOn, answer.plan.warnings], ['shadow', planOf().warnings]);
  assert.deepEqual(asked, ['shadow']);
});

test('a refusal of the shadow is the answer, and the primary is not asked', async () => {
  const asked: string[] = [];
  const places = { primary: PRIMARY, shadow: place('shadow'), whenDown: 'primary' } as const;
  const denied = refusal('limit-exceeded', 'too many');
  assert.equal(
    await planOn(
      places,
      FRESH,
      planning(asked, () => denied),
    ),
    denied,
  );
  for (const error of [new Refused('scope-violated', 'x'), serverError('23505')]) {
    await assert.rejects(
      planOn(
        places,
        FRESH,
        planning(asked, () => {
          throw error;
        }),
      ),
      error,
    );
  }
  assert(!asked.includes('primary'));
});

test('where the shadow is down the preview is refused, or made on the primary with a warning', async () => {
  const down = (): PlanAnswer => {
    throw refused();
  };
  const shadow = place('shadow', null);
  const asked: string[] = [];
  const shut = { primary: PRIMARY, shadow, whenDown: 'refuse' } as const;
  assert.equal(await codeOf(planOn(shut, FRESH, planning(asked, down))), 'target-unavailable');
  assert.deepEqual(asked, ['shadow']);
  const open = { ...shut, whenDown: 'primary' } as const;
  const answer = await planOn(open, FRESH, planning(asked, down));
  assert(answer.kind === 'planned');
  assert.match(answer.plan.warnings.at(-1) ?? '', /shadow could not be reached.*primary/);
  assert.equal(answer.plan.measuredOn, undefined);
});

test('a standby is told from one that is down, and is never gone round', async () => {
  const places = { primary: PRIMARY, shadow: place('shadow', true), whenDown: 'primary' } as const;
  for (const state of ['25006', '0A000', '57P01']) {
    const asked: string[] = [];
    const found = planOn(
      places,
      FRESH,
      planning(asked, () => {
        throw serverError(state);
      }),
    );
    await assert.rejects(found, /read-only standby.*branch or a promoted copy/);
    assert.deepEqual(asked, ['shadow']);
  }
});

test('the inverse of a write is planned on the primary', async () => {
  const asked: string[] = [];
  const proposalId = newProposalId(1, new Uint8Array(10));
  const compensated = { proposalId, plan: planOf(), effects: [], evidence: null };
  const places = { primary: PRIMARY, shadow: place('shadow'), whenDown: 'refuse' } as const;
  const answer = await planOn(places, { compensated }, planning(asked, planned));
  assert(answer.kind === 'planned');
  assert.deepEqual([asked, answer.plan.measuredOn], [['primary'], undefined]);
});

test('the check at the start refuses a standby and lets one that is down pass', async () => {
  const isStandby = (error: unknown): boolean =>
    error instanceof Problem && error.code === 'target-misconfigured' && error.at === '/shadow';
  await assert.rejects(checkShadow('crm', place('shadow', true)), isStandby);
  await checkShadow('crm', place('shadow', false));
  await checkShadow('crm', place('shadow', null));
  await checkShadow('crm', null);
});
