import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { learn, type Baseline } from '../../model/baseline.ts';
import { SENSITIVITIES } from '../../model/policy.ts';
import { learnedFrom, LEARNED_FROM, type LearnedOptions } from '../../../test/support/baseline.ts';
import { facts, policy, steps } from '../../../test/support/policy-arbitraries.ts';
import {
  direct,
  factsOf,
  policyFrom,
  spoken,
  type FactOptions,
} from '../../../test/support/policy.ts';
import { anomalyFindings } from './anomaly.ts';
import { unusual } from './unusual.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const KEY = `sha256:${'f'.repeat(64)}`;

const POLICY = policyFrom(`
version: 1
targets: { crm: { kind: fake } }
people: { ann: { roles: approver } }
agents: { billing-bot: {} }
`);

/** Office hours, so that minutes, hours, days and the rhythm are known: four writes in each minute that has one. */
function officeBot(days: number): Baseline {
  let baseline: Baseline | undefined;
  let turn = 0;
  for (let day = 0; day < days; day += 1) {
    if ([5, 6].includes(day % 7)) continue;
    for (let hour = 0; hour < 8; hour += 1) {
      for (let each = 0; each < 12; each += 1) {
        const at = LEARNED_FROM + day * DAY + hour * HOUR + Math.floor(each / 4) * 7 * MINUTE;
        baseline = written(baseline, at, `sha256:${String((turn += 1)).padStart(64, '0')}`);
      }
    }
  }
  assert.ok(baseline !== undefined);
  return baseline;
}

function written(baseline: Baseline | undefined, at: number, key: string): Baseline {
  const proposed = learn(baseline, { kind: 'proposed', at, key });
  return learn(proposed, {
    kind: 'applied',
    at,
    write: {
      key,
      records: 1,
      recipients: 0,
      value: [['GBP', 1_500]],
      resources: [['public.customers']],
      approved: false,
    },
  });
}

function proposals(baseline: Baseline, at: number, times: number): Baseline {
  let next = baseline;
  for (let each = 0; each < times; each += 1) {
    next = learn(next, { kind: 'proposed', at, key: `sha256:${String(each).padStart(64, 'a')}` });
  }
  return next;
}

function reasons(baseline: Baseline, options: FactOptions & { readonly key?: string } = {}) {
  const usual = { baseline, key: options.key ?? KEY, uncounted: 1 };
  const now = options.now ?? LEARNED_FROM + 14 * DAY + 3 * HOUR;
  const given = factsOf({ ...options, now });
  return anomalyFindings(POLICY, [given], [usual]).map(({ code, reason }) => `${code}: ${reason}`);
}

