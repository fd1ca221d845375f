import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { Ajv2020 } from 'ajv/dist/2020.js';
import schema from '../../schema/writegate.schema.json' with { type: 'json' };
import type { Configuration } from '../model/policy.ts';
import { Problem } from '../model/problem.ts';
import { parseConfiguration } from './parse.ts';
import type { FileShape } from './load/shape.ts';

function parse(text: string): Configuration {
  return parseConfiguration(text, 'writegate.yaml');
}

function problemOf(text: string): Problem {
  try {
    parse(text);
  } catch (thrown) {
    assert.ok(thrown instanceof Problem, String(thrown));
    assert.equal(thrown.code, 'configuration-invalid');
    return thrown;
  }
  assert.fail('the file loads');
}

describe('a file that loads', () => {
  test('may say nothing but its version, and then permits nothing', () => {
    for (const text of ['version: 1\n', '', '# nothing yet\n']) {
      const { policy, ...rest } = parse(text);
      assert.equal(rest.tenant, 'default');
      assert.equal(rest.environment, 'production');
      assert.deepEqual(rest.listen, { host: '127.0.0.1', port: 7878 });
      assert.deepEqual(rest.targets, []);
      assert.equal(rest.text, text);
      assert.equal(policy.mode, 'active');
      assert.equal(policy.agents.size + policy.people.size + policy.rules.length, 0);
      assert.equal(policy.duplicates.windowMs, 86_400_000);
      assert.deepEqual(policy.routes.get(policy.defaultRoute), {
        name: 'default',
        steps: [{ groups: [], quorum: 1 }],
        expiresAfterMs: 1_800_000,
      });
    }
  });

  test('takes one value where it takes a list', () => {
    const { policy } = parse(`
version: 1
people: {ann: {roles: approver, groups: finance}}
limits: [{name: a, match: {class: update, resource: public.a}, recordsMax: 1}]
budgets: [{name: b, per: agent, measure: writes, window: hour, max: 2}]
routes: {r: {steps: [{groups: finance}]}}
`);
    assert.deepEqual(policy.people.get('ann'), {
      name: 'ann',
      roles: ['approver'],
      groups: ['finance'],
    });
    assert.deepEqual(policy.limits[0]?.match, { class: ['update'], resource: ['public.a'] });
    assert.deepEqual(policy.budgets[0]?.per, ['agent']);
    const shared =
      'version: 1\nbudgets: [{name: b, per: [tenant, agent], measure: writes, window: hour, max: 2}, {name: c, per: tenant, measure: writes, window: hour, max: 2}]';
    assert.deepEqual(
      parse(shared).policy.budgets.map(({ per }) => per),
      [['agent'], []],
    );
    assert.deepEqual(policy.routes.get('r')?.steps, [{ groups: ['finance'], quorum: 1 }]);
  });

  test('has money in major units converted exactly, by the digits of the currency', () => {
    const { policy } = parse(`
version: 1
limits: [{name: a, valueMax: {GBP: "10000.00", JPY: "5000", KWD: "1.005", EUR: "80071992547409.93"}}]
thresholds: [{name: b, valueOver: {GBP: "0.07"}}]
budgets: [{name: c, measure: "value:GBP", window: day, max: "50000.10"}]
`);
    assert.deepEqual(policy.limits[0]?.valueMinorMax, {
      GBP: 1_000_000,
      JPY: 5_000,
      KWD: 1_005,
      EUR: 8_007_199_254_740_993,
    });
    assert.deepEqual(policy.thresholds[0]?.valueMinorOver, { GBP: 7 });
    assert.equal(policy.budgets[0]?.max, 5_000_010);
  });

  test('has durations in seconds, minutes, hours and days', () => {
    for (const [text, ms] of [
      ['90s', 90_000],
      ['30m', 1_800_000],
      ['24h', 86_400_000],
      ['7d', 604_800_000],
    ] as const) {
      assert.equal(
        parse(`version: 1\nduplicates: {window: ${text}}`).policy.duplicates.windowMs,
        ms,
      );
    }
  });

  test('gives everything beside the kind of a target to its connector', () => {
    const { targets } = parse(`
version: 1
targets:
  crm: {kind: postgres, url: "\${env:CRM_URL}", schemas: [public]}
  other: {kind: my-connector, anything: {goes: [1, 2]}}
`);
    assert.deepEqual(targets, [
      { name: 'crm', kind: 'postgres', settings: { url: '${env:CRM_URL}', schemas: ['public'] } },
      { name: 'other', kind: 'my-connector', settings: { anything: { goes: [1, 2] } } },
    ]);
  });

  test('listens where it says, on IPv6 too', () => {
    assert.deepEqual(parse('version: 1\nlisten: "[::1]:0"').listen, { host: '::1', port: 0 });
  });

  test('may use anchors and aliases', () => {
    const { policy } = parse(`
version: 1
limits:
  - {name: a, match: &match {class: update}, recordsMax: 1}
  - {name: b, match: *match, recordsMax: 2}
`);
    assert.deepEqual(policy.limits[1]?.match, { class: ['update'] });
  });

  test('gives its rules the default route where they need one and name none', () => {
    const { policy } = parse(`
version: 1
people: {ann: {roles: approver}}
routes: {people: {steps: [{}]}, others: {steps: [{}], expiresAfter: 2h}}
defaultRoute: people
rules:
  - {id: a, effect: require, reason: r}
  - {id: b, effect: require, reason: r, route: others}
  - {id: c, effect: permit, reason: r}
thresholds: [{name: t, recordsOver: 0}]
`);
    assert.deepEqual(
      policy.rules.map((rule) => rule.route),
      ['people', 'others', null],
    );
    assert.equal(policy.thresholds[0]?.route, 'people');
    assert.equal(policy.routes.get('others')?.expiresAfterMs, 7_200_000);
  });
});

