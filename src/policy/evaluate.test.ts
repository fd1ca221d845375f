import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Finding } from '../model/decision.ts';
import {
  budgetLines,
  isRepeatable,
  limitFindings,
  neverFindings,
  permissionFindings,
  ruleFindings,
  thresholdFindings,
} from './evaluate.ts';
import {
  cascade,
  direct,
  factsOf,
  policyFrom,
  row,
  spoken,
  type FactOptions,
} from '../../test/support/policy.ts';

const POLICY = policyFrom(`
version: 1
targets: {crm: {kind: postgres}, shop: {kind: postgres}}
people:
  alice: {roles: [operator, approver], groups: finance}
  ann: {roles: approver, groups: finance}
agents:
  billing-bot:
    owner: alice
    permissions:
      - {target: crm, resource: public.customers, class: update, tier: autonomous}
      - {target: crm, resource: public.*, tier: confirm}
      - {target: crm, resource: [public.customers, public.notes], class: delete, tier: confirm}
      - {target: crm, resource: audit.log, class: [create, read], tier: read-only}
  reader: {permissions: []}
never:
  - {name: audit, match: {resource: audit.*}, reason: the audit log is written by triggers alone}
rules:
  - {id: all, effect: permit, match: {target: crm, resource: public.*}, reason: the bot keeps customers}
`);

const DELETE: FactOptions = {
  plan: {
    resource: 'public.customers',
    counts: [
      direct('public.customers', { deleted: 1 }),
      cascade('public.orders', { deleted: 12 }),
      cascade('public.lines', { deleted: 150 }),
      cascade('public.notes', { deleted: 50 }),
    ],
  },
};

function reasons(findings: readonly Finding[]): readonly string[] {
  return findings.map((finding) => finding.reason);
}

describe('the never list', () => {
  test('has destroy for everybody, and nothing takes it off', () => {
    for (const who of [{}, { person: 'alice' }, { agent: 'reader' }]) {
      const findings = neverFindings(POLICY, factsOf({ ...who, class: 'destroy' }));
      assert.deepEqual(spoken(findings), ['deny never.destroy never']);
    }
  });

  test('has delete for agents, with the exact figure', () => {
    const findings = neverFindings(POLICY, factsOf({ ...DELETE, agent: 'reader' }));
    assert.deepEqual(spoken(findings), ['deny never.delete never']);
    assert.deepEqual(reasons(findings), [
      '1 + 212 rows would be deleted in 4 tables; agents never delete: no permission names `delete` for `public.customers` on `crm` at tier `confirm`',
    ]);
  });

  test('lets a delete by that a permission names, where its inverse is proved', () => {
    assert.deepEqual(neverFindings(POLICY, factsOf(DELETE)), []);
    for (const kind of ['conditional', 'one-way'] as const) {
      const plan = { ...DELETE.plan, reversibility: { kind, reason: 'mail' } };
      const findings = neverFindings(POLICY, factsOf({ plan }));
      assert.match(reasons(findings).join(), new RegExp(`its inverse is ${kind}, not proved$`));
    }
  });

  test('wants a name for each table that is deleted from directly', () => {
    const counts = (second: string) => [
      direct('public.customers', { deleted: 1 }),
      direct(second, { deleted: 1 }),
    ];
    assert.deepEqual(
      neverFindings(POLICY, factsOf({ plan: { counts: counts('public.notes') } })),
      [],
    );
    const findings = neverFindings(POLICY, factsOf({ plan: { counts: counts('public.orders') } }));
    assert.match(reasons(findings).join(), /2 rows would be deleted in 2 tables.*`public.orders`/);
  });

  test('does not keep people from deleting by taking back', () => {
    assert.deepEqual(
      neverFindings(POLICY, factsOf({ ...DELETE, person: 'ann', compensates: 'create' })),
      [],
    );
  });

  test('judges a compensation by the class of what it takes back', () => {
    assert.deepEqual(
      neverFindings(POLICY, factsOf({ ...DELETE, agent: 'reader', compensates: 'create' })),
      [],
    );
    const plan = { reversibility: { kind: 'conditional' as const, reason: 'x' } };
    assert.deepEqual(neverFindings(POLICY, factsOf({ plan, compensates: 'delete' })), []);
  });

  test('has the lines of the file, for what is reached indirectly too', () => {
    const plan = {
      counts: [direct('public.customers', { updated: 1 }), cascade('audit.log', { updated: 3 })],
    };
    const findings = neverFindings(POLICY, factsOf({ plan }));
    assert.deepEqual(spoken(findings), ['deny never.audit never']);
    assert.deepEqual(reasons(findings), [
      'the audit log is written by triggers alone; 4 records would change in `public.customers` and `audit.log`',
    ]);
    assert.deepEqual(spoken(neverFindings(POLICY, factsOf({ plan, person: 'ann' }))).length, 1);
  });
});