describe('a write is unusual', () => {
  const bot = officeBot(12);
  const noon = LEARNED_FROM + 14 * DAY + 3 * HOUR;

  test('where its pace is, with what is usual in a minute and in an hour', () => {
    assert.deepEqual(reasons(proposals(bot, noon, 15), { now: noon }), []);
    assert.deepEqual(reasons(proposals(bot, noon, 22), { now: noon }), [
      'anomalous: unusual for `billing-bot`: 23 writes in the last minute; usual 0 to 4',
    ]);
    const busy = Array.from({ length: 6 }).reduce<Baseline>(
      (baseline, _, minute) => proposals(baseline, noon + minute * MINUTE, 9),
      bot,
    );
    assert.deepEqual(reasons(busy, { now: noon + 6 * MINUTE }), [
      'anomalous: unusual for `billing-bot`: 55 writes in the last hour; usual 0 to 13',
    ]);
  });

  test('through the minute after one that was, so that a loop does not come through by the minute', () => {
    const loop = proposals(bot, noon, 200);
    const [first] = reasons(loop, { now: noon + MINUTE });
    assert.match(first ?? '', /200 writes in the minute before; usual 0 to 4/);
    const quiet = proposals(bot, noon, 20);
    assert.equal(reasons(quiet, { now: noon + 2 * MINUTE }).length, 0);
  });

  test('where its records, value or recipients are', () => {
    const many = { counts: [direct('public.customers', { updated: 47_000 })] };
    assert.deepEqual(reasons(bot, { plan: many }), [
      'anomalous: unusual for `billing-bot`: 47,000 records in one write; usual 1',
    ]);
    const dear = { value: [{ currency: 'GBP', amountMinor: '150000' }] };
    assert.deepEqual(reasons(bot, { plan: dear }), [
      'anomalous: unusual for `billing-bot`: GBP 1,500.00 in one write; usual GBP 12.80 to GBP 15.35',
    ]);
    assert.deepEqual(reasons(bot, { plan: { recipients: 500 } }), [
      'anomalous: unusual for `billing-bot`: 500 recipients in one write; usual 0',
    ]);
  });

  test('where value is in a currency that it never moved, or beyond every number', () => {
    const yen = { value: [{ currency: 'JPY', amountMinor: '1' }] };
    assert.deepEqual(reasons(bot, { plan: yen }), [
      'anomalous: unusual for `billing-bot`: JPY 1 in one write; usual is no value in JPY',
    ]);
    const beyond = { value: [{ currency: 'GBP', amountMinor: '9'.repeat(40) }] };
    assert.equal(reasons(bot, { plan: beyond }).length, 1);
  });

  test('where it goes to something new, though not to a new part of what is known', () => {
    const elsewhere = (partOf: Readonly<Record<string, readonly string[]>>) => ({
      plan: {
        resource: 'public.payroll',
        counts: [direct('public.payroll', { updated: 1 })],
        partOf,
      },
    });
    assert.deepEqual(reasons(bot, elsewhere({})), [
      'anomalous: unusual for `billing-bot`: `public.payroll` for the first time; it wrote to 1 other in 960 writes',
    ]);
    assert.deepEqual(reasons(bot, elsewhere({ 'public.payroll': ['public.customers'] })), []);
  });

  test('where the same arguments come again and again', () => {
    const again = Array.from({ length: 6 }).reduce<Baseline>(
      (baseline) => learn(baseline, { kind: 'proposed', at: noon - MINUTE, key: KEY }),
      bot,
    );
    assert.deepEqual(reasons(again, { now: noon }), [
      'loop-detected: unusual for `billing-bot`: the same arguments 7 times within an hour; usual 1',
    ]);
    assert.deepEqual(reasons(again, { now: noon + 2 * HOUR }), []);
  });

  test('where what it proposed before came to nothing', () => {
    const at = noon - 2 * MINUTE;
    const stormy = Array.from({ length: 20 }).reduce<Baseline>(
      (baseline) =>
        learn(baseline, { kind: 'nothing', at, proposedAt: at, writes: 1, waited: false }),
      bot,
    );
    assert.deepEqual(reasons(stormy, { now: noon }), [
      'anomalous: unusual for `billing-bot`: 20 of its last 32 proposals came to nothing; usual 0',
    ]);
    assert.deepEqual(reasons(stormy, { now: noon + HOUR }), []);
  });

  test('where it writes at an hour, or on a day of the week, at which it never did', () => {
    const night = LEARNED_FROM + 14 * DAY - 6 * HOUR;
    assert.deepEqual(reasons(proposals(bot, night, 20), { now: night }).slice(-1), [
      'anomalous: unusual for `billing-bot`: 21 writes since 03:00 UTC; usual at that hour are none',
    ]);
    const saturday = LEARNED_FROM + 12 * DAY + 2 * HOUR;
    assert.match(
      reasons(proposals(bot, saturday, 20), { now: saturday }).join('\n'),
      /21 writes today; usual on this day of the week are none/,
    );
  });
});