describe('the digest of a policy', () => {
  const digest = (text: string) => parse(text).policy.digest;
  const BASE =
    'version: 1\nlimits: [{name: a, recordsMax: 5}]\ntargets: {crm: {kind: k, url: x}}\n';

  test('does not move with layout, comments, or the order of keys', () => {
    const other = `
# a comment
targets: {"crm": {url: 'x', kind: k}}
limits:
  - recordsMax: 5
    name: a
version: 1
`;
    assert.equal(digest(other), digest(BASE));
  });

  test('does not move with the listening address, the hosts, the store, or what may be secret', () => {
    const own = 'listen: 127.0.0.1:1\nallowedHosts: [a.example]\nstore: {url: postgres://db/w}\n';
    assert.equal(digest(`${BASE}${own}`), digest(BASE));
    for (const setting of [
      'url: y',
      'url: x, password: "${env:P}"',
      'url: x, apiKey: "${file:k}"',
      'url: x, auth: {accessToken: "${env:T}"}',
    ]) {
      const without = setting.includes('auth') ? 'url: x, auth: {}' : 'url: x';
      assert.equal(
        digest(BASE.replace('url: x', setting)),
        digest(BASE.replace('url: x', without)),
        setting,
      );
    }
  });

  test('moves with everything else', () => {
    for (const text of [
      BASE.replace('5', '6'),
      BASE.replace('kind: k', 'kind: l'),
      BASE.replace('url: x', 'url: x, rowsMax: 3'),
      `${BASE}mode: observe\n`,
      `${BASE}tenant: acme\n`,
      `${BASE}environment: staging\n`,
      BASE.replace('crm', 'key'),
    ]) {
      assert.notEqual(digest(text), digest(BASE), text);
    }
  });
});

