/** Results, lists and freezes as text. */
import type { FreezeView, ProposalSummary } from '../model/api.ts';
import type { FreezeScope } from '../model/freeze.ts';
import type { State } from '../model/lifecycle.ts';
import type { Result } from '../model/result.ts';
import {
  counted,
  field,
  heading,
  instant,
  nextCommands,
  paragraph,
  shown,
  span,
  whole,
  type Look,
} from './look.ts';
import { differenceLines } from './render-difference.ts';
import { inert, pad } from '../lib/terminal.ts';

/** Lays out one result: state, headline, code and reason, digest, the next command. */
export function resultLines(result: Result, look: Look, now: number): readonly string[] {
  return [
    ...heading(look, [stateMark(result.state, look), [result.proposalId ?? 'nothing proposed']]),
    ...(result.headline === null
      ? []
      : paragraph(look, result.headline, { indent: '  ', paint: look.paint.bold })),
    ...field(look, 'decision', `${result.code}: ${result.reason}`),
    ...(result.planDigest === null ? [] : whole(look, 'plan', result.planDigest)),
    ...(result.replayed
      ? field(look, 'replayed', 'the first result again; nothing new was done')
      : []),
    ...stateLines(result, look, now),
    ...nextCommands(look, nextOf(result)),
  ];
}

function stateLines(result: Result, look: Look, now: number): readonly string[] {
  switch (result.state) {
    case 'applied':
      return [
        ...field(look, 'applied', instant(result.receipt.appliedAt)),
        ...whole(look, 'reference', result.receipt.reference),
        ...field(look, 'ledger', `entry ${result.receipt.ledgerIndex}`),
        ...whole(look, 'leaf', result.receipt.leafHash),
        ...(result.compensatedBy === null
          ? field(look, 'reversible', result.receipt.reversible)
          : whole(look, 'taken back', `by ${result.compensatedBy}`)),
      ];
    case 'waiting':
      return [
        ...field(look, 'until', deadline(result.expiresAt, now)),
        ...(result.difference === null ? [] : ['', ...differenceLines(result.difference, look)]),
      ];
    case 'stale':
      return ['', ...differenceLines(result.difference, look)];
    case 'denied':
      return result.duplicateOf === null ? [] : whole(look, 'first', result.duplicateOf);
    case 'refused':
      return result.conflicts.flatMap((conflict) => [
        ...paragraph(look, `${conflict.problem}: ${conflict.resource} ${conflict.key.join(', ')}`, {
          indent: '  ',
        }),
        ...conflict.columns.flatMap((column) =>
          paragraph(
            look,
            `${column.column}: ` +
              (column.before === undefined ? '' : `before the write ${shown(column.before)}, `) +
              `expected ${shown(column.expected)}, found ${shown(column.found)}`,
            { indent: '    ' },
          ),
        ),
      ]);
    case 'previewed':
      return field(look, 'would be', WOULD_BE[result.wouldBe]);
    default:
      return [];
  }
}

const WOULD_BE = {
  allow: 'allowed and applied at once',
  wait: 'held for people to decide',
  deny: 'denied',
} as const;

function deadline(expiresAt: number, now: number): string {
  return `${instant(expiresAt)}, ${span(expiresAt - now)} left; then nothing is written`;
}

function nextOf(result: Result): readonly string[] {
  const id = result.proposalId;
  if (id === null) return [];
  switch (result.state) {
    case 'waiting':
    case 'stale':
      return [`writegate show ${id}`, `writegate status ${id} --wait`];
    case 'proposed':
    case 'assessed':
    case 'allowed':
    case 'executing':
    case 'in_doubt':
      return [`writegate status ${id} --wait`];
    case 'applied':
      if (result.compensatedBy !== null) return [`writegate show ${result.compensatedBy}`];
      return result.receipt.reversible === 'one-way'
        ? [`writegate show ${id}`]
        : [`writegate rollback ${id}`];
    case 'denied':
      return [`writegate show ${result.duplicateOf ?? id}`];
    case 'refused':
    case 'expired':
    case 'cancelled':
      return [`writegate show ${id}`];
    case 'previewed':
      return [];
  }
}

