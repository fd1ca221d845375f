import { styleText } from 'node:util';
import type { ProposalView } from '../src/model/api.ts';
import type { PlanDifference } from '../src/model/plan.ts';
import type { Story, Telling } from './story.ts';

type Style = Parameters<typeof styleText>[0];

const STATE_STYLES: Readonly<Record<string, Style>> = {
  applied: 'green',
  waiting: 'yellow',
  stale: 'yellow',
  denied: 'red',
  refused: 'red',
  in_doubt: 'magenta',
};

const WIDTH_MAX = 100;
const LABEL_WIDTH = 10;

/** Prints stories for a person; `silent` where the output is for a program. */
export function openPrinter(
  write: (text: string) => void,
  silent: boolean,
  look: (proposalId: string) => Promise<ProposalView>,
) {
  const paint = (style: Style, text: string): string =>
    styleText(style, text, { stream: process.stdout });
  const line = (text = ''): void => {
    if (!silent) write(`${text}\n`);
  };
  const labelled = (label: string, text: string, style?: Style): void => {
    const width = Math.min(process.stdout.columns ?? WIDTH_MAX, WIDTH_MAX) - LABEL_WIDTH - 2;
    const [first = '', ...rest] = wrap(text, width);
    const shown = (part: string): string => (style === undefined ? part : paint(style, part));
    line(`  ${paint('dim', label.padEnd(LABEL_WIDTH))}${shown(first)}`);
    for (const part of rest) line(`  ${' '.repeat(LABEL_WIDTH)}${shown(part)}`);
  };
  const telling: Telling = {
    asked: (who, what) => labelled(who === 'crm-agent' ? 'agent' : who.replace('-agent', ''), what),
    async answered(result) {
      const view = result.proposalId === null ? null : await look(result.proposalId);
      if (result.headline !== null) labelled('measured', result.headline, 'bold');
      if (result.state === 'stale') {
        labelled('stale', `${result.code}: ${result.reason}`);
        for (const row of result.difference.rowsMoved) labelled('', movedRow(row), 'dim');
      } else if (view?.decision) {
        const { code, reason, settledBy } = view.decision;
        labelled('decided', `${code} by \`${settledBy}\`: ${reason}`);
      } else {
        labelled('decided', `${result.code}: ${result.reason}`);
      }
      if (result.state === 'applied') {
        const { ledgerIndex, reference } = result.receipt;
        labelled('receipt', `entry ${ledgerIndex} of the ledger, transaction ${reference}`);
      }
      const again = result.replayed ? ' (the first result again)' : '';
      labelled('result', `${result.state}${again}`, STATE_STYLES[result.state] ?? 'bold');
    },
    noted: (text) => labelled('', text, 'dim'),
  };
  return {
    line,
    paint,
    telling,
    heading(position: number, story: Story): void {
      line();
      line(paint('bold', `${position}. ${story.title}`));
    },
    ending(story: Story, actual: string, ms: number): void {
      const isRight = actual === story.expected;
      const mark = isRight ? paint('green', '✔') : paint('red', '✘');
      line(`  ${mark} ${paint('dim', `${actual} (${Math.round(ms)} ms)`)}`);
      if (!isRight) line(`    ${paint('red', `it must end: ${story.expected}`)}`);
    },
  };
}

export type Printer = ReturnType<typeof openPrinter>;

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let current = '';
  for (const word of text.split(' ')) {
    if (current !== '' && current.length + 1 + word.length > width) {
      lines.push(current);
      current = word;
    } else {
      current = current === '' ? word : `${current} ${word}`;
    }
  }
  return [...lines, current];
}

function movedRow(row: PlanDifference['rowsMoved'][number]): string {
  const columns = row.columns.map(
    ({ column, image, shown, now }) => `${column} ${image}: shown ${shown}, now ${now}`,
  );
  return `${row.resource} ${row.key.join(', ')}: ${columns.join('; ')}`;
}
