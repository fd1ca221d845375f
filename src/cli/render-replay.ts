/** What a candidate would have changed, for a person. */
import { moneyText } from '../lib/money.ts';
import type { Money } from '../model/plan.ts';
import type { ReplayExample, ReplayGroup, ReplayReport, ReplayVerdict } from '../model/replay.ts';
import { counted, field, heading, instant, nextCommands, paragraph, type Look } from './look.ts';
import { tableLines } from './table.ts';

/** Examples of one change that are shown; `--json` has more. */
const EXAMPLES_SHOWN = 3;

const SAYS: Readonly<Record<ReplayVerdict, string>> = {
  allow: 'allowed',
  wait: 'waits for people',
  deny: 'denied',
  observed: 'only observed',
};

export function replayLines(report: ReplayReport, look: Look): readonly string[] {
  const { candidate, groups, cutShort } = report;
  const which = candidate.isInForce ? 'the policy in force' : 'the candidate';
  return [
    ...heading(look, [
      [counted(report.changed, 'decision'), look.paint.bold],
      [`of ${report.proposals.toLocaleString('en-GB')} would change under ${which}`],
    ]),
    ...field(look, 'since', instant(report.since)),
    ...field(look, 'unchanged', report.unchanged.toLocaleString('en-GB')),
    ...report.notReplayed.flatMap(({ reason, proposals }) =>
      field(look, 'not known', `${counted(proposals, 'proposal')}: ${reason}`),
    ),
    ...(report.policies > 1
      ? field(look, 'decided by', `${report.policies} policies, one after the other`)
      : []),
    ...(candidate.mode === 'observe'
      ? paragraph(
          look,
          'the candidate only observes: replay it with --active to see what it would enforce',
        )
      : []),
    ...(cutShort === null
      ? []
      : paragraph(look, `cut short: ${cutShort}`, { paint: look.paint.yellow })),
    ...groups.flatMap((group) => groupLines(group, look)),
    ...nextCommands(look, nextOf(report)),
  ];
}

function groupLines(group: ReplayGroup, look: Look): readonly string[] {
  const { from, to, proposals, records, value, by, examples } = group;
  const shown = examples.slice(0, EXAMPLES_SHOWN);
  return [
    '',
    ...heading(look, [
      [`${SAYS[from]} → ${SAYS[to]}`, look.paint.bold],
      [counted(proposals, 'proposal')],
      [counted(records, 'row')],
      ...value.map((money): [string] => [amountText(money)]),
    ]),
    ...tableLines(
      look,
      ['by', 'code', 'proposals', 'rows'],
      by.map((line) => [
        line.rule,
        line.code,
        line.proposals.toLocaleString('en-GB'),
        line.records.toLocaleString('en-GB'),
      ]),
    ),
    ...shown.flatMap((example) => exampleLines(example, look)),
  ];
}

function exampleLines(example: ReplayExample, look: Look): readonly string[] {
  const { id, agent, target, headline, candidate } = example;
  return [
    ...paragraph(look, `${id}  ${agent} on ${target}: ${headline}`, { indent: '  ' }),
    ...paragraph(look, candidate.reason, { indent: '    ', paint: look.paint.dim }),
  ];
}

function amountText({ currency, amountMinor }: Money): string {
  return moneyText(BigInt(amountMinor), currency);
}

function nextOf({ groups }: ReplayReport): readonly string[] {
  const example = groups[0]?.examples[0];
  return example === undefined ? [] : [`writegate show ${example.id}`];
}