describe('the permission', () => {
  const judged = (options: FactOptions) => permissionFindings(POLICY, factsOf(options));

  test('is the strongest of the lines that match', () => {
    assert.deepEqual(spoken(judged({})), ['allow agents.billing-bot.permissions[0] allowed']);
    assert.deepEqual(
      spoken(judged({ plan: { resource: 'public.orders', counts: [] }, class: 'update' })),
      ['wait agents.billing-bot.permissions[1] approval-required'],
    );
  });

  test('is none where no line matches, and read-only where one says so', () => {
    assert.deepEqual(spoken(judged({ target: 'shop' })), ['deny agents.billing-bot not-permitted']);
    assert.deepEqual(spoken(judged({ agent: 'reader' })), ['deny agents.reader not-permitted']);
    const plan = { resource: 'audit.log', counts: [direct('audit.log', { created: 1 })] };
    assert.deepEqual(spoken(judged({ plan })), [
      'deny agents.billing-bot.permissions[3] read-only',
    ]);
    assert.match(reasons(judged({ target: 'shop' })).join(), /what no line names is read-only$/);
  });

  test('of an agent that the policy does not name is none', () => {
    assert.deepEqual(spoken(judged({ agent: 'stranger' })), ['deny agents unknown-agent']);
    assert.deepEqual(spoken(judged({ agent: 'constructor' })), ['deny agents unknown-agent']);
  });

  test('is that of the weakest of the tables written to directly', () => {
    const also = (resource: string) => ({
      plan: {
        counts: [direct('public.customers', { updated: 1 }), direct(resource, { updated: 1 })],
      },
    });
    assert.deepEqual(spoken(judged(also('public.orders'))), [
      'wait agents.billing-bot.permissions[1] approval-required',
    ]);
    assert.deepEqual(spoken(judged(also('hidden.salaries'))), [
      'deny agents.billing-bot not-permitted',
    ]);
  });

  test('is not asked for what triggers and cascades change', () => {
    const counts = [
      direct('public.customers', { updated: 1 }),
      cascade('hidden.log', { created: 9 }),
    ];
    assert.deepEqual(spoken(judged({ plan: { counts } })), [
      'allow agents.billing-bot.permissions[0] allowed',
    ]);
  });

  test('for delete is never read into a line that names no class', () => {
    assert.deepEqual(spoken(judged(DELETE)), [
      'wait agents.billing-bot.permissions[2] approval-required',
    ]);
    const plan = { resource: 'public.orders', counts: [direct('public.orders', { deleted: 1 })] };
    assert.deepEqual(spoken(judged({ plan })), ['deny agents.billing-bot not-permitted']);
  });

  test('lets people take back what was applied, whatever it was, and nothing else', () => {
    for (const compensates of ['create', 'update', 'delete'] as const) {
      const said = spoken(judged({ person: 'ann', compensates }));
      assert.deepEqual(said, ['allow people allowed']);
    }
    assert.deepEqual(spoken(judged({ person: 'ann' })), ['deny people not-permitted']);
  });
});