/** What is wrong, the file below `version: 1`, and each line of the message without the file's name. */
const FAULTS: readonly (readonly [string, string, ...(string | RegExp)[]])[] = [
  // YAML
  [
    'is no YAML',
    'a: [\n',
    /^3:1: expected what belongs together at one indentation, and every bracket closed, /,
  ],
  [
    'has a key twice',
    'mode: active\nmode: observe\n',
    '3:1: expected each key once, found it again; keep one of them',
  ],
  [
    'has a tag',
    'tenant: !!binary YQ==\n',
    '2:9: expected a plain value, found one with a tag; remove the tag',
  ],
  [
    'has tags of the core schema',
    'tenant: !!str a\nenvironment: ! b\nnever: !!seq\n  - &a !<tag:yaml.org,2002:map> {name: x}\n',
    '2:9: expected a plain value, found one with a tag; remove the tag',
    '3:14: expected a plain value, found one with a tag; remove the tag',
    '4:8: expected a plain value, found one with a tag; remove the tag',
    '5:8: expected a plain value, found one with a tag; remove the tag',
  ],
  ['has a second document', '---\nversion: 1\n', /^2:1: expected one document, found another/],
  [
    'has an alias to nothing',
    'tenant: *nowhere\n',
    '2:9: expected a value, found an alias (`*` and a name) to no anchor above it; put the name in quotes',
  ],
  [
    'has a pattern without quotes',
    'targets:\n  a:\n    kind: k\n    names:\n      - *.schema_migrations\n',
    '6:9: expected a value, found an alias (`*` and a name) to no anchor above it; put the name in quotes',
  ],
  [
    'has a colon in a text without quotes',
    'never:\n  - name: a\n    reason: note: it is so\n',
    '4:13: expected one value after the key, found a colon and a blank inside it; put the whole value in quotes, or begin inner keys on a line of their own',
  ],
  [
    'has a tab as indentation, and nothing else is said',
    'people:\n\tann:\n    roles: approver\n  bob: {}\nnever: []\n',
    '3:1: expected blanks as indentation, found a tab; replace it by blanks',
  ],
  [
    'has a merge key',
    'people: {a: &a {}, b: {<<: *a}}\n',
    '2:24: expected a known key in `people.b`, found `<<`; its keys are `roles`, `groups`',
  ],
  [
    'has an alias to itself',
    'targets: {a: &a {kind: k, x: *a}}\n',
    '2:30: expected an alias to something else, found one to itself; remove it',
  ],
  [
    'has a number without an end',
    'targets: {a: {kind: k, x: [.inf]}}\n',
    '2:28: expected a number with an end, found `Infinity`; change it',
  ],
  [
    'has half a character',
    'never: [{name: a, match: {}, reason: "\\uD800"}]\n',
    '2:38: expected whole characters, found half of one; correct the escape',
  ],
  // form
  [
    'has an unknown key that is a slip',
    'limts: []\n',
    '2:1: expected a known key in the file, found `limts`; write `limits`',
  ],
  [
    'has an unknown key deep down',
    'limits:\n  - name: a\n    recordMax: 3\n',
    '4:5: expected a known key in `limits[0]`, found `recordMax`; write `recordsMax`',
  ],
  [
    'has a key like no other',
    'people: {ann: {zzzzzzzz: 1}}\n',
    '2:16: expected a known key in `people.ann`, found `zzzzzzzz`; its keys are `roles`, `groups`',
  ],
  [
    'lacks a key',
    'rules:\n  - id: a\n    effect: permit\n',
    '3:5: expected `reason` in `rules[0]`, found none; add it',
  ],
  [
    'has a slip in a closed set',
    'limits: [{name: a, recordsMax: 1, match: {class: updat}}]\n',
    '2:50: expected one of `read`, `create`, `update`, `delete`, `destroy` for `limits[0].match.class`, found `updat`; write `update`',
  ],
  [
    'has a slip in a list of them',
    'limits: [{name: a, recordsMax: 1, match: {class: [update, x]}}]\n',
    '2:59: expected one of `read`, `create`, `update`, `delete`, `destroy` for `limits[0].match.class[1]`, found `x`; change it',
  ],
  [
    'has neither one nor a list',
    'limits: [{name: a, recordsMax: 1, match: {class: 5}}]\n',
    '2:50: expected one of `read`, `create`, `update`, `delete`, `destroy`, or a list of them for `limits[0].match.class`, found `5`; change it',
  ],
  [
    'has an empty list in a match',
    'limits: [{name: a, recordsMax: 1, match: {target: []}}]\n',
    '2:51: expected a name or a list of names for `limits[0].match.target`, found an empty list; change it',
  ],
  [
    'has a bound of nothing',
    'limits: [{name: a, recordsMax: 0}]\n',
    '2:32: expected a whole number of at least 1 for `limits[0].recordsMax`, found `0`; change it',
  ],
  [
    'has a bound with a fraction',
    'limits: [{name: a, recordsMax: 1.5}]\n',
    /^2:32: expected a whole number of at least 1 .* found `1.5`/,
  ],
  [
    'has a bound beyond exact numbers',
    'limits: [{name: a, recordsMax: 9007199254740993}]\n',
    /^2:32: expected a whole number/,
  ],
  [
    'has money as a number',
    'limits: [{name: a, valueMax: {GBP: 10000.00}}]\n',
    '2:36: expected an amount in major units as a quoted decimal, such as `"10000.00"` for `limits[0].valueMax.GBP`, found `10000`; put it in quotes',
  ],
  [
    'has money in no currency',
    'limits: [{name: a, valueMax: {gbp: "1"}}]\n',
    '2:31: expected a currency of three capital letters as a key of `limits[0].valueMax`, found `gbp`; rename it',
  ],
  [
    'has negative money',
    'limits: [{name: a, valueMax: {GBP: "-1"}}]\n',
    /^2:36: expected an amount .* found `-1`/,
  ],
  [
    'counts value with a whole number',
    'budgets: [{name: a, measure: "value:GBP", window: day, max: 5}]\n',
    /^2:61: expected an amount in major units .* `budgets\[0\].max`, found `5`; put it in quotes/,
  ],
  [
    'counts records with money',
    'budgets: [{name: a, measure: records, window: day, max: "5.00"}]\n',
    /^2:57: expected a whole number of at least 1 for `budgets\[0\].max`, found `5.00`/,
  ],
  [
    'has no duration',
    'duplicates: {window: 1 day}\n',
    '2:22: expected a duration such as `90s`, `30m`, `24h` or `7d` for `duplicates.window`, found `1 day`; change it',
  ],
  [
    'repeats by resource',
    'duplicates: {repeatable: [{resource: a}]}\n',
    /^2:28: expected a known key in `duplicates.repeatable\[0\]`, found `resource`/,
  ],
  [
    'has a name with a space',
    'people: {a b: {}}\n',
    /^2:10: expected a name of letters.* as a key of `people`, found `a b`; rename it/,
  ],
  [
    'has a setting of another type and does not show it',
    'targets: {crm: {kind: postgres, url: 12345}}\n',
    '2:38: expected a connection URL, `${env:NAME}` or `${file:PATH}` for `targets.crm.url`, found a number; put it in quotes',
  ],
  [
    'has a target without a kind',
    'targets: {crm: {url: x}}\n',
    '2:16: expected `kind` in `targets.crm`, found none; add it',
  ],
  // money and places
  [
    'has money finer than its currency',
    'limits: [{name: a, valueMax: {GBP: "1.005"}}]\n',
    '2:36: expected an amount with at most 2 decimals for GBP, found `1.005`; change it',
  ],
  [
    'has yen with decimals',
    'budgets: [{name: a, measure: "value:JPY", window: day, max: "5.0"}]\n',
    '2:61: expected an amount with at most 0 decimals for JPY, found `5.0`; change it',
  ],
  [
    'has more money than can be exact',
    'thresholds: [{name: a, valueOver: {GBP: "999999999999999"}}]\n',
    /^2:41: expected an amount of at most 9000000000000000 minor units/,
  ],
  [
    'listens where no port is',
    'listen: localhost:70000\n',
    '2:9: expected a port up to 65535 for `listen`, found `70000`; change it',
  ],
  // permissions
  [
    'lets an agent destroy',
    'agents: {a: {permissions: [{class: [update, destroy], tier: confirm}]}}\n',
    '2:36: expected no class `destroy` at tier `confirm`, found it; remove it: no configuration enables it',
  ],
  [
    'lets an agent delete on its own',
    'agents: {a: {permissions: [{class: delete, tier: autonomous}]}}\n',
    /^2:36: expected class `delete` at tier `confirm`, found `autonomous`/,
  ],
  [
    'lets an agent delete anywhere',
    'targets: {crm: {kind: k}}\nagents: {a: {permissions: [{target: crm, resource: "public.*", class: delete, tier: confirm}]}}\n',
    /^3:71: expected class `delete` with its target and its resource named in full/,
  ],
  [
    'lets an agent delete on any target',
    'agents: {a: {permissions: [{resource: public.a, class: delete, tier: confirm}]}}\n',
    /^2:56: expected class `delete` with its target/,
  ],
  // names
  [
    'has two rules of one id',
    'rules:\n  - {id: a, effect: forbid, reason: r}\n  - {id: a, effect: forbid, reason: r}\n',
    '4:10: expected another id in `rules`, found `a` again, as in `rules[0]`; rename one of them',
  ],
  [
    'has two limits of one name',
    'limits: [{name: a, recordsMax: 1}, {name: a, recordsMax: 2}]\n',
    /^2:43: expected another name in `limits`, found `a` again/,
  ],
  [
    'has two thresholds of one name',
    'thresholds: [{name: a, recordsOver: 1}, {name: a, recordsOver: 2}]\n',
    /^2:48: .*`thresholds`/,
  ],
  [
    'has two budgets of one name',
    'budgets: [{name: a, measure: writes, window: day, max: 1}, {name: a, measure: writes, window: day, max: 1}]\n',
    /^2:67: .*`budgets`/,
  ],
  [
    'has two never lines of one name',
    'never: [{name: a, match: {}, reason: r}, {name: a, match: {}, reason: r}]\n',
    /^2:49: .*`never`/,
  ],
  [
    'has a never line of a name that is taken',
    'never: [{name: delete, match: {}, reason: r}]\n',
    /^2:16: expected a name other than `destroy` and `delete`/,
  ],
  [
    'names an owner who is nobody',
    'people: {alice: {}}\nagents: {a: {owner: alise}}\n',
    '3:21: expected a person of `people` in `agents.a.owner`, found `alise`; write `alice`',
  ],
  [
    'names a target that is none',
    'targets: {crm: {kind: k}}\nrules: [{id: a, effect: forbid, reason: r, match: {target: [crm, shop]}}]\n',
    '3:66: expected a target of `targets` in `rules[0].match.target[1]`, found `shop`; add it to `targets` or remove it here',
  ],
  [
    'names an agent that is none',
    'never: [{name: a, match: {agent: bot}, reason: r}]\n',
    '2:34: expected an agent of `agents` in `never[0].match.agent`, found `bot`; add it to `agents` or remove it here',
  ],
  [
    'names a target that is none in a permission',
    'agents: {a: {permissions: [{target: crm, tier: confirm}]}}\n',
    /^2:37: expected a target of `targets`/,
  ],
  [
    'names a target that is none among the repeatable',
    'duplicates: {repeatable: [{target: crm}]}\n',
    /^2:36: expected a target of `targets`/,
  ],
  [
    'names a route that is none in a rule',
    'rules: [{id: a, effect: require, reason: r, route: f}]\n',
    '2:52: expected a route of `routes` in `rules[0].route`, found `f`; add it to `routes` or remove it here',
  ],
  [
    'names a route that is none in a threshold',
    'thresholds: [{name: a, recordsOver: 1, route: f}]\n',
    /^2:47: expected a route of `routes`/,
  ],
  [
    'names a default route that is none',
    'defaultRoute: f\n',
    /^2:15: expected a route of `routes` in `defaultRoute`, found `f`/,
  ],
  // lines that could do nothing
  [
    'has a route that nobody can fill',
    'people: {ann: {roles: approver, groups: f}, ben: {roles: operator, groups: f}}\nroutes: {r: {steps: [{groups: f, quorum: 2}]}}\n',
    '3:13: expected people with the role `approver` to fill route `r`, found 1 more person (f) missing; add people or lower the quorum',
  ],
  [
    'has a route of two steps and one person',
    'people: {ann: {roles: approver}}\nroutes: {r: {steps: [{}, {}]}}\n',
    /^3:13: expected people with the role `approver`/,
  ],
  [
    'has a limit without a bound',
    'limits: [{name: a, match: {}}]\n',
    '2:10: expected at least one bound in `limits[0]`, found none; add one or remove the line',
  ],
  [
    'has a threshold without a bound',
    'thresholds: [{name: a, route: default}]\n',
    /^2:14: expected at least one bound in `thresholds\[0\]`/,
  ],
  [
    'has a route on a rule that asks nobody',
    'rules: [{id: a, effect: permit, reason: r, route: default}]\n',
    /^2:51: expected a route with effect `require` alone, found one with `permit`/,
  ],
  [
    'permits what is never done',
    'rules: [{id: a, effect: permit, reason: r, match: {class: destroy}}]\n',
    /^2:59: expected classes that can be permitted, found `destroy`; remove it: no configuration/,
  ],
  // conditions
  [
    'has a condition that does not parse',
    'rules: [{id: a, effect: forbid, reason: r, when: effect.records >}]\n',
    /^2:66: expected a condition in CEL, found its end where a value or a name belongs/,
  ],
  [
    'has a condition on what is not there',
    "rules: [{id: a, effect: forbid, reason: r, when: 'effect.recods > 1'}]\n",
    '2:58: expected a condition in CEL, found no such key: recods; write `records`',
  ],
  [
    'has a slip in a literal block',
    'rules:\n  - id: a\n    effect: forbid\n    reason: r\n    when: |\n      effect.records > 1 &&\n        effect.recods > 1\n',
    '8:16: expected a condition in CEL, found no such key: recods; write `records`',
  ],
  [
    'has a slip in a folded block',
    'rules:\n  - id: a\n    effect: forbid\n    reason: r\n    when: >-\n      effect.records > 1\n      && effect.recods > 1\n',
    '8:17: expected a condition in CEL, found no such key: recods; write `records`',
  ],
  [
    'has a slip behind an escape',
    'rules: [{id: a, effect: forbid, reason: r, when: "args.a == \\"x\\" && effect.recods > 1"}]\n',
    '2:77: expected a condition in CEL, found no such key: recods; write `records`',
  ],
  [
    'has a condition of another type',
    'rules: [{id: a, effect: forbid, reason: r, when: effect.records}]\n',
    /^2:50: expected a condition that is true or false, found one of type `int`/,
  ],
  [
    'has a pattern that is none',
    'rules: [{id: a, effect: forbid, reason: r, when: run.matches("(a")}]\n',
    /^2:62: expected a pattern in RE2 syntax/,
  ],
];

