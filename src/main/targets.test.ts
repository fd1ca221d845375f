import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fakeTarget } from '../../test/support/fake-target.ts';
import { countingRandom, fakeClock } from '../../test/support/fakes.ts';
import { keepTargets } from './targets.ts';

const PORTS = { clock: fakeClock(), random: countingRandom() };

test('a target that cannot be used is said once, with why, and once more when it can', async () => {
  const [crm, erp] = [fakeTarget('crm'), fakeTarget('erp')];
  const lines: string[] = [];
  const targets = new Map([crm, erp].map((target) => [target.name, target]));
  const inView = keepTargets(PORTS, targets, (line) => lines.push(line));
  const problems = (): readonly (string | null)[] => inView.current().map(({ problem }) => problem);

  crm.faults.probe.push('busy', 'busy');
  await inView.look();
  assert.deepEqual(problems(), ['no answer', null]);
  await inView.look();
  assert.deepEqual(problems(), ['no answer', null]);
  assert.equal(lines.length, 1);
  assert.match(lines[0] ?? '', /^warning: target `crm` cannot be used: no answer; .*check its/);

  await inView.look();
  assert.deepEqual(problems(), [null, null]);
  assert.deepEqual(lines.slice(1), ['target `crm` can be used again']);
  assert.deepEqual([...crm.rows, ...crm.committed], [], 'nothing was written');
});

test('what a target throws is for the log, not for the status', async () => {
  const target = { ...fakeTarget('crm'), probe: () => Promise.reject(new Error('password x')) };
  const causes: unknown[] = [];
  const log = (_line: string, cause: unknown): void => void causes.push(cause);
  const inView = keepTargets(PORTS, new Map([['crm', target]]), log);
  await inView.look();
  assert.doesNotMatch(JSON.stringify(inView.current()), /password/);
  assert.match(inView.current()[0]?.problem ?? '', /could not be asked/);
  assert.deepEqual(causes, [new Error('password x')]);
});