describe('a limit', () => {
  const LIMITS = policyFrom(`
version: 1
limits:
  - name: all
    recordsMax: 100
    recordsPerResourceMax: 60
    valueMax: {GBP: "100.00"}
    recipientsMax: 1
    bytesMax: 2000
    amplificationMax: 5
  - {name: customers, match: {resource: public.orders}, recordsMax: 10}
`);
  const judged = (plan: FactOptions['plan'] = {}) => limitFindings(LIMITS, factsOf({ plan }));
  const rows = (updated: number, indirect = 0) => [
    direct('public.customers', { updated }),
    ...(indirect > 0 ? [cascade('public.lines', { deleted: indirect })] : []),
  ];

  test('says nothing at the bound, and the exact figure one over it', () => {
    assert.deepEqual(judged({ counts: rows(50, 50) }), []);
    const findings = judged({ counts: rows(51, 50) });
    assert.deepEqual(spoken(findings), ['deny limits.all limit-exceeded']);
    assert.deepEqual(reasons(findings), ['101 records, at most 100']);
    assert.deepEqual(reasons(judged({ counts: rows(46_999, 1) })).slice(0, 1), [
      '47,000 records, at most 100',
    ]);
  });

  test('bounds each resource, however it was reached', () => {
    assert.deepEqual(judged({ counts: rows(60) }), []);
    assert.deepEqual(reasons(judged({ counts: rows(20, 61) })), [
      '61 records in `public.lines`, at most 60',
    ]);
    const split = [
      direct('public.customers', { updated: 40 }),
      cascade('public.customers', { updated: 21 }),
    ];
    assert.deepEqual(reasons(judged({ counts: split })), [
      '61 records in `public.customers`, at most 60',
    ]);
  });

  test('denies what it bounds and was not measured in full, as a budget of it does', () => {
    const policy = policyFrom(`
version: 1
limits:
  - {name: mail, recipientsMax: 9}
  - {name: size, bytesMax: 9}
  - {name: rows, recordsMax: 9}
budgets: [{name: mails, measure: recipients, window: day, max: 9}]
`);
    const unmeasured = (...what: ('recipients' | 'bytes')[]) =>
      limitFindings(policy, factsOf({ plan: { unmeasured: what, bytes: 1 } }));
    assert.deepEqual(spoken(unmeasured('recipients')), [
      'deny limits.mail effect-incomplete',
      'deny budgets.mails effect-incomplete',
    ]);
    assert.deepEqual(spoken(unmeasured('bytes')), ['deny limits.size effect-incomplete']);
    assert.deepEqual(spoken(unmeasured()), []);
  });

  test('bounds value, added up by currency and beyond exact numbers', () => {
    const money = (...amounts: string[]) => ({
      value: amounts.map((amountMinor) => ({ currency: 'GBP', amountMinor })),
    });
    assert.deepEqual(judged(money('10000')), []);
    assert.deepEqual(reasons(judged(money('9999', '2'))), ['GBP 100.01, at most GBP 100.00']);
    assert.deepEqual(reasons(judged(money('9007199254740993'))), [
      'GBP 90,071,992,547,409.93, at most GBP 100.00',
    ]);
  });

  test('bounds recipients, bytes and amplification', () => {
    assert.deepEqual(judged({ recipients: 1, bytes: 2_000, counts: rows(2, 10) }), []);
    assert.deepEqual(reasons(judged({ recipients: 2, bytes: 2_001, counts: rows(2, 11) })), [
      '2 recipients, at most 1',
      '2,001 bytes, at most 2,000',
      '5.5 indirect records for each direct one, at most 5',
    ]);
  });

  test('on a table counts for a write that reaches the table by a cascade', () => {
    const counts = [
      direct('public.customers', { updated: 10 }),
      cascade('public.orders', { updated: 1 }),
    ];
    assert.deepEqual(reasons(judged({ counts })), ['11 records, at most 10']);
  });

  test('on value denies where value was not measured: no approval lifts a limit', () => {
    const incomplete = judged({ valueComplete: false });
    assert.deepEqual(spoken(incomplete), ['deny limits.all value-unmeasured']);
    assert.deepEqual(reasons(incomplete), [
      'not all of the value could be measured, so it may be over the bound',
    ]);
    const overflown = judged({
      valueComplete: false,
      value: [{ currency: 'GBP', amountMinor: '9007199254740993' }],
    });
    assert.deepEqual(spoken(overflown), [
      'deny limits.all limit-exceeded',
      'deny limits.all value-unmeasured',
    ]);
  });

  test('on value makes people look at a currency that it does not bound', () => {
    const foreign = judged({ value: [{ currency: 'EUR', amountMinor: '100000000' }] });
    assert.deepEqual(spoken(foreign), ['wait limits.all value-unmeasured']);
    assert.deepEqual(reasons(foreign), [
      'EUR 1,000,000.00 would move, in a currency that no line bounds; people decide',
    ]);
    const odd = judged({ value: [{ currency: 'constructor', amountMinor: '1' }] });
    assert.deepEqual(spoken(odd), ['wait limits.all value-unmeasured']);
  });

  test('that bounds no value does not care about value', () => {
    const policy = policyFrom('version: 1\nlimits: [{name: a, recordsMax: 9}]\n');
    const facts = factsOf({ plan: { valueComplete: false } });
    assert.deepEqual(limitFindings(policy, facts), []);
    assert.deepEqual(thresholdFindings(policy, facts), []);
  });
});