describe('a file does not load where it', () => {
  for (const [what, yaml, ...lines] of FAULTS) {
    test(what, () => {
      const { message, at } = problemOf(`version: 1\n${yaml}`);
      const found = message.split('\n');
      assert.equal(found.length, lines.length, message);
      for (const [index, line] of lines.entries()) {
        const text = found[index]?.replace(/^writegate\.yaml:/, '') ?? '';
        if (typeof line === 'string') assert.equal(text, line);
        else assert.match(text, line);
      }
      assert.match(found[0] ?? '', new RegExp(`^writegate\\.yaml:${at}: `));
    });
  }

  test('has another version', () => {
    assert.equal(
      problemOf('version: 2\n').message,
      'writegate.yaml:1:10: expected the number 1 for `version`, found `2`; change it',
    );
  });

  test('has no version', () => {
    assert.equal(
      problemOf('tenant: a\n').message,
      'writegate.yaml:1:1: expected `version` in the file, found none; add it',
    );
  });

  test('says which YAML it is', () => {
    assert.match(problemOf('%YAML 1.1\n---\nversion: 1\n').message, /expected no `%YAML` line/);
  });

  test('is over the size limit', () => {
    const message = problemOf(`version: 1\n#${'x'.repeat(1024 * 1024)}\n`).message;
    assert.match(message, /^writegate\.yaml:1:1: expected at most 1048576 bytes, found 1048589/);
  });

  test('is nested deeper than a parser can follow', () => {
    assert.match(
      problemOf(`version: 1\ntargets: ${'['.repeat(20_000)}\n`).message,
      /expected at most 100 values within one another/,
    );
  });

  test('has thousands of slips, without taking long to say so', () => {
    const line = (_line: unknown, at: number) =>
      `  - {name: l${at}, recordsMax: 1, match: {class: x}}`;
    const lines = Array.from({ length: 8_000 }, line).join('\n');
    // Of the process and not by the wall: a machine that is busy with others says nothing here.
    const before = process.cpuUsage();
    assert.match(problemOf(`version: 1\nlimits:\n${lines}\n`).message, /and 7980 more$/);
    const { user, system } = process.cpuUsage(before);
    assert.ok(user + system < 10_000_000, `${user + system} µs`);
  });

  test('is nested deeper than any configuration, before a parser takes it apart', () => {
    const deep = problemOf(`version: 1\nwrites: ${'['.repeat(200_000)}`);
    assert.match(deep.message, /:2:\d+: expected at most 100 values within one another/);
    assert.match(problemOf(`version: 1\nx: ${'- '.repeat(5_000)}`).message, /at most 100 values/);
    assert.match(problemOf(`a: ${'{a: '.repeat(101)}`).message, /at most 100 values/);
  });

  test('has aliases that multiply', () => {
    const level = (name: string, of: string) =>
      `${name}: &${name} [${Array.from({ length: 10 }, () => of).join(', ')}]\n`;
    const text =
      level('a', 'x') + level('b', '*a') + level('c', '*b') + level('d', '*c') + level('e', '*d');
    assert.match(problemOf(text).message, /expected at most 100 uses of aliases/);
  });
});

