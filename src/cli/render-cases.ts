/** How cases turned out, for a person: what is not as expected first, and side by side. */
import type { CaseResult, CasesReport, Verdict } from '../gate/cases.ts';
import { inert } from '../lib/terminal.ts';
import { counted, heading, paragraph, type Look } from './look.ts';
import { tableLines } from './table.ts';

export function casesLines(
  { cases, passed, failed, coverage }: CasesReport,
  look: Look,
): readonly string[] {
  const wrong = cases.filter(({ isAsExpected }) => !isAsExpected);
  const { silent, lines, spoke } = coverage;
  return [
    ...wrong.flatMap((each) => wrongLines(each, look)),
    ...heading(look, [
      [counted(cases.length, 'case'), look.paint.bold],
      [`${passed} as expected`, look.paint.green],
      ...(failed === 0 ? [] : [[`${failed} not`, look.paint.red] as const]),
    ]),
    ...paragraph(look, `${spoke} of ${counted(lines, 'line')} of the policy spoke`),
    ...tableLines(
      look,
      ['silent', 'why'],
      silent.map(({ rule, isAbout }) => [
        rule,
        isAbout ? 'cases are about it, in none it speaks' : 'no case is about it',
      ]),
    ),
  ];
}

function wrongLines({ name, at, expected, found }: CaseResult, look: Look): readonly string[] {
  return [
    ...paragraph(look, name, { paint: look.paint.red }),
    // Never broken: it is clicked on, or copied.
    look.paint.dim(`  ${inert(at)}`),
    ...tableLines(look, ['', 'expected', 'found'], rowsOf(expected, found)),
    ...paragraph(look, found.reason, { indent: '  ' }),
    '',
  ];
}

/** What the case asks about; what agrees is shown too where something else does not. */
function rowsOf(expected: Verdict, found: Verdict): readonly (readonly string[])[] {
  return (['decision', 'rule', 'code', 'route'] as const)
    .filter((member) => expected[member] !== undefined || found[member] !== undefined)
    .map((member) => {
      const [wanted, got] = [expected[member] ?? '(any)', found[member] ?? '(none)'];
      const isSame = expected[member] === undefined || wanted === got;
      return [`${isSame ? ' ' : '≠'} ${member}`, wanted, got];
    });
}