describe('the rules', () => {
  const RULES = policyFrom(`
version: 1
targets: {crm: {kind: postgres}}
people: {ann: {roles: approver}}
agents: {billing-bot: {}, other: {}}
rules:
  - {id: usual, effect: permit, match: {target: crm, resource: public.*}, reason: the usual}
  - {id: salaries, effect: permit, match: {resource: hidden.salaries}, when: args.month == "may", reason: in May}
  - {id: night, effect: require, when: now.getHours() < 6, reason: at night people look}
  - {id: gold, effect: forbid, when: 'effect.rows.exists(r, r.after.tier == "gold")', reason: gold is sold by people}
  - {id: log, effect: forbid, match: {resource: public.log}, reason: nobody writes the log}
  - {id: mine, effect: forbid, match: {agent: other}, when: args.missing == 1, reason: never asked of the bot}
  - {id: reads, effect: forbid, when: operation.class == "create" && args.careful == true, reason: careful}
`);
  const judged = (options: FactOptions = {}) => ruleFindings(RULES, factsOf(options));
  const said = (options: FactOptions = {}) => spoken(judged(options));

  test('allow what a rule permits', () => {
    assert.deepEqual(said({ args: { careful: false } }), ['allow rules.usual rule-permits']);
  });

  test('deny what none permits, and say so', () => {
    const plan = { resource: 'other.t', counts: [direct('other.t', { updated: 1 })] };
    const findings = judged({ plan });
    assert.deepEqual(spoken(findings), ['deny rules nothing-permits']);
    assert.deepEqual(reasons(findings), ['no rule permits this update of `other.t` on `crm`']);
    assert.deepEqual(spoken(ruleFindings(policyFrom('version: 1'), factsOf())), [
      'deny rules nothing-permits',
    ]);
  });

  test('want a permit for each table written to directly, from one rule or several', () => {
    const counts = [
      direct('public.customers', { updated: 1 }),
      direct('hidden.salaries', { updated: 1 }),
    ];
    assert.deepEqual(said({ plan: { counts }, args: { month: 'june' } }), [
      'allow rules.usual rule-permits',
      'deny rules nothing-permits',
    ]);
    assert.deepEqual(said({ plan: { counts }, args: { month: 'may' } }), [
      'allow rules.usual rule-permits',
      'allow rules.salaries rule-permits',
    ]);
  });

  test('want no permit for what a trigger changes, but forbid it', () => {
    const reached = (resource: string) => ({
      plan: {
        counts: [direct('public.customers', { updated: 1 }), cascade(resource, { created: 1 })],
      },
    });
    assert.deepEqual(said(reached('elsewhere.t')), ['allow rules.usual rule-permits']);
    assert.deepEqual(said(reached('public.log')), [
      'allow rules.usual rule-permits',
      'deny rules.log rule-forbids',
    ]);
  });

  test('wait where one requires people, and deny where one forbids', () => {
    assert.deepEqual(said({ now: Date.UTC(2026, 0, 1, 3), plan: { effects: [row()] } }), [
      'allow rules.usual rule-permits',
      'wait rules.night rule-requires',
      'deny rules.gold rule-forbids',
    ]);
  });

  test('deny where one that matches cannot be evaluated, and name it', () => {
    const findings = judged({ plan: { effects: [row()], effectsOmitted: 7 } });
    assert.deepEqual(spoken(findings), [
      'allow rules.usual rule-permits',
      'deny rules.gold rule-errored',
    ]);
    assert.deepEqual(
      reasons(findings).at(1),
      'rule `gold` could not be evaluated, so it denies: 8 rows would change, a condition sees at most 2,000 and all or none',
    );
    assert.deepEqual(said({ agent: 'other' }).at(-1), 'deny rules.mine rule-errored');
  });

  test('do not quote rows of the target when they cannot be evaluated', () => {
    const policy = policyFrom(`
version: 1
rules: [{id: a, effect: forbid, when: "effect.rows.all(r, int(r.after.tier) > 1)", reason: r}]
`);
    const [finding] = ruleFindings(policy, factsOf({ plan: { effects: [row()] } }));
    assert.equal(finding?.code, 'rule-errored');
    assert.ok(!finding.reason.includes('gold'), finding.reason);
  });

  test('want no permit for what people take back, and still forbid', () => {
    assert.deepEqual(
      said({ person: 'ann', compensates: 'update', plan: { resource: 'x.y', counts: [] } }),
      [],
    );
    const plan = { resource: 'public.log', counts: [] };
    assert.deepEqual(said({ person: 'ann', compensates: 'update', plan }), [
      'allow rules.usual rule-permits',
      'deny rules.log rule-forbids',
    ]);
  });

  test('show a condition the class that the lines are matched with', () => {
    const options = { class: 'delete', compensates: 'create', args: { careful: true } } as const;
    assert.deepEqual(said(options), [
      'allow rules.usual rule-permits',
      'deny rules.reads rule-forbids',
    ]);
  });
});