describe('a secret of a target', () => {
  const MESSAGE =
    /expected `\$\{env:NAME\}` or `\$\{file:PATH\}` for the secret in `targets\.crm\.\S+`, found it written out; move it there/;

  for (const [settings, place] of [
    ['url: "postgres://u:hunter2@db/crm"', '2:38'],
    ['url: postgres://u:hunter2@a:1,b:2/crm', '2:38'],
    ['url: "postgres://u:hunter2/#?:@db/crm"', '2:38'],
    ['url: "postgres://u:hunter2 @db/crm"', '2:38'],
    ['url: "jdbc:postgresql://u:hunter2@db/crm"', '2:38'],
    ['url: "postgres://db/crm?user=u&password=hunter2"', '2:38'],
    ['url: "host=db password = hunter2"', '2:38'],
    ['url: "postgres://u:${env:HALF}hunter2@db/crm"', '2:38'],
    ['replicas: ["${env:A}", "postgres://u:hunter2@db/crm"]', '2:56'],
    ['password: hunter2', '2:43'],
    ['password: "${env:HALF}hunter2"', '2:43'],
    ['clientSecret: hunter2', '2:47'],
    ['auth: {token: hunter2}', '2:47'],
    ['key: [hunter2]', '2:39'],
    ['apiKey: {value: hunter2}', '2:49'],
    ['password: 48617002', '2:43'],
  ] as const) {
    test(`does not load written out, and is not shown: ${settings}`, () => {
      const { message, at } = problemOf(
        `version: 1\ntargets: {crm: {kind: postgres, ${settings}}}\n`,
      );
      assert.match(message, MESSAGE);
      assert.equal(at, place);
      assert.ok(message.startsWith(`writegate.yaml:${place}: `));
      assert.doesNotMatch(message, /hunter2|48617002/);
    });
  }

  test('does not load written out in the address of the store either', () => {
    const { message, at } = problemOf('version: 1\nstore: {url: "postgres://u:hunter2@db/w"}\n');
    assert.match(message, /for the secret in `store\.url`, found it written out/);
    assert.doesNotMatch(message, /hunter2/);
    assert.equal(at, '2:14');
    const other = problemOf('version: 1\nstore: {url: 7, connectionsMax: 1}\n').message;
    assert.match(other, /for `store\.url`, found a number; put it in quotes/);
    assert.match(other, /a number of connections from 4 to 200 for `store\.connectionsMax`/);
    parse('version: 1\nstore: {url: "postgres://u:${env:P}@db/w", listenUrl: null}\n');
  });

  test('loads as a reference, whole or in part, and so does what only looks like one', () => {
    for (const settings of [
      'url: "${env:CRM_URL}"',
      'url: "${file:/run/secrets/crm@1:2}"',
      'url: "postgres://u:${env:PASSWORD}@db:5432/crm"',
      'url: "postgres://u:${file:/p}@${env:HOST}:5432/crm?sslmode=require"',
      'url: "postgres://u@db:5432/crm?application_name=a@b"',
      'url: "http://db:80/a@b:c"',
      'password: "${env:PASSWORD}"',
      'auth: {token: "${file:/token}", header: x-token}',
      'password: ""',
      'secret: null',
    ]) {
      const text = `version: 1\ntargets: {crm: {kind: postgres, ${settings}}}\n`;
      assert.equal(parse(text).targets.length, 1, settings);
    }
    assert.equal(parse('version: 1\ntargets: {key: {kind: token}}\n').targets.length, 1);
  });

  test('is not shown where it stands in the wrong place, or in what is no YAML', () => {
    const url = 'postgres://user-of-a-name-that-is-long:hunter2@db/crm';
    for (const text of [
      `mode: "${url}"\n`,
      `tenant: "${url}"\n`,
      `"${url}": 1\n`,
      `targets: {"${url}": {kind: postgres}}\n`,
      `targets: {crm: {kind: "${url}"}}\n`,
      `targets: "${url}"\n`,
      `agents: {bot: {owner: "${url}"}}\n`,
      `rules: [{id: a, effect: permit, reason: r, match: {target: "${url}"}}]\n`,
      `rules: [{id: a, effect: permit, reason: r, when: "args.x == '${url}' &&"}]\n`,
      `targets: {crm: {kind: postgres, url: "${url}}}\n`,
      `targets:\n  crm:\n    kind: postgres\n    url: |hunter2\n`,
      `targets:\n  crm:\n    kind: postgres\n    password: *hunter2\n`,
      `targets:\n  crm:\n    kind: postgres\n    password: !hunter2 x\n`,
      `targets:\n  crm: {kind: postgres, password: "x"hunter2}\n`,
      `targets:\n  crm:\n    kind: postgres\n    password: "x\n  hunter2\n`,
      `targets:\n  crm:\n    kind: postgres\n\tpassword: hunter2\n`,
      `targets:\n  crm:\n    kind: postgres\n    password: 'x' hunter2: y\n`,
    ]) {
      assert.doesNotMatch(problemOf(`version: 1\n${text}`).message, /hunter2/, text);
    }
  });
});

