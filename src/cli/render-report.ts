/** What is known of a target before an agent writes to it: findings, what it can do, its tables. */
import type { Examination, TableReport } from '../main/onboard.ts';
import { inert } from '../lib/terminal.ts';
import { counted, field, paragraph, type Look } from './look.ts';

/** Whether a finding keeps the target from being opened. */
export function isShut({ findings }: Examination): boolean {
  return findings.some((each) => each.severity === 'refuse' && !each.isAccepted);
}

/** Lays out findings, worst first with the fix of each, then what the set-up gives, then the tables. */
export function examinationLines(examination: Examination, look: Look): readonly string[] {
  const { target, findings, abilities, tables } = examination;
  const isOpen = !isShut(examination);
  const verdict = isOpen
    ? `${look.paint.green('opens')}  ${inert(target)}`
    : `${look.paint.red('stays shut')}  ${inert(target)}`;
  return [
    '',
    verdict,
    ...findings.flatMap((each) => findingLines(each, look)),
    '',
    look.paint.bold('What the set-up gives'),
    ...abilities.flatMap(({ name, isThere, text }) =>
      field(
        look,
        `${isThere ? '✓' : '–'} ${LABELS[name]}`,
        text,
        isThere ? undefined : look.paint.yellow,
      ),
    ),
    ...tableLines(tables, look),
  ];
}

const LABELS: Readonly<Record<Examination['abilities'][number]['name'], string>> = {
  pooling: 'pooling',
  reads: 'reads',
  evidence: 'evidence',
  compensation: 'take back',
  receipts: 'receipts',
  attribution: 'functions',
};

function findingLines(
  { code, severity, isAccepted, message, fix }: Examination['findings'][number],
  look: Look,
): readonly string[] {
  const mark = isAccepted ? 'accepted' : severity === 'refuse' ? 'refuse' : 'note';
  const paint = mark === 'refuse' ? look.paint.red : look.paint.yellow;
  const fixed = fix.kind === 'sql' ? `${fix.sql};` : fix.text;
  return [
    '',
    `${paint(mark)}  ${code}`,
    ...paragraph(look, message, { indent: '  ' }),
    ...paragraph(look, `fix: ${fixed}`, { indent: '  ', paint: look.paint.dim }),
  ];
}

const ORDER = { 'one-way': 0, conditional: 1, proved: 2 } as const;

/** Tables of which nothing is to be said but that they have a key are named together, at the end. */
function tableLines(tables: readonly TableReport[], look: Look): readonly string[] {
  const sorted = tables.toSorted(
    (a, b) => ORDER[a.reversibility.kind] - ORDER[b.reversibility.kind],
  );
  const plain = sorted.filter(isPlain);
  const others = sorted.filter((each) => !isPlain(each));
  return [
    '',
    look.paint.bold(`Tables, ${counted(tables.length, 'of them', 'of them')}`),
    ...others.flatMap((each) => tableReportLines(each, look)),
    ...(plain.length === 0
      ? []
      : [
          '',
          ...field(
            look,
            'proved',
            `${plain.length === tables.length ? 'all have' : `${plain.length} have`} a key and nothing that acts beside the write: ${plain.map(({ table }) => table).join(', ')}`,
          ),
        ]),
  ];
}

function isPlain(table: TableReport): boolean {
  return (
    table.isGoverned &&
    table.reversibility.kind === 'proved' &&
    table.triggers.length + table.cascades.length + table.rules.length + table.parts === 0 &&
    table.rowSecurity === 'off'
  );
}

function tableReportLines(table: TableReport, look: Look): readonly string[] {
  const { reversibility: can } = table;
  const paint = { 'one-way': look.paint.red, conditional: look.paint.yellow, proved: undefined };
  const kind = table.kind === 'table' ? '' : `  ${table.kind}`;
  const reached = table.isGoverned ? '' : '  (reached, not governed)';
  const line = (label: string, texts: readonly string[]): readonly string[] =>
    texts.flatMap((text, place) => field(look, place === 0 ? label : '', text));
  return [
    '',
    ...paragraph(look, `${table.table}${kind}${reached}`, { paint: look.paint.bold }),
    ...field(look, 'take back', `${can.kind}: ${can.reason}`, paint[can.kind]),
    ...field(look, 'key', table.key.length === 0 ? 'none' : table.key.join(', ')),
    ...line('part of', table.partOf),
    ...line(
      'parts',
      table.parts === 0
        ? []
        : [counted(table.parts, 'partition or child', 'partitions or children')],
    ),
    ...line('triggers', table.triggers.map(triggerText)),
    ...line(
      'cascades',
      table.cascades.map(
        ({ resource, onDelete, onUpdate, constraint }) =>
          `${resource}: on delete ${onDelete}, on update ${onUpdate} (${constraint})`,
      ),
    ),
    ...line('rules', table.rules),
    ...line(
      'row security',
      table.rowSecurity === 'off'
        ? []
        : [`${table.rowSecurity}: ${table.policies.join(', ') || 'no policy, so no row is seen'}`],
    ),
    ...line('computed', table.generated.length === 0 ? [] : [table.generated.join(', ')]),
    ...line(
      'functions',
      table.functions
        .filter((each) => !each.via.startsWith('trigger') || each.via.includes('→'))
        .map(functionText),
    ),
    ...line('outside', outside(table)),
  ];
}

function triggerText(trigger: TableReport['triggers'][number]): string {
  const when = `${trigger.timing} ${trigger.events.join(', ')}`;
  const rights = trigger.isDefiner ? `, with the rights of ${trigger.owner}` : '';
  const sets = trigger.columns.length === 0 ? '' : `, sets ${trigger.columns.join(', ')}`;
  return `${trigger.name}: ${when} → ${trigger.function} (${trigger.language}${rights})${sets}`;
}

function functionText(called: TableReport['functions'][number]): string {
  const rights = called.isDefiner ? `, with the rights of ${called.owner}` : '';
  return `${called.via} → ${called.name} (${called.language}${rights})`;
}

function outside(table: TableReport): readonly string[] {
  return table.functions.flatMap((called) => {
    if (called.reachesOut !== null) return [`${called.name} ${called.reachesOut}`];
    if (!called.isTrusted) return [`${called.name} is written in ${called.language}`];
    return called.isDynamic ? [`${called.name} builds statements out of text`] : [];
  });
}
