/** The files that `init` writes: sensible bounds with a reason beside each, and cases that show them. */
import type { Pack } from './init/pack.ts';
import type { Profile } from './init/profile.ts';

export interface TemplateOptions {
  /** The person who operates, approves and changes the policy. */
  readonly person: string;
  readonly agent: string;
  /** Where the target's URL comes from: `${env:…}` or `${file:…}`, never the URL itself. */
  readonly urlReference: string;
  readonly profile: Profile;
  readonly pack: Pack;
}

/** Writes the text of `writegate.yaml`. */
export function configurationTemplate(options: TemplateOptions): string {
  return `${headText(options)}
${peopleText(options)}
${linesText(options)}`;
}

function headText({ urlReference, profile, pack }: TemplateOptions): string {
  return `# What agents may write, and who must agree. The gateway reads this file again when it
# changes. While it does not load, or is weaker than what is in force and nobody ran
# \`writegate policy apply\`, the last good version stays in force.
# Profile ${profile.name}: ${profile.says}.
version: 1
environment: production
listen: 127.0.0.1:7878

# ${profile.modeSays}
mode: ${profile.mode}

targets:
${pack.settings(urlReference)}`;
}

function peopleText({ person, agent, profile, pack }: TemplateOptions): string {
  const name = JSON.stringify(person);
  return `people:
  ${name}:
    # An operator configures and stops; only an approver decides on what waits; policy lets a weaker
    # version of this file into force (\`writegate policy apply\`), which no other role does.
    roles: [operator, approver, policy]

agents:
  ${agent}:
    # The person who answers for the agent. They may not approve what it proposes, so name one
    # once a second person can.
    # owner: ${name}
    permissions:
      # ${profile.tierSays}
      - {target: ${pack.target}, class: [create, update], tier: ${profile.tier}}
`;
}

function linesText({ profile, pack }: TemplateOptions): string {
  return `# What nobody may do, whoever agrees. Deletes are refused as well unless a permission names them
# with tier confirm; dropping and truncating is refused whatever this file says.
never:
${pack.never}
rules:
  - id: routine-writes
    effect: permit
    match: {target: ${pack.target}, class: [create, update]}
    reason: routine inserts and updates
${pack.rules}
# Hard bounds on what a write was measured to do. No approval lifts them.
limits:
  - name: records
    recordsMax: ${profile.recordsMax}
  - name: value
    valueMax: {GBP: "${profile.valueMax}"}

# Over one of these, people decide.
thresholds:
  - name: many-records
    recordsOver: ${profile.recordsOver}
  - name: large-value
    valueOver: {GBP: "${profile.valueOver}"}

# Bounds on what each agent writes in any minute, hour or day.
budgets:
  - {name: writes-per-minute, per: agent, measure: writes, window: minute, max: ${profile.perMinute}}
  - {name: records-per-hour, per: agent, measure: records, window: hour, max: ${profile.perHour}}
  - {name: records-per-day, per: agent, measure: records, window: day, max: ${profile.perDay}}

# The same arguments again within the window are a duplicate, not a second write.
duplicates:
  window: ${profile.duplicateWindow}

# Who must agree. Steps are asked in order; quorum counts distinct people.
routes:
  default:
    steps:
      - {quorum: 1}
    expiresAfter: ${profile.expiresAfter}
`;
}

/** Writes the text of the cases beside it: every line speaks in one of them. */
export function casesTemplate({ agent, profile, pack }: TemplateOptions): string {
  const write = (name: string, more: string, expect: string): string => `  - name: ${name}
    agent: ${agent}
    target: ${pack.target}
    resource: ${pack.resource}
${more}    expect: ${expect}
`;
  const { recordsMax, recordsOver, perMinute, perHour, perDay } = profile;
  const small = profile.tier === 'autonomous' ? 'allow' : 'wait';
  return `# yaml-language-server: $schema=node_modules/writegate/schema/policy-tests.schema.json
# What writegate.yaml must decide; \`writegate policy test\` holds it to that. A case that says no more
# is one record, proved to be taken back, of no value, at noon on a Monday.
version: 1
cases:
${write('a small correction', '    class: update\n', small)}${write(
    'many rows at once wait for people',
    `    class: update\n    records: ${recordsOver + 1}\n`,
    'wait\n    rule: ' +
      (small === 'wait' ? `agents.${agent}.permissions[0]` : 'thresholds.many-records'),
  )}${write(
    'more rows than anybody may let through',
    `    class: update\n    records: ${recordsMax + 1}\n`,
    'deny\n    rule: limits.records',
  )}${write(
    'a large sum waits for people',
    `    class: update\n    value: {GBP: "${cents(profile.valueOver)}"}\n`,
    'wait',
  )}${write(
    'a sum over the limit',
    `    class: update\n    value: {GBP: "${cents(profile.valueMax)}"}\n`,
    'deny\n    rule: limits.value',
  )}${write('a delete that no line names', '    class: delete\n', 'deny\n    rule: never.delete')}${write(
    'one write too many in a minute',
    `    class: create\n    used: {writes-per-minute: ${perMinute}}\n`,
    'deny\n    rule: budgets.writes-per-minute',
  )}${write(
    'rows over the hour',
    `    class: create\n    used: {records-per-hour: ${perHour}}\n`,
    'deny\n    rule: budgets.records-per-hour',
  )}${write(
    'rows over the day',
    `    class: create\n    used: {records-per-day: ${perDay}}\n`,
    'deny\n    rule: budgets.records-per-day',
  )}${pack.cases(agent)}`;
}

/** A hundredth more. */
function cents(amount: string): string {
  return amount.replace(/\.00$/, '.01');
}
