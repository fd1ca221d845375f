import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import type { ResultCode } from '../model/codes.ts';
import { Problem, PROBLEMS } from '../model/problem.ts';
import { problemDocument, toProblem } from './problem.ts';

/** Complete because the compiler asks for every member. */
const RESULT_CODES: Readonly<Record<ResultCode, true>> = {
  allowed: true,
  'approval-required': true,
  approved: true,
  'denied-by-person': true,
  frozen: true,
  'unknown-target': true,
  'unknown-operation': true,
  'unknown-agent': true,
  never: true,
  'not-permitted': true,
  'scope-violated': true,
  'upload-unknown': true,
  'read-only': true,
  'limit-exceeded': true,
  'value-unmeasured': true,
  'rule-forbids': true,
  'rule-requires': true,
  'rule-permits': true,
  'rule-errored': true,
  'validation-failed': true,
  'nothing-permits': true,
  'threshold-exceeded': true,
  'risk-critical': true,
  'effect-incomplete': true,
  'budget-exceeded': true,
  'duplicate-write': true,
  anomalous: true,
  'loop-detected': true,
  expired: true,
  cancelled: true,
  observed: true,
  applied: true,
  'plan-drifted': true,
  'in-doubt': true,
  interrupted: true,
  'rollback-conflict': true,
  'rollback-impossible': true,
  'chain-compensated': true,
  'chain-stopped': true,
  'chain-halted': true,
  'resolved-refused': true,
  'target-unavailable': true,
  'target-busy': true,
  'statement-timeout': true,
  'target-refused': true,
  'constraint-violated': true,
  'effect-unmeasurable': true,
  'arguments-invalid': true,
  'statement-invalid': true,
  'statement-multiple': true,
  'statement-kind': true,
  'statement-function': true,
  'statement-relation': true,
  'statement-unsupported': true,
  'statement-too-large': true,
};

test('docs/spec/problems.md has one row for every code, and for problems the row of the table', async () => {
  const text = await readFile(new URL('../../docs/spec/problems.md', import.meta.url), 'utf8');
  const [problems = '', results = ''] = text.split('\n## Decisions');
  const rows = [...problems.matchAll(/^\| `([a-z-]+)` +\| +(\d+) +\| +(\w+) +\|/gm)];
  assert.deepEqual(
    Object.fromEntries(rows.map(([, code, status, acts]) => [code, `${status} ${acts}`])),
    Object.fromEntries(
      Object.entries(PROBLEMS).map(([code, { status, acts }]) => [code, `${status} ${acts}`]),
    ),
  );
  const codes = [...results.matchAll(/^\| `([a-z-]+)` +\|/gm)].map(([, code = '']) => code);
  assert.deepEqual(codes.toSorted(), Object.keys(RESULT_CODES).toSorted());
});

test('a problem becomes the body of RFC 9457, its cause left out', () => {
  const cause = new Error('password of the vault');
  const problem = new Problem('digest-mismatch', 'the plan is another', {
    at: '/planDigest',
    cause,
  });
  assert.deepEqual(problemDocument(problem), {
    type: '/v1/problems/digest-mismatch',
    title: PROBLEMS['digest-mismatch'].title,
    status: 409,
    code: 'digest-mismatch',
    detail: 'the plan is another',
    at: '/planDigest',
    acts: 'caller',
    retryAfterMs: null,
  });
  const full = new Problem('too-many-requests', 'later', { retryAfterMs: 5_000 });
  assert.equal(problemDocument(full).retryAfterMs, 5_000);
  assert.equal(problemDocument(new Problem('gateway-stopping', 'later')).retryAfterMs, 1_000);
});

test('an error that nobody foresaw is a bug, logged once and told without its words', () => {
  const logged: unknown[] = [];
  for (const thrown of [new Error('secret'), 'secret', undefined, { code: 'draft-invalid' }]) {
    logged.length = 0;
    const problem = toProblem(thrown, (_line, cause) => logged.push(cause));
    assert.equal(problem.code, 'bug');
    assert.doesNotMatch(JSON.stringify(problemDocument(problem)), /secret/);
    assert.deepEqual(logged, [thrown]);
  }
});
