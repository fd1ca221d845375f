import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Rule } from '../../model/policy.ts';
import { RuleIndex } from './candidates.ts';
import { matchesResource } from './match.ts';

const NAMES = ['public.a', 'public.b', 'audit.a'] as const;

test('the index leaves out no rule that can be about a name, and keeps the order of the file', () => {
  const resource = fc.option(fc.subarray([...NAMES, 'public.*', '*.a'], { minLength: 1 }), {
    nil: undefined,
  });
  const rules = fc.array(resource).map((all) =>
    all.map((patterns, index): Rule => ({
      id: `r${index}`,
      effect: 'forbid',
      match: patterns === undefined ? {} : { resource: patterns },
      when: null,
      whenText: null,
      reason: 'r',
      route: null,
    })),
  );
  fc.assert(
    fc.property(rules, fc.subarray([...NAMES]), (all, names) => {
      const found = new RuleIndex(all).about(names);
      assert.deepEqual(
        found,
        all.filter((rule) => found.includes(rule)),
      );
      for (const rule of all) {
        const isMeant = names.some((name) => matchesResource(rule.match, name));
        assert.ok(found.includes(rule) || !isMeant, rule.id);
      }
    }),
  );
});