describe('a threshold', () => {
  const THRESHOLDS = policyFrom(`
version: 1
people: {ann: {roles: approver, groups: finance}}
routes: {finance: {steps: [{groups: finance}]}}
thresholds:
  - {name: large, recordsOver: 100, valueOver: {GBP: "10000.00"}, route: finance}
  - {name: mail, recipientsOver: 0, riskOver: 49}
  - {name: wide, recordsPerResourceOver: 100, bytesOver: 20, amplificationOver: 1.5}
`);
  const judged = (options: FactOptions = {}) => thresholdFindings(THRESHOLDS, factsOf(options));

  test('says nothing at the bound, and the exact figure over it', () => {
    const at = (updated: number, amountMinor: string) => ({
      plan: {
        counts: [direct('public.customers', { updated })],
        value: [{ currency: 'GBP', amountMinor }],
      },
    });
    assert.deepEqual(judged(at(100, '1000000')), []);
    const findings = judged(at(101, '1000001'));
    assert.deepEqual(spoken(findings), [
      'wait thresholds.large threshold-exceeded',
      'wait thresholds.large threshold-exceeded',
      'wait thresholds.wide threshold-exceeded',
    ]);
    assert.deepEqual(reasons(findings), [
      '101 records, over 100 people decide',
      'GBP 10,000.01, over GBP 10,000.00 people decide',
      '101 records in `public.customers`, over 100 people decide',
    ]);
  });

  test('looks at bytes and at what each direct record brings along', () => {
    const at = (bytes: number, deleted: number) => ({
      plan: {
        counts: [direct('public.customers', { updated: 2 }), cascade('public.lines', { deleted })],
        bytes,
      },
    });
    assert.deepEqual(judged(at(20, 3)), []);
    assert.deepEqual(reasons(judged(at(21, 4))), [
      '21 bytes, over 20 people decide',
      '2 indirect records for each direct one, over 1.5 people decide',
    ]);
  });

  test('looks at recipients and risk', () => {
    assert.deepEqual(
      reasons(judged({ plan: { recipients: 1 }, risk: { score: 50, level: 'high' } })),
      ['1 recipient, over 0 people decide', 'risk 50 of 100, over 49 people decide'],
    );
  });

  test('is there for critical risk, for what is not known in full, and for what is for good', () => {
    const none = policyFrom('version: 1');
    const critical = {
      score: 90,
      level: 'critical',
      terms: [{ name: 'scope', value: 0.9, reason: 'all of it' }],
    } as const;
    const findings = thresholdFindings(
      none,
      factsOf({
        risk: critical,
        plan: {
          warnings: ['rows are hidden by a policy of the table'],
          reversibility: { kind: 'one-way', reason: 'mail is sent' },
        },
      }),
    );
    assert.deepEqual(spoken(findings), [
      'wait effect.warnings effect-incomplete',
      'wait effect.reversibility approval-required',
      'wait risk.critical risk-critical',
    ]);
    assert.deepEqual(reasons(findings), [
      'the effect is not known in full: rows are hidden by a policy of the table',
      'it cannot be taken back: mail is sent',
      'risk 90 of 100 is critical: scope all of it',
    ]);
    assert.deepEqual(thresholdFindings(none, factsOf()), []);
  });

  test('does not ask whether taking back can be taken back', () => {
    const plan = { reversibility: { kind: 'one-way' as const, reason: 'x' } };
    assert.deepEqual(judged({ plan, compensates: 'update' }), []);
  });

  test('on value makes people look where value was not measured, and denies nothing', () => {
    const facts = factsOf({ plan: { valueComplete: false } });
    assert.deepEqual(spoken(thresholdFindings(THRESHOLDS, facts)), [
      'wait thresholds.large value-unmeasured',
    ]);
    assert.deepEqual(limitFindings(THRESHOLDS, facts), []);
  });

  test('beside a budget of value makes people look at a currency that neither bounds', () => {
    const budget = policyFrom(
      'version: 1\nbudgets: [{name: b, measure: "value:GBP", window: day, max: "1.00"}]\n',
    );
    const foreign = { value: [{ currency: 'EUR', amountMinor: '1' }] };
    assert.deepEqual(spoken(thresholdFindings(budget, factsOf({ plan: foreign }))), [
      'wait budgets.b value-unmeasured',
    ]);
  });

  test('does not repeat what a limit has said of value', () => {
    const both = policyFrom(`
version: 1
limits: [{name: l, valueMax: {GBP: "5.00"}}]
thresholds: [{name: t, valueOver: {EUR: "1.00"}}]
`);
    const plan = { valueComplete: false, value: [{ currency: 'EUR', amountMinor: '1' }] };
    assert.deepEqual(spoken(limitFindings(both, factsOf({ plan }))), [
      'deny limits.l value-unmeasured',
    ]);
    assert.deepEqual(thresholdFindings(both, factsOf({ plan })), []);
  });
});