describe('the faults of a file', () => {
  test('are reported together, in the order of the file', () => {
    const { message, at } = problemOf(`version: 1
defaultRoute: f
rules:
  - {id: a, effect: forbid, reason: r, when: "1 +"}
  - {id: a, effect: forbid, reason: r}
limits: [{name: a}]
`);
    assert.equal(at, '2:15');
    assert.deepEqual(
      message.split('\n').map((line) => /^writegate\.yaml:(\d+):/.exec(line)?.[1]),
      ['2', '4', '5', '6'],
    );
  });

  test('are at most twenty, and it says how many more', () => {
    const lines = Array.from({ length: 25 }, (_line, at) => `  - {name: l${at}, recordsMax: 0}`);
    const found = problemOf(`version: 1\nlimits:\n${lines.join('\n')}\n`).message.split('\n');
    assert.equal(found.length, 21);
    assert.equal(found.at(-1), 'and 5 more');
  });
});

/** Every key that may be left out is there, or this does not compile. */
type Whole<Shape> = Shape extends readonly (infer Item)[]
  ? readonly Whole<Item>[]
  : Shape extends object
    ? { readonly [Key in keyof Shape]-?: Whole<Shape[Key]> }
    : Shape;

const EARLY = { agent: 'bot', environment: 'production', target: 'crm', operation: 'sql' } as const;
const MATCH = { ...EARLY, resource: 'public.a', class: 'update' } as const;
const { agent: _agent, ...PERMISSION } = MATCH;

