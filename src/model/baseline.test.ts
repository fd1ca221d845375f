import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { idOf, need } from '../../test/support/gate.ts';
import { digestJson } from '../lib/canonical.ts';
import {
  BASELINE_BOUNDS,
  learn,
  pacesAt,
  type AppliedWrite,
  type Baseline,
  type BaselineFact,
} from './baseline.ts';
import { baselineFacts, countedWrites } from './baseline-fact.ts';
import { chained, derivedKeyOf, type Draft } from './draft.ts';
import type { ProposalEntry } from './entry.ts';
import { tenantId } from './ids.ts';
import { usualOf } from './measure.ts';
import { begin, type Proposal } from './proposal.ts';

const START = Date.UTC(2026, 10, 2);
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** What the record may take in the store, whatever happened. */
const CHARACTERS_MAX = 8_192;

function writeOf(write: Partial<AppliedWrite> = {}): AppliedWrite {
  return {
    key: 'k'.repeat(64),
    records: 1,
    recipients: 0,
    value: [],
    resources: [['public.a']],
    approved: false,
    ...write,
  };
}

const size = fc.oneof(fc.nat({ max: 20 }), fc.maxSafeNat());
const key = fc.integer({ min: 0, max: 30 }).map((each) => String(each).padStart(64, '0'));
const resource = fc.oneof(
  fc.constantFrom('public.a', 'public.b', '__proto__', ''),
  fc.string({ maxLength: 300 }),
);
const moved = fc.oneof(
  fc.integer({ min: 0, max: 2 * MINUTE }),
  fc.integer({ min: 0, max: 3 * DAY }),
  // A clock that was set back, or far ahead.
  fc.integer({ min: -3 * DAY, max: 0 }),
  fc.constantFrom(0, 400 * DAY, -400 * DAY),
);

interface Turn {
  readonly by: number;
  readonly fact: (at: number) => BaselineFact;
}

const turn: fc.Arbitrary<Turn> = fc
  .tuple(
    moved,
    fc.oneof(
      key.map((each) => (at: number): BaselineFact => ({ kind: 'proposed', at, key: each })),
      fc.constant((at: number): BaselineFact => ({ kind: 'proposed', at, key: null })),
      fc
        .tuple(fc.boolean(), fc.integer({ min: 0, max: 2 * HOUR }))
        .map(([waited, ago]) => (at: number): BaselineFact => ({
          kind: 'nothing',
          at,
          proposedAt: at - ago,
          writes: 1,
          waited,
        })),
      fc
        .record({
          key,
          records: size,
          recipients: size,
          value: fc.array(
            fc.tuple(
              fc.constantFrom('GBP', 'EUR', 'JPY', 'USD', 'CHF', 'SEK', 'NOK', 'DKK', 'PLN'),
              size,
            ),
            { maxLength: 9 },
          ),
          resources: fc.array(fc.array(resource, { minLength: 1, maxLength: 3 }), { maxLength: 6 }),
          approved: fc.boolean(),
        })
        .map((write) => (at: number): BaselineFact => ({ kind: 'applied', at, write })),
    ),
  )
  .map(([by, fact]) => ({ by, fact }));

function factsOf(turns: readonly Turn[]): readonly BaselineFact[] {
  let at = START;
  return turns.map(({ by, fact }) => {
    at = Math.max(at + by, 0);
    return fact(at);
  });
}

function folded(facts: readonly BaselineFact[]): Baseline | undefined {
  return facts.reduce<Baseline | undefined>(learn, undefined);
}

/** Every number that a record holds. */
function numbers(value: unknown): readonly number[] {
  if (typeof value === 'number') return [value];
  if (typeof value !== 'object' || value === null) return [];
  return Object.values(value).flatMap(numbers);
}