describe('a budget', () => {
  const line = (yaml: string, options: FactOptions = {}) =>
    budgetLines(policyFrom(`version: 1\nbudgets:\n  - ${yaml}\n`), [factsOf(options)]);
  const counts = [
    direct('public.customers', { updated: 2 }),
    cascade('public.orders', { deleted: 5 }),
  ];

  test('counts writes, records, recipients and value', () => {
    const plan = { counts, recipients: 3, value: [{ currency: 'GBP', amountMinor: '250' }] };
    for (const [measure, max, amount] of [
      ['writes', '9', 1],
      ['records', '9', 7],
      ['recipients', '9', 3],
      ['"value:GBP"', '"9.00"', 250],
    ] as const) {
      const yaml = `{name: b, measure: ${measure}, window: hour, max: ${max}}`;
      const [found, ...rest] = line(yaml, { plan });
      assert.deepEqual(rest, []);
      assert.equal(found?.amount, amount);
      assert.equal(found.windowMs, 3_600_000);
      assert.equal(found.scope, 'tenant');
      assert.equal(found.budget, 'budgets.b');
    }
  });

  test('is shared by what it says it is per', () => {
    const scopes = (per: string, options: FactOptions = {}) =>
      line(`{name: b, per: ${per}, measure: records, window: day, max: 9}`, options).map(
        ({ scope, amount }) => `${scope} ${amount}`,
      );
    assert.deepEqual(scopes('agent'), ['agent=billing-bot 1']);
    assert.deepEqual(scopes('[agent, run, target]', { run: '42' }), [
      'agent=billing-bot,run=42,target=crm 1',
    ]);
    assert.deepEqual(scopes('agent', { person: 'ann' }), ['person=ann 1']);
    assert.deepEqual(scopes('resource', { plan: { counts } }), [
      'resource=public.customers 2',
      'resource=public.orders 5',
    ]);
  });

  test('cannot be dodged by a run that is named like two', () => {
    const [found] = line('{name: b, per: [run, target], measure: writes, window: day, max: 9}', {
      run: '1,target=x%',
    });
    assert.equal(found?.scope, 'run=1%2Ctarget%3Dx%25,target=crm');
  });

  test('counts towards no other write, and nothing for nothing', () => {
    assert.deepEqual(
      line('{name: b, match: {class: create}, measure: writes, window: day, max: 9}'),
      [],
    );
    assert.deepEqual(line('{name: b, measure: recipients, window: day, max: 9}'), []);
    const orders =
      '{name: b, match: {resource: public.orders}, per: resource, measure: records, window: day, max: 9}';
    assert.deepEqual(
      line(orders, { plan: { counts } }).map(({ scope }) => scope),
      ['resource=public.orders'],
    );
  });

  test('of value denies at its own stage where value was not measured', () => {
    const policy = policyFrom(`
version: 1
limits: [{name: l, match: {class: create}, valueMax: {GBP: "5.00"}}]
thresholds: [{name: t, valueOver: {GBP: "1.00"}}]
budgets:
  - {name: pace, measure: writes, window: day, max: 9}
  - {name: elsewhere, match: {resource: audit.*}, measure: "value:GBP", window: day, max: "1.00"}
  - {name: pounds, measure: "value:GBP", window: day, max: "1.00"}
  - {name: euros, measure: "value:EUR", window: day, max: "1.00"}
`);
    const facts = factsOf({ plan: { valueComplete: false } });
    const findings = limitFindings(policy, facts);
    assert.deepEqual(
      findings.map(({ stage, verdict, rule, code }) => `${stage} ${verdict} ${rule} ${code}`),
      ['budget deny budgets.pounds value-unmeasured', 'budget deny budgets.euros value-unmeasured'],
    );
    assert.deepEqual(thresholdFindings(policy, facts), []);
    assert.deepEqual(limitFindings(policy, factsOf()), []);
  });

  test('is over its maximum by value beyond exact numbers', () => {
    const [found] = line('{name: b, measure: "value:GBP", window: day, max: "90000000000000.00"}', {
      plan: { value: [{ currency: 'GBP', amountMinor: '90071992547409930000' }] },
    });
    assert.ok(
      found !== undefined && found.amount > found.max && Number.isSafeInteger(found.amount),
    );
  });
});

