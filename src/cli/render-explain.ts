/** What an agent may do, for a person. */
import {
  ALLOWANCES,
  type Allowance,
  type ExplainedRow,
  type Explanation,
  type TierCount,
} from '../policy/explain/explained.ts';
import { counted, field, heading, paragraph, type Look } from './look.ts';
import { tableLines } from './table.ts';

/** What is printed: the explanation, and what it was made from. */
export interface ExplainAnswer extends Explanation {
  /** Whether a gateway said what its targets have; else why not. */
  readonly source:
    | { readonly kind: 'gateway'; readonly isInForce: boolean }
    | { readonly kind: 'file'; readonly why: string };
}

/** Names of a row that are listed one by one; the rest is counted, `--json` has them all. */
const NAMES_MAX = 6;

const MEANS = {
  autonomous: 'writes on its own, within the lines below',
  confirm: 'people decide each write',
  'read-only': 'may look where it says read; proposes nothing of it',
  denied: 'not permitted: no line lets it, or a rule forbids it',
  never: 'nobody can let it',
} as const;

export function explanationLines(answer: ExplainAnswer, look: Look): readonly string[] {
  const { agent, owner, environment, mode } = answer;
  return [
    ...heading(look, [
      [agent, look.paint.bold],
      [`in ${environment}`],
      [owner === null ? 'no owner' : `owner ${owner}`],
    ]),
    ...(mode === 'observe'
      ? paragraph(look, 'the policy only observes: nothing of this is let through yet', {
          paint: look.paint.yellow,
        })
      : []),
    '',
    ...answer.counts.flatMap((each) => field(look, each.tier, countText(each))),
    ...ALLOWANCES.flatMap((allows) => allowanceLines(answer, allows, look)),
    ...lineLines(answer, look),
    '',
    ...paragraph(look, sourceText(answer), { paint: look.paint.dim }),
  ];
}

function countText({ lines, resources }: TierCount): string {
  const over = resources === null ? '' : ` over ${counted(resources, 'resource')}`;
  return `${counted(lines, 'line')}${over}`;
}

function allowanceLines({ rows }: ExplainAnswer, allows: Allowance, look: Look): readonly string[] {
  const these = rows.filter((row) => row.allows === allows);
  if (these.length === 0) return [];
  return [
    '',
    ...heading(look, [[allows, look.paint.bold], [MEANS[allows]]]),
    ...tableLines(
      look,
      ['classes', 'resources', 'operations', 'by'],
      these.map((row) => [
        row.classes.join(', '),
        resourcesText(row),
        namesText(row.operations, 'operations'),
        becauseText(row),
      ]),
    ),
  ];
}

/** Of what no line names there is none to point to. */
function becauseText({ because }: ExplainedRow): string {
  const isOwn = because.startsWith('agents.') && !because.includes('.permissions[');
  return isOwn ? 'no line' : because;
}

function resourcesText(row: ExplainedRow): string {
  return `${row.target}: ${namesText(row.resources, 'resources')}`;
}

function namesText(names: readonly string[], noun: string): string {
  if (names.length === 0) return 'none';
  const isRest = names.includes('*');
  const named = names.filter((name) => name !== '*');
  if (named.length === 0) return 'any';
  const shown = named.slice(0, NAMES_MAX);
  const left = named.length - shown.length;
  const more = left === 0 ? '' : ` and ${left.toLocaleString('en-GB')} more`;
  return `${shown.join(', ')}${more}${isRest ? `, other ${noun}` : ''}`;
}

/** Each line that can speak about what is not refused already, once. */
function lineLines({ rows, lines }: ExplainAnswer, look: Look): readonly string[] {
  const speaking = new Set(rows.flatMap((row) => row.speaking));
  const shown = lines.filter(({ rule }) => speaking.has(rule));
  if (shown.length === 0) return [];
  return [
    '',
    ...heading(look, [['lines that can speak', look.paint.bold]]),
    ...tableLines(
      look,
      ['line', 'says', 'of'],
      shown.map(({ rule, says }) => [rule, says, ofText(rows, rule)]),
    ),
  ];
}

/** The kinds of write that a line can speak about, where it is not all that are let through. */
function ofText(rows: readonly ExplainedRow[], rule: string): string {
  const open = rows.filter(({ speaking }) => speaking.length > 0);
  const these = open.filter(({ speaking }) => speaking.includes(rule));
  if (these.length === open.length) return '';
  return these.map((row) => `${row.classes.join(', ')} of ${resourcesText(row)}`).join('; ');
}

function sourceText({ source, isOverResources }: ExplainAnswer): string {
  const indirect =
    'What triggers and cascades change elsewhere can make further lines speak: limits, thresholds, budgets, never, forbid and require.';
  if (source.kind === 'file') {
    return `From the file alone (${firstClause(source.why)}): patterns stand for what the targets have; where two mean one table, the stronger tier counts. ${indirect}`;
  }
  const of = source.isInForce ? 'the policy in force' : 'the file, which is not in force';
  const rest = isOverResources ? '' : ' Not every target could say what it has.';
  return `From ${of}, over what the gateway says its targets have.${rest} ${indirect}`;
}

/** Why no gateway was asked, without what to do about it. */
function firstClause(text: string): string {
  return text.split(/[;?]/)[0] ?? text;
}