describe('a baseline', () => {
  test('holds whole numbers alone, within its size, whatever was proposed and whenever', () => {
    fc.assert(
      fc.property(fc.array(turn, { minLength: 1, maxLength: 200 }), (turns) => {
        const baseline = folded(factsOf(turns));
        for (const number of numbers(baseline)) assert.ok(Number.isSafeInteger(number));
        for (const { proposed, applied } of Object.values(baseline?.paces ?? {})) {
          assert.ok(proposed >= 0 && applied >= 0);
        }
        assert.ok(JSON.stringify(baseline).length <= CHARACTERS_MAX);
      }),
      { numRuns: 200 },
    );
  });

  test('stays within its size when every one of its lists is full', () => {
    let baseline: Baseline | undefined;
    for (let each = 0; each < 5_000; each += 1) {
      const at = START + each * 37 * MINUTE;
      const name = `schema_${each}.table_with_quite_a_long_name`;
      baseline = learn(baseline, { kind: 'proposed', at, key: String(each).padStart(64, '7') });
      const spread = 2 ** (each % 53);
      const write = writeOf({
        records: spread,
        recipients: spread,
        value: ['GBP', 'EUR', 'JPY', 'USD', 'CHF', 'SEK', 'NOK', 'DKK', 'PLN'].map((currency) => [
          currency,
          spread,
        ]),
        resources: [[name]],
      });
      baseline = learn(baseline, { kind: 'applied', at, write });
    }
    assert.ok(baseline !== undefined);
    assert.ok(
      JSON.stringify(baseline).length <= CHARACTERS_MAX,
      String(JSON.stringify(baseline).length),
    );
    assert.equal(baseline.isCrowded, true);
    assert.equal(
      Object.keys(baseline.measures).filter((each) => each.startsWith('value:')).length,
      BASELINE_BOUNDS.currenciesMax,
    );
  });

  test('is the same from the same facts, and from itself as the store keeps it', () => {
    fc.assert(
      fc.property(fc.array(turn, { minLength: 1, maxLength: 60 }), (turns) => {
        const facts = factsOf(turns);
        const stored = facts.reduce<Baseline | undefined>((before, fact) => {
          // What the store writes and reads back between any two facts.
          return JSON.parse(JSON.stringify(learn(before, fact))) as Baseline;
        }, undefined);
        assert.deepEqual(stored, folded(facts));
      }),
      { numRuns: 200 },
    );
  });

  test('takes nothing for usual that was not applied', () => {
    fc.assert(
      fc.property(fc.array(turn, { minLength: 1, maxLength: 100 }), (turns) => {
        const facts = factsOf(turns).filter(({ kind }) => kind !== 'applied');
        fc.pre(facts.length > 0);
        const baseline = folded(facts);
        assert.deepEqual(baseline?.measures, {});
        assert.deepEqual(baseline?.resources, []);
        assert.equal(baseline?.applied, 0);
        assert.ok(baseline?.hours.every((each) => each === 0));
      }),
    );
  });

  test('does not take the pace of people who agree for that of the agent', () => {
    let baseline: Baseline | undefined;
    for (let each = 0; each < 50; each += 1) {
      const at = START + each;
      baseline = learn(baseline, { kind: 'applied', at, write: writeOf({ approved: true }) });
    }
    const later = learn(baseline, { kind: 'proposed', at: START + DAY, key: 'k' });
    assert.equal(later.measures['minute'], undefined);
    assert.equal(later.measures['records']?.seen.total, 50);
  });
});

describe('the pace', () => {
  const proposed = (at: number): BaselineFact => ({ kind: 'proposed', at, key: 'k' });

  test('counts what waited even where it came to nothing, and not what was denied at once', () => {
    const two = folded([proposed(START), proposed(START)]);
    const nothing = { kind: 'nothing', at: START, proposedAt: START, writes: 1 } as const;
    assert.equal(learn(two, { ...nothing, waited: true }).paces.minute.proposed, 2);
    assert.equal(learn(two, { ...nothing, waited: false }).paces.minute.proposed, 1);
    const late = { ...nothing, at: START + 2 * MINUTE, waited: false };
    assert.equal(learn(learn(two, proposed(START + 2 * MINUTE)), late).paces.minute.proposed, 1);
  });

  test('counts each step of a chain, those whose repetition is not counted too', () => {
    const uncounted = { kind: 'proposed', at: START, key: null } as const;
    const chain = folded([proposed(START), uncounted]);
    assert.equal(chain?.paces.minute.proposed, 2);
    assert.deepEqual(
      chain?.repeats.map(({ times }) => times),
      [1],
    );
  });

  test('is not reset by a clock that was set back, nor held by one that was far ahead', () => {
    const many = folded(Array.from({ length: 30 }, () => proposed(START)));
    assert.ok(many !== undefined);
    for (const back of [MINUTE, HOUR, 30 * DAY]) {
      assert.equal(pacesAt(many, START - back).minute.proposed, 30);
    }
    const ahead = learn(many, proposed(START + 4_000 * DAY));
    const mended = learn(ahead, proposed(START));
    assert.equal(pacesAt(mended, START + 2 * MINUTE).minute.proposed, 0);
  });
});