describe('a part of a resource', () => {
  const POLICY_OF_WHOLES = policyFrom(`
version: 1
targets: {crm: {kind: postgres}}
agents:
  bot: {permissions: [{target: crm, resource: public.pay, tier: autonomous}]}
  keeper:
    permissions:
      - {target: crm, resource: public.pay_1, tier: autonomous}
      - {target: crm, resource: public.pay, class: delete, tier: confirm}
never: [{name: parts, match: {resource: public.parts}, reason: parts are counted by hand}]
limits: [{name: pay, match: {resource: public.pay}, recordsPerResourceMax: 5}]
thresholds: [{name: pay, match: {resource: public.pay}, recordsOver: 3}]
budgets:
  - {name: pay, match: {resource: public.pay}, per: resource, measure: records, window: day, max: 9}
  - {name: each, per: resource, measure: records, window: day, max: 9}
rules:
  - {id: pay, effect: permit, match: {resource: public.pay}, reason: the bot pays}
  - {id: log, effect: forbid, match: {resource: audit.log}, reason: nobody writes the log}
  - {id: look, effect: require, match: {resource: audit.mail}, reason: people look at mail}
`);
  const partOf = {
    'public.parts_1': ['public.parts'],
    'public.pay_1': ['public.pay_q1', 'public.pay'],
    'public.pay_2': ['public.pay_q1', 'public.pay'],
    'audit.log_1': ['audit.log'],
    'audit.mail_1': ['audit.mail'],
  };
  const facts = (options: FactOptions) =>
    factsOf({
      agent: 'bot',
      ...options,
      plan: { resource: 'public.pay', partOf, ...options.plan },
    });
  const leaf = (updated: number) => [direct('public.pay_1', { updated })];

  test('is under the never line of the whole, by the agent and by a trigger', () => {
    for (const counts of [
      [direct('public.parts_1', { updated: 1 })],
      [...leaf(1), cascade('public.parts_1', { created: 1 })],
    ]) {
      const findings = neverFindings(POLICY_OF_WHOLES, facts({ plan: { counts } }));
      assert.deepEqual(spoken(findings), ['deny never.parts never']);
    }
    const named = facts({ plan: { resource: 'public.parts_1', counts: [] } });
    assert.deepEqual(spoken(neverFindings(POLICY_OF_WHOLES, named)), ['deny never.parts never']);
  });

  test('is under the limits and thresholds of the whole, which counts its parts together', () => {
    const at = (first: number, second: number) =>
      facts({
        plan: {
          resource: 'public.pay_1',
          counts: [...leaf(first), direct('public.pay_2', { updated: second })],
        },
      });
    assert.deepEqual(limitFindings(POLICY_OF_WHOLES, at(3, 2)), []);
    assert.deepEqual(reasons(limitFindings(POLICY_OF_WHOLES, at(3, 3))), [
      '6 records in `public.pay_q1`, at most 5',
      '6 records in `public.pay`, at most 5',
    ]);
    assert.deepEqual(spoken(thresholdFindings(POLICY_OF_WHOLES, at(2, 2))), [
      'wait thresholds.pay threshold-exceeded',
    ]);
  });

  test('takes from the budget of the whole, and from one of its own where it is named', () => {
    const counts = [...leaf(3), direct('public.pay_2', { updated: 4 })];
    const lines = budgetLines(POLICY_OF_WHOLES, [
      facts({ plan: { resource: 'public.pay_1', counts } }),
    ]);
    assert.deepEqual(
      lines.map(({ budget, scope, amount }) => `${budget} ${scope} ${amount}`),
      [
        'budgets.pay resource=public.pay 7',
        'budgets.each resource=public.pay_1 3',
        'budgets.each resource=public.pay_q1 7',
        'budgets.each resource=public.pay 7',
        'budgets.each resource=public.pay_2 4',
      ],
    );
  });

  test('is under forbid and require of the whole, by a trigger too', () => {
    const said = (resource: string) => {
      const counts = [...leaf(1), cascade(resource, { created: 1 })];
      return spoken(ruleFindings(POLICY_OF_WHOLES, facts({ plan: { counts } })));
    };
    assert.deepEqual(said('audit.log_1'), [
      'allow rules.pay rule-permits',
      'deny rules.log rule-forbids',
    ]);
    assert.deepEqual(said('audit.mail_1'), [
      'allow rules.pay rule-permits',
      'wait rules.look rule-requires',
    ]);
  });

  test('is covered by the permission and the permit of the whole, reached through it or directly', () => {
    for (const resource of ['public.pay', 'public.pay_1']) {
      const given = facts({ plan: { resource, counts: leaf(1) } });
      assert.deepEqual(spoken(permissionFindings(POLICY_OF_WHOLES, given)), [
        'allow agents.bot.permissions[0] allowed',
      ]);
      assert.deepEqual(spoken(ruleFindings(POLICY_OF_WHOLES, given)), [
        'allow rules.pay rule-permits',
      ]);
    }
    const counts = [direct('public.pay_1', { deleted: 1 })];
    const deleted = facts({ agent: 'keeper', plan: { resource: 'public.pay', counts } });
    assert.deepEqual(neverFindings(POLICY_OF_WHOLES, deleted), []);
  });

  test('covers neither the whole nor another part', () => {
    for (const plan of [
      { resource: 'public.pay', counts: leaf(1) },
      { resource: 'public.pay_1', counts: [...leaf(1), direct('public.pay_2', { updated: 1 })] },
    ]) {
      const findings = permissionFindings(POLICY_OF_WHOLES, facts({ agent: 'keeper', plan }));
      assert.deepEqual(spoken(findings), ['deny agents.keeper not-permitted']);
    }
    const alone = facts({ agent: 'keeper', plan: { resource: 'public.pay_1', counts: leaf(1) } });
    assert.deepEqual(spoken(permissionFindings(POLICY_OF_WHOLES, alone)), [
      'allow agents.keeper.permissions[0] allowed',
    ]);
  });

  test('of nothing is known by its own name alone, whatever that is', () => {
    const plan = { resource: 'constructor', counts: [direct('constructor', { updated: 1 })] };
    assert.deepEqual(neverFindings(POLICY_OF_WHOLES, facts({ plan })), []);
  });
});

