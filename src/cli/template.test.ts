import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { decideCases } from '../gate/cases.ts';
import { parseCases } from '../policy/cases/cases.ts';
import { explain } from '../policy/explain.ts';
import { parseConfiguration } from '../policy/parse.ts';
import { weakenings } from '../policy/weakening.ts';
import { PACKS } from './init/packs.ts';
import { PROFILES } from './init/profile.ts';
import { casesTemplate, configurationTemplate, type TemplateOptions } from './template.ts';

function optionsOf(profile: string, kind: string): TemplateOptions {
  const found = PROFILES.find(({ name }) => name === profile);
  const pack = PACKS.find((each) => each.kind === kind);
  assert.ok(found !== undefined && pack !== undefined);
  return { person: 'ada', agent: 'crm-bot', urlReference: '${env:CRM_URL}', profile: found, pack };
}

function loaded(profile: string, kind: string) {
  return parseConfiguration(configurationTemplate(optionsOf(profile, kind)), 'writegate.yaml');
}

describe('every profile with every pack', () => {
  for (const { name } of PROFILES) {
    for (const { kind } of PACKS) {
      test(`${name} with ${kind} loads, passes its own cases, and each of its lines speaks`, () => {
        const configuration = loaded(name, kind);
        const text = casesTemplate(optionsOf(name, kind));
        const report = decideCases(configuration, parseCases(text, 'tests.yaml', configuration));
        assert.deepEqual(
          report.cases.filter(({ isAsExpected }) => !isAsExpected),
          [],
        );
        assert.deepEqual(report.coverage.silent, []);
      });

      test(`${name} with ${kind} has somebody who runs it, approves and changes it, and explains its agent`, () => {
        const { policy, targets, environment } = loaded(name, kind);
        const roles = new Set([...policy.people.values()].flatMap((each) => each.roles));
        for (const role of ['operator', 'approver', 'policy'] as const) assert.ok(roles.has(role));
        const explanation = explain({
          policy,
          environment,
          agent: 'crm-bot',
          targets: targets.map((each) => ({
            name: each.name,
            kind: each.kind,
            operations: null,
            resources: null,
          })),
        });
        assert.ok(explanation?.rows.some(({ allows }) => allows !== 'never'));
        assert.ok(explanation?.rows.every(({ because }) => because !== 'rules'));
      });
    }
  }

  for (const { kind } of PACKS) {
    test(`strict lets nothing through that balanced does not, with ${kind}`, () => {
      const [balanced, strict] = [loaded('balanced', kind), loaded('strict', kind)];
      assert.deepEqual(weakenings(balanced, strict), []);
      assert.notDeepEqual(weakenings(strict, balanced), []);
    });
  }

  test('the default enforces, and observe-first is the same lines without letting any through', () => {
    const { policy } = loaded(PROFILES[0]?.name ?? '', 'postgres');
    const observing = loaded('observe-first', 'postgres').policy;
    assert.deepEqual([policy.mode, observing.mode], ['active', 'observe']);
    assert.deepEqual(observing.limits, policy.limits);
    assert.deepEqual(observing.budgets, policy.budgets);
    assert.deepEqual(observing.agents, policy.agents);
  });
});