/** The state as a word that stands out: a part of a heading. */
export function stateMark(
  state: State | 'previewed',
  look: Look,
): readonly [text: string, paint: (text: string) => string] {
  const word = state.replace('_', ' ');
  switch (state) {
    case 'applied':
      return [word, look.paint.green];
    case 'denied':
    case 'refused':
    case 'in_doubt':
      return [word, look.paint.red];
    case 'waiting':
    case 'stale':
      return [word, look.paint.yellow];
    default:
      return [word, look.paint.bold];
  }
}

/** Lays out a page of proposals, each with the command that opens it. */
export function listLines(
  items: readonly ProposalSummary[],
  look: Look,
  now: number,
): readonly string[] {
  return items.flatMap((item) => [
    ...heading(look, [
      [item.id],
      stateMark(item.state, look),
      [`${span(now - item.proposedAt)} ago`, look.paint.dim],
    ]),
    ...paragraph(look, item.headline ?? `${item.operation} on ${item.target}, not measured`, {
      indent: '  ',
      paint: look.paint.bold,
    }),
    ...paragraph(look, summaryTail(item, now), { indent: '  ' }),
  ]);
}

function summaryTail(item: ProposalSummary, now: number): string {
  const parts = [`by ${item.agent}`, `on ${item.target}`];
  if (item.riskLevel !== null) parts.push(`risk ${item.riskLevel}`);
  if (item.code !== null) parts.push(item.code);
  if (item.state === 'waiting' && item.expiresAt !== null) {
    parts.push(`${span(item.expiresAt - now)} left`);
  }
  if (item.compensates !== null) parts.push(`takes back ${item.compensates}`);
  if (item.compensatedBy !== null) parts.push(`taken back by ${item.compensatedBy}`);
  return parts.join(' · ');
}

/** `everything`, `the tenant`, or `agent ledger-bot`. */
export function scopeText(scope: FreezeScope): string {
  switch (scope.kind) {
    case 'all':
      return 'everything';
    case 'tenant':
      return 'the tenant';
    default:
      return `${scope.kind} ${scope.name}`;
  }
}

/** Lays out freezes, one block each. */
export function freezeLines(freezes: readonly FreezeView[], look: Look): readonly string[] {
  return freezes.flatMap((freeze) => [
    ...heading(look, [
      [freeze.id],
      freeze.releasedAt === null ? ['stopped', look.paint.red] : ['released', look.paint.green],
      [scopeText(freeze.scope)],
    ]),
    ...field(look, 'reason', freeze.reason),
    ...field(look, 'by', `${whoText(freeze)} at ${instant(freeze.at)}`),
    ...voiceLines(freeze, look),
  ]);
}

/** Who spoke for the release; of one voice that was enough nothing needs to be said. */
function voiceLines({ voices, release, releasedAt }: FreezeView, look: Look): readonly string[] {
  if (voices.length === 0 && release.quorum === 1) return [];
  const count = releasedAt === null ? `${release.spoken} of ${release.quorum}` : 'released';
  const names = voices.map(whoText).join(', ');
  return field(look, 'release', names === '' ? `${count} have spoken` : `${count}: ${names}`);
}

function whoText({ by, source }: { readonly by: string; readonly source?: 'file' }): string {
  return source === 'file' ? `the file of ${by}` : by;
}

/** Lays out a table of two columns. */
export function pairLines(pairs: readonly (readonly [string, string])[]): readonly string[] {
  const width = Math.max(...pairs.map(([left]) => left.length), 0);
  return pairs.map(([left, right]) => `  ${pad(inert(left), width)}  ${inert(right)}`);
}

/** `3 proposals wait`. */
export function waitingSentence(count: number, isMore: boolean): string {
  const proposals = counted(count, 'proposal');
  return `${proposals} ${count === 1 ? 'waits' : 'wait'} for a decision${isMore ? ', and there are more' : ''}`;
}
