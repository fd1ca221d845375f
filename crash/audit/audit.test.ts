import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Result } from '../../src/client/index.ts';
import { Journal } from '../journal.ts';
import type { Write } from '../writes.ts';
import { audit, type Seen } from './audit.ts';
import type { Told } from './log.ts';

const MARK = 'r0c0w0';
const ID = 'prop_1';
const HASH = 'ab'.repeat(32);

const WRITE: Write = {
  mark: MARK,
  run: 'round-0',
  agent: 'bot',
  body: { target: 'shop', operation: 'sql', arguments: {} },
  verdict: 'none',
  isTakenBack: false,
  isSentAgain: false,
};

const TOLD: Told = {
  id: ID,
  mark: MARK,
  proposer: 'agent=bot',
  run: 'round-0',
  writes: 1,
  compensates: null,
  state: 'applied',
  code: 'applied',
  applied: 1,
  compensatedBy: null,
};

function applied(more: { readonly proposalId?: string; readonly leafHash?: string } = {}): Result {
  const { proposalId = ID, leafHash = HASH } = more;
  const receipt = {
    proposalId,
    planDigest: 'sha256:0',
    reference: '7',
    appliedAt: 1,
    ledgerIndex: 0,
    leafHash,
    reversible: 'proved',
  } as const;
  return {
    state: 'applied',
    code: 'applied',
    proposalId,
    reason: '',
    next: 'none',
    links: { self: null, human: null },
    retryAfterMs: null,
    headline: null,
    planDigest: null,
    replayed: false,
    receipt,
    compensatedBy: null,
  };
}

/** One write that was applied and acknowledged, and everything in order. */
function seen(
  more: {
    readonly told?: Partial<Told> | null;
    readonly shop?: number;
    readonly books?: number;
    readonly answers?: readonly Result[];
    readonly spent?: number;
    readonly inFlight?: number;
  } = {},
): Seen {
  const { told = {}, shop = 1, books = 0, answers = [applied()], spent = 1, inFlight = 0 } = more;
  const journal = new Journal([WRITE]);
  for (const answer of answers) journal.heard(MARK, 'key', answer);
  const proposals = told === null ? [] : [[ID, { ...TOLD, ...told }] as const];
  const budget = {
    budget: 'all',
    scope: 'agent=bot',
    measure: 'writes',
    window: 'day',
    max: 10,
    spent,
    inFlight,
    left: 9,
    freesAt: null,
  } as const;
  return {
    journal,
    log: { size: 1, proposals: new Map(proposals), hashes: [HASH] },
    effects: {
      shop: new Map(shop === 0 ? [] : [[MARK, shop]]),
      books: new Map(books === 0 ? [] : [[MARK, books]]),
      torn: [],
    },
    budgets: [budget],
  };
}

function kinds(of: Seen): readonly string[] {
  return audit(of).map(({ kind }) => kind);
}

describe('the audit', () => {
  test('finds nothing where everything agrees', () => {
    assert.deepEqual(audit(seen()), []);
  });

  test('G3: finds an effect that is there twice', () => {
    assert.deepEqual(kinds(seen({ shop: 2 })), ['doubled']);
  });

  test('G3: finds two effects even where the log has both', () => {
    assert.ok(kinds(seen({ shop: 2, told: { applied: 2 }, spent: 2 })).includes('doubled'));
  });

  test('G1: finds an effect that no entry speaks of', () => {
    const none = seen({ told: null, answers: [], spent: 0 });
    assert.deepEqual(kinds(none), ['doubled']);
  });

  test('finds an effect that is not there', () => {
    assert.deepEqual(kinds(seen({ shop: 0 })), ['lost']);
  });

  test('finds one half of a chain', () => {
    assert.deepEqual(kinds(seen({ told: { writes: 2 }, spent: 2 })), ['lost']);
    assert.deepEqual(kinds(seen({ told: { writes: 2 }, spent: 2, books: 1 })), []);
  });

  test('finds an effect that stands though it was taken back', () => {
    assert.deepEqual(kinds(seen({ told: { compensatedBy: 'prop_2' } })), ['doubled']);
  });

  test('finds an acknowledged proposal that the log has not', () => {
    assert.ok(kinds(seen({ told: null, shop: 0, spent: 0 })).includes('lost'));
  });

  test('finds an acknowledged end that is another by the log', () => {
    const refused = seen({ told: { state: 'refused', applied: 0 }, shop: 0, spent: 0 });
    assert.deepEqual(kinds(refused), ['lost']);
  });

  test('finds a receipt whose entry is another', () => {
    assert.deepEqual(kinds(seen({ answers: [applied({ leafHash: 'cd'.repeat(32) })] })), ['lost']);
  });

  test('finds a retry that was answered with another proposal', () => {
    const twice = seen({ answers: [applied(), applied({ proposalId: 'prop_2' })] });
    assert.ok(kinds(twice).includes('answer'));
  });

  test('L1: finds what never ended, and lets wait what waits for people', () => {
    const open = { told: { state: 'in_doubt', applied: 0 }, shop: 0, answers: [], spent: 0 };
    assert.deepEqual(kinds(seen(open)), ['stuck']);
    assert.deepEqual(kinds(seen({ ...open, told: { state: 'waiting', applied: 0 } })), []);
  });

  test('G7: finds a budget that is not exactly what took effect', () => {
    assert.deepEqual(kinds(seen({ spent: 0 })), ['budget']);
    assert.deepEqual(kinds(seen({ inFlight: 1 })), ['budget']);
  });
});