const WHOLE: Whole<FileShape> = {
  version: 1,
  tenant: 'acme',
  environment: 'production',
  listen: '127.0.0.1:7878',
  allowedHosts: ['a.example'],
  store: { url: 'postgres://db/w', listenUrl: null, schema: 's', connectionsMax: 4 },
  mode: 'active',
  writes: { enabled: true },
  stop: { release: { quorum: 1, groups: ['finance'] } },
  targets: { crm: { kind: 'fake' } },
  people: { ann: { roles: ['approver', 'operator'], groups: ['finance'] } },
  agents: { bot: { owner: 'ann', permissions: [{ ...PERMISSION, tier: 'confirm' }] } },
  never: [{ name: 'n', match: MATCH, reason: 'r' }],
  dependents: [
    {
      name: 'd',
      target: 'crm',
      resource: 'public.a',
      dependsOn: ['d'],
      criticality: 'low',
      how: 'reads it',
    },
  ],
  limits: [
    {
      name: 'l',
      match: MATCH,
      recordsMax: 1,
      recordsPerResourceMax: 1,
      valueMax: { GBP: '1.00' },
      recipientsMax: 0,
      bytesMax: 1,
      amplificationMax: 0,
    },
  ],
  thresholds: [
    {
      name: 't',
      match: MATCH,
      recordsOver: 0,
      valueOver: { GBP: '1.00' },
      recipientsOver: 0,
      recordsPerResourceOver: 0,
      bytesOver: 0,
      amplificationOver: 0,
      riskOver: 0,
      route: 'f',
    },
  ],
  budgets: [{ name: 'b', match: MATCH, per: ['agent'], measure: 'writes', window: 'day', max: 1 }],
  rules: [{ id: 'r', effect: 'require', match: MATCH, when: 'true', reason: 'r', route: 'f' }],
  anomaly: {
    sensitivity: 'high',
    verdict: 'require',
    route: 'f',
    warmUp: 10,
    lines: [{ name: 'a', match: EARLY, sensitivity: 'off', verdict: 'forbid', route: 'f' }],
  },
  validations: [
    { name: 'v', match: MATCH, reason: 'r', holds: 'true', schema: true, check: 'SELECT true' },
  ],
  duplicates: { window: '1h', repeatable: [EARLY] },
  routes: { f: { steps: [{ groups: ['finance'], quorum: 1 }], expiresAfter: '1h' } },
  defaultRoute: 'f',
};