describe('what is usual', () => {
  /** One write a minute for so many days, of a size that may change with time. */
  const bot = (days: number, records: (day: number) => number, each = 10 * MINUTE): Baseline => {
    let baseline: Baseline | undefined;
    for (let at = START; at < START + days * DAY; at += each) {
      const write = writeOf({ records: records((at - START) / DAY) });
      baseline = learn(baseline, { kind: 'applied', at, write });
    }
    assert.ok(baseline !== undefined);
    return baseline;
  };
  const high = (baseline: Baseline, name: string): number => {
    const measure = baseline.measures[name];
    assert.ok(measure !== undefined);
    return usualOf(measure).high;
  };

  test('is not what was met once, however few were met', () => {
    const few = [3, 3, 3, 47_000].map((records): BaselineFact => ({
      kind: 'applied',
      at: START,
      write: writeOf({ records }),
    }));
    const baseline = folded(few);
    assert.ok(baseline !== undefined);
    assert.equal(high(baseline, 'records'), 3);
  });

  test('doubles in a week at the fastest, once the first week is over', () => {
    const quiet = bot(14, () => 4);
    for (const [weeks, most] of [
      [1, 9],
      [2, 19],
      [4, 80],
    ] as const) {
      const ramped = bot(14 + 7 * weeks, (day) => (day < 14 ? 4 : 1_000_000));
      assert.ok(high(ramped, 'records') <= most, `${weeks}: ${high(ramped, 'records')}`);
      assert.ok(high(ramped, 'records') > high(quiet, 'records'));
    }
  });

  test('does not rise by patience: silence earns no step', () => {
    let baseline = bot(14, () => 4);
    const before = high(baseline, 'records');
    for (let each = 0; each < 2_000; each += 1) {
      const at = START + 400 * DAY + each * 1_000;
      baseline = learn(baseline, { kind: 'applied', at, write: writeOf({ records: 1_000_000 }) });
    }
    assert.ok(high(baseline, 'records') <= before * 1.5, String(high(baseline, 'records')));
  });

  test('does not fade by silence', () => {
    const baseline = bot(14, () => 4);
    const late = learn(baseline, { kind: 'proposed', at: START + 900 * DAY, key: 'k' });
    assert.deepEqual(late.measures['records'], baseline.measures['records']);
    assert.equal(late.applied, baseline.applied);
  });
});

describe('the writes of a chain', () => {
  const agent = { name: 'bot', kind: 'agent', credential: '', owner: null } as const;
  const chainOf = (...steps: readonly (readonly [target: string, key: number])[]): Proposal => {
    const given = steps.map(([target, each]) => ({
      target,
      operation: 'set',
      arguments: { key: each },
    }));
    const common = { reason: undefined, idempotencyKey: undefined, run: undefined };
    const draft: Draft = { ...chained(given), ...common, compensates: undefined };
    const derivedKey = digestJson('chain');
    const entry: ProposalEntry = {
      type: 'proposal',
      draft,
      proposer: agent,
      environment: 'test',
      known: true,
      argumentsDigest: derivedKey,
      derivedKey,
    };
    return begin(entry, {
      act: idOf(`prop_${'0'.repeat(26)}`),
      tenant: need(tenantId('acme')),
      at: START,
      index: 0,
    });
  };
  const namesOf = (facts: ReturnType<typeof baselineFacts>) =>
    facts.map(({ subject }) => `${subject.target}/${subject.operation}`);

  test('are those of its steps: no order of targets makes a baseline of its own', () => {
    const steps = [
      ['kv', 1],
      ['ledger', 2],
      ['mail', 3],
    ] as const;
    const [kv, ledger, mail] = steps;
    const orders = [
      [kv, ledger, mail],
      [mail, kv, ledger],
      [ledger, mail, kv],
      [mail, ledger],
    ];
    const names = orders.flatMap((order) =>
      namesOf(baselineFacts(undefined, chainOf(...order), START)),
    );
    assert.deepEqual([...new Set(names)].toSorted(), ['kv/set', 'ledger/set', 'mail/set']);
  });

  test('have the keys of single writes, and of many of one operation the same few in any order', () => {
    const steps = Array.from({ length: 50 }, (_, each) => ['kv', each] as const);
    const keysOf = (proposal: Proposal) =>
      countedWrites(proposal).flatMap(({ key: each }) => (each === null ? [] : [each]));
    const keys = keysOf(chainOf(...steps));
    assert.equal(keys.length, BASELINE_BOUNDS.repeatedStepsMax);
    assert.deepEqual(keysOf(chainOf(...steps.toReversed())).toSorted(), keys.toSorted());
    const [first] = keysOf(chainOf(['kv', 1], ['ledger', 1]));
    const single = { target: 'kv', operation: 'set', arguments: { key: 1 } };
    assert.equal(first, derivedKeyOf(need(tenantId('acme')), single));
  });
});
