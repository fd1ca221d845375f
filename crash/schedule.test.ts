import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FAULT_NAMES } from './faults/fault.ts';
import { possibleFaults, roundsOf, ROUNDS_EACH } from './schedule.ts';

const PLAN = { gateways: 1, store: 'sqlite', only: [] } as const;

test('a seed says what befalls an installation, however many rounds are asked for', () => {
  const whole = roundsOf(5, ROUNDS_EACH, PLAN);
  assert.deepEqual(roundsOf(5, ROUNDS_EACH, PLAN), whole);
  const part = roundsOf(5, 10, PLAN);
  assert.deepEqual(part, whole.slice(0, part.length));
  assert.equal(whole.filter(({ fault }) => fault === 'kill').length, ROUNDS_EACH);
});

test('seeds that follow each other come to every fault that can be', () => {
  const faults = new Set(
    Array.from({ length: FAULT_NAMES.length }, (_, seed) => roundsOf(seed, ROUNDS_EACH, PLAN))
      .flat()
      .map(({ fault }) => fault),
  );
  assert.deepEqual([...faults].toSorted(), [...possibleFaults(PLAN)].toSorted());
});

test('with named faults there are no others, and each has its turn', () => {
  const rounds = roundsOf(3, 4, { ...PLAN, only: ['freeze', 'target-cut'] });
  assert.deepEqual(
    rounds.map(({ fault }) => fault),
    ['target-cut', 'freeze', 'target-cut', 'freeze'],
  );
});
