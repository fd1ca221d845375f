import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Configuration } from '../model/policy.ts';
import { parseConfiguration } from '../policy/parse.ts';
import { differingParts, openedParts } from './opened-parts.ts';

const FILE = `
version: 1
environment: staging
targets:
  crm: { kind: postgres, url: '\${env:CRM}', schemas: [public] }
  books: { kind: postgres, url: '\${env:BOOKS}' }
people: { ada: { roles: [operator] } }
`;

function parsed(text: string): Configuration {
  return parseConfiguration(text, 'writegate.yaml');
}

test('names each part that takes a restart and is not the same, and no other', () => {
  const own = openedParts(parsed(FILE));
  assert.deepEqual(Object.keys(own).toSorted(), ['environment', 'targets.books', 'targets.crm']);
  const differing = (text: string): readonly string[] =>
    differingParts(own, openedParts(parsed(text)));
  assert.deepEqual(differing(FILE), []);
  assert.deepEqual(differing(FILE.replace('env:CRM', 'env:OTHER')), [], 'where a secret lies');
  assert.deepEqual(differing(`${FILE}listen: 127.0.0.1:8000\n`), [], 'where it listens');
  assert.deepEqual(differing(FILE.replace('operator', 'approver')), [], 'the policy');
  assert.deepEqual(differing(FILE.replace('[public]', '[sales]')), ['targets.crm']);
  assert.deepEqual(differing(FILE.replace('staging', 'production')), ['environment']);
  assert.deepEqual(differing(FILE.replace(/ {2}books.*\n/, '')), ['targets.books']);
});

test('of one that has not said what it opened nothing is known', () => {
  assert.deepEqual(differingParts(openedParts(parsed(FILE)), {}), []);
  assert.deepEqual(differingParts({}, openedParts(parsed(FILE))), []);
});