describe('the published schema', () => {
  type Node = { readonly [key: string]: unknown };
  const isNode = (value: unknown): value is Node => typeof value === 'object' && value !== null;

  function* nodes(value: unknown, path = '#'): Generator<readonly [string, Node]> {
    if (!isNode(value)) return;
    yield [path, value];
    for (const [key, child] of Object.entries(value)) yield* nodes(child, `${path}/${key}`);
  }

  test('is a schema', () => {
    const ajv = new Ajv2020({ strict: true, allowUnionTypes: true });
    assert.ok(ajv.validateSchema(schema), JSON.stringify(ajv.errors));
    assert.ok(!ajv.validateSchema({ ...schema, required: 'version' }), 'one that is none');
  });

  test('describes every key, and is closed but for the settings of targets', () => {
    for (const [path, node] of nodes(schema)) {
      const properties = node['properties'];
      if (!isNode(properties) || /\/(?:if|then|else)$/.test(path)) continue;
      for (const [key, property] of Object.entries(properties)) {
        assert.ok(
          isNode(property) && typeof property['description'] === 'string',
          `${path} ${key}`,
        );
      }
      const isOpen = /\/(?:target|postgres)(?:\/|$)/.test(path);
      assert.equal(node['additionalProperties'] === false, !isOpen, path);
    }
  });

  test('has the keys of the types that the loader reads, no more and no fewer', () => {
    const root = schema satisfies Node;
    const definitions = new Map<string, Node>(Object.entries(root.$defs));
    const resolved = (node: Node): Node => {
      const reference = node['$ref'];
      const name = typeof reference === 'string' ? reference.replace('#/$defs/', '') : '';
      return definitions.get(name) ?? node;
    };
    const compare = (value: unknown, node: Node, path: string): void => {
      const here = resolved(node);
      if (Array.isArray(value)) {
        const items = here['items'];
        if (isNode(items)) for (const item of value) compare(item, items, `${path}[]`);
        return;
      }
      const { properties, additionalProperties } = here;
      if (!isNode(value) || (!isNode(properties) && !isNode(additionalProperties))) return;
      if (isNode(properties) && additionalProperties === false) {
        assert.deepEqual(Object.keys(value).toSorted(), Object.keys(properties).toSorted(), path);
      }
      for (const [key, child] of Object.entries(value)) {
        const next = isNode(properties) ? properties[key] : additionalProperties;
        if (isNode(next)) compare(child, next, `${path}.${key}`);
      }
    };
    compare(WHOLE, root, '');
    const { holds, schema: asked, check, ...line } = WHOLE.validations[0] ?? {};
    const validations = [
      { ...line, name: 'v0', holds },
      { ...line, name: 'v1', schema: asked },
      { ...line, name: 'v2', check },
    ];
    assert.ok(parse(JSON.stringify({ ...WHOLE, validations })));
  });

  test('says what it expects of every value that can be wrong', () => {
    for (const [path, node] of nodes(schema)) {
      if (path === '#/$defs') continue;
      const constrains = ['type', 'enum', 'const', 'anyOf', 'pattern'].some((key) => key in node);
      if (
        !constrains ||
        /\/(?:if|then|else|examples|properties)(?:\/|$)/.test(
          path.replace(/\/properties\/[^/]+/g, ''),
        )
      )
        continue;
      assert.equal(typeof node['title'], 'string', path);
    }
  });
});

test('every example in the specification of the policy loads', () => {
  const specification = readFileSync(
    join(import.meta.dirname, '../../docs/spec/policy.md'),
    'utf8',
  );
  const examples = [...specification.matchAll(/^```yaml\n(?<text>.*?)^```/gms)];
  const whole = examples.filter((match) => match.groups?.['text']?.startsWith('version: 1'));
  assert.ok(whole.length >= 2);
  for (const { groups } of whole) assert.ok(parse(groups?.['text'] ?? ''));
});