test('a rule on a column that is only known at the commit denies what it cannot judge', () => {
  const policy = policyFrom(`
version: 1
targets: {crm: {kind: postgres}}
rules:
  - {id: all, effect: permit, match: {target: crm}, reason: r}
  - {id: gold, effect: forbid, when: 'effect.rows.exists(r, r.after.tier == "gold")', reason: r}
`);
  const effects = [row({ after: { id: '1', tier: null } })];
  const hidden = factsOf({ plan: { effects, maskedColumns: ['public.customers.tier'] } });
  assert.deepEqual(spoken(ruleFindings(policy, hidden)), [
    'allow rules.all rule-permits',
    'deny rules.gold rule-errored',
  ]);
  const stamped = factsOf({ plan: { effects, maskedColumns: ['public.customers.changed_at'] } });
  assert.deepEqual(spoken(ruleFindings(policy, stamped)), ['allow rules.all rule-permits']);
});

test('a write may repeat where the policy says so, whatever it would change', () => {
  const policy = policyFrom(`
version: 1
targets: {crm: {kind: postgres}}
duplicates: {repeatable: [{target: crm, operation: "ping.*"}]}
`);
  const subject = { agent: 'bot', environment: 'production', target: 'crm' };
  assert.equal(isRepeatable(policy, { ...subject, operation: 'ping.send' }), true);
  assert.equal(isRepeatable(policy, { ...subject, operation: 'sql' }), false);
});