describe('nothing is unusual', () => {
  const mass = { plan: { counts: [direct('public.customers', { updated: 47_000 })] } };

  test('before as many writes were applied as the warm-up asks for', () => {
    assert.deepEqual(reasons(learnedFrom({ writes: 29 }), mass), []);
    assert.equal(reasons(learnedFrom({ writes: 30 }), mass).length, 1);
  });

  test('for people, and for what takes an applied write back', () => {
    const bot = learnedFrom({ writes: 60 });
    assert.deepEqual(reasons(bot, { ...mass, person: 'ann' }), []);
    assert.deepEqual(reasons(bot, { ...mass, compensates: 'update' }), []);
    assert.equal(reasons(bot, mass).length, 1);
  });
});

describe('lines', () => {
  const bot = learnedFrom({ writes: 60 });
  const judged = (section: string, options: FactOptions = {}) => {
    const loaded = policyFrom(`
version: 1
targets: { crm: { kind: fake }, shop: { kind: fake } }
people: { ann: { roles: approver, groups: finance } }
agents: { billing-bot: {} }
routes: { finance: { steps: [{ groups: finance }] } }
anomaly: ${section}
`);
    const plan = { counts: [direct('public.customers', { updated: 60 })] };
    const now = LEARNED_FROM + 2 * HOUR;
    const usual = { baseline: bot, key: KEY, uncounted: 1 };
    return spoken(anomalyFindings(loaded, [factsOf({ plan, now, ...options })], [usual]));
  };

  test('speak in place of the section where they match, each for itself', () => {
    const off =
      '{ sensitivity: off, lines: [{ name: crm, match: { target: crm }, sensitivity: high }] }';
    assert.deepEqual(judged(off), ['wait anomaly.crm anomalous']);
    assert.deepEqual(judged(off, { target: 'shop' }), []);
    const both =
      '{ lines: [{ name: a, match: { target: crm }, sensitivity: off }, { name: b, match: { agent: "*" }, verdict: forbid }] }';
    assert.deepEqual(judged(both), ['deny anomaly.b anomalous']);
    assert.deepEqual(judged('{ sensitivity: low }'), []);
    assert.deepEqual(judged('{}'), ['wait anomaly anomalous']);
  });
});

describe('the judgement', () => {
  const options: fc.Arbitrary<LearnedOptions> = fc.record({
    writes: fc.integer({ min: 1, max: 90 }),
    records: fc.oneof(fc.nat({ max: 5 }), fc.maxSafeNat()),
    recipients: fc.nat({ max: 5 }),
    everyMs: fc.constantFrom(0, 1_000, MINUTE, HOUR, DAY),
    resources: fc.constantFrom([['public.a']], [['public.a'], ['public.b', 'audit.log']]),
    value: fc.constantFrom([], [['GBP', 500] as const]),
  });

  test('finds at each sensitivity what it finds at a lower one', () => {
    let found = 0;
    fc.assert(
      fc.property(options, facts, fc.nat({ max: 3 }), (learned, given, uncounted) => {
        const usual = { baseline: learnedFrom(learned), key: KEY, uncounted };
        const counts = SENSITIVITIES.map((each) => unusual(given, usual, each).length);
        assert.deepEqual(
          counts,
          counts.toSorted((left, right) => left - right),
        );
        assert.equal(counts[0], 0);
        found += counts[1] ?? 0;
      }),
      { numRuns: 300 },
    );
    assert.ok(found > 20, String(found));
  });

  test('is the same twice, and says each figure in words', () => {
    fc.assert(
      fc.property(policy, options, steps, (loaded, learned, given) => {
        const baseline = learnedFrom(learned);
        const usual = given.map(() => ({ baseline, key: KEY, uncounted: 1 }));
        const findings = anomalyFindings(loaded, given, usual);
        assert.deepEqual(findings, anomalyFindings(loaded, given, usual));
        for (const { rule, reason, verdict } of findings) {
          assert.match(rule, /^anomaly(?:\.n\d)?$/);
          assert.doesNotMatch(reason, /undefined|NaN|Infinity|\[object|null/);
          assert.notEqual(verdict, 'allow');
        }
      }),
      { numRuns: 300 },
    );
  });
});
