/** What a person reads before deciding; nothing in it is cut without saying how much is left. */
import type { ProposalView } from '../model/api.ts';
import type { Approval, Decision, Finding } from '../model/decision.ts';
import { isTerminal } from '../model/lifecycle.ts';
import type { Assessment, Attribution, Effect, Plan, ResourceCount } from '../model/plan.ts';
import type { JsonObject } from '../lib/json.ts';
import { moneyText } from '../lib/money.ts';
import { inert, inertJson } from '../lib/terminal.ts';
import {
  counted,
  field,
  instant,
  nextCommands,
  paragraph,
  quoted,
  shown,
  span,
  whole,
  type Look,
} from './look.ts';
import { differenceLines, effectName } from './render-difference.ts';
import { stateMark } from './render-result.ts';

/** Rows on one page of `show`. */
export const PAGE_ROWS = 25;

/** Which rows to print: one page, counted from 1, or all. */
export type RowsShown = { readonly kind: 'all' } | { readonly kind: 'page'; readonly page: number };

/** Lays out a proposal: sentence, counts, why held, rows, reversibility, provenance, digest. */
export function planLines(
  view: ProposalView,
  look: Look,
  options: { readonly now: number; readonly rows: RowsShown },
): readonly string[] {
  return [
    `${stateMark(view.state, look)}  ${inert(view.id)}`,
    ...paragraph(look, view.headline ?? 'nothing was measured', { paint: look.paint.bold }),
    ...(view.assessment === null ? [] : measureLines(view.assessment, look, options.now)),
    ...(view.decision === null ? [] : decisionLines(view.decision, view, look)),
    ...(view.drift === null ? [] : ['', ...differenceLines(view.drift.difference, look)]),
    ...(view.assessment === null
      ? []
      : rowLines(view.assessment.plan, view.id, look, options.rows)),
    ...provenanceLines(view, look),
    ...settledLines(view, look),
    ...nextCommands(look, nextOf(view)),
  ];
}

function measureLines(assessment: Assessment, look: Look, now: number): readonly string[] {
  const { plan, blastRadius, risk } = assessment;
  const isOneWay = plan.reversibility.kind === 'one-way';
  const reversible = field(
    look,
    'reversible',
    `${plan.reversibility.kind}: ${plan.reversibility.reason}`,
    isOneWay ? look.paint.red : undefined,
  );
  return [
    ...(isOneWay ? reversible : []),
    ...countLines(plan.counts, look),
    ...plan.value.flatMap((value) =>
      field(look, 'value', moneyText(BigInt(value.amountMinor), value.currency)),
    ),
    ...(plan.valueComplete ? [] : field(look, 'value', 'not all of it could be measured')),
    ...(plan.recipients === 0 ? [] : field(look, 'recipients', String(plan.recipients))),
    ...(isOneWay ? [] : reversible),
    ...field(look, 'risk', `${risk.score} of 100, ${risk.level}`),
    ...risk.terms.flatMap((term) =>
      field(look, '', `${term.name} ${term.value.toFixed(2)}: ${term.reason}`),
    ),
    ...(blastRadius.recordsIndirect === 0
      ? []
      : field(
          look,
          'spread',
          `${counted(blastRadius.recordsIndirect, 'indirect row')} for ${counted(blastRadius.recordsDirect, 'direct one')}`,
        )),
    ...plan.dependents.flatMap((dependent) => field(look, 'depends', dependent)),
    ...plan.warnings.flatMap((warning) => field(look, 'warning', warning, look.paint.yellow)),
    ...field(look, 'measured', `${span(now - assessment.assessedAt)} ago`),
  ];
}

const INDIRECT: Readonly<Record<Exclude<Attribution, 'direct'>, string>> = {
  cascade: 'by cascade',
  rule: 'by rule',
  trigger: 'by trigger',
  indirect: 'indirectly',
};

/** Deletes first, then updates, then inserts; what the statement names apart from its consequences. */
function countLines(counts: readonly ResourceCount[], look: Look): readonly string[] {
  const direct = counts.filter((count) => count.attribution === 'direct');
  const indirect = counts.filter((count) => count.attribution !== 'direct');
  return [
    ...byDeletes(direct).flatMap((count) => countLine(count, 'changes', look)),
    ...byDeletes(indirect).flatMap((count) => countLine(count, 'also', look)),
  ];
}

function byDeletes(counts: readonly ResourceCount[]): readonly ResourceCount[] {
  return counts.toSorted(
    (left, right) =>
      right.deleted - left.deleted || right.updated - left.updated || right.created - left.created,
  );
}

function countLine(count: ResourceCount, label: string, look: Look): readonly string[] {
  const parts = [
    [count.deleted, 'deleted'],
    [count.updated, 'updated'],
    [count.created, 'created'],
  ] as const;
  const tally = parts
    .filter(([rows]) => rows > 0)
    .map(([rows, verb]) => `${rows.toLocaleString('en-GB')} ${verb}`)
    .join(', ');
  const how = count.attribution === 'direct' ? '' : ` ${INDIRECT[count.attribution]}`;
  const via = count.via === null ? '' : ` (${count.via})`;
  const text = `${count.resource}: ${tally === '' ? 'no rows' : tally}${how}${via}`;
  return field(look, label, text, count.deleted > 0 ? look.paint.red : undefined);
}

function decisionLines(decision: Decision, view: ProposalView, look: Look): readonly string[] {
  const title = view.state === 'waiting' ? 'Why it was held' : 'Decision';
  return [
    '',
    look.paint.bold(title),
    ...field(look, 'settled', `${decision.code}: ${decision.reason} (${decision.settledBy})`),
    ...decision.findings
      .filter((finding) => finding.rule !== decision.settledBy)
      .flatMap((finding) =>
        field(look, VERDICT[finding.verdict], `${finding.reason} (${finding.rule})`),
      ),
    ...routeLines(decision, look),
    ...view.approvals.flatMap((approval) => approvalLines(approval, view, look)),
    ...whole(look, 'policy', decision.policyDigest),
  ];
}

function approvalLines(approval: Approval, view: ProposalView, look: Look): readonly string[] {
  const label = approval.verdict === 'approve' ? 'approved' : 'denied';
  const earlier =
    approval.planDigest === view.planDigest ? '' : ', an earlier plan: it counts no more';
  const reason = approval.reason === null ? '' : `: ${approval.reason}`;
  return field(look, label, `by ${approval.person} at ${instant(approval.at)}${earlier}${reason}`);
}

const VERDICT: Readonly<Record<Finding['verdict'], string>> = {
  deny: 'denies',
  wait: 'holds',
  allow: 'allows',
};

function routeLines(decision: Decision, look: Look): readonly string[] {
  if (decision.kind !== 'wait') return [];
  return decision.route.flatMap((step, position) =>
    field(
      look,
      position === 0 ? 'asks' : 'then',
      `${counted(step.quorum, 'person', 'people')} of ${step.groups.length === 0 ? 'any approver' : step.groups.join(', ')}`,
    ),
  );
}

function rowLines(plan: Plan, id: string, look: Look, rows: RowsShown): readonly string[] {
  const { effects } = plan;
  if (effects.length === 0 && plan.effectsOmitted === 0) return [];
  const from = rows.kind === 'all' ? 0 : (rows.page - 1) * PAGE_ROWS;
  const to = rows.kind === 'all' ? effects.length : Math.min(from + PAGE_ROWS, effects.length);
  const total = effects.length + plan.effectsOmitted;
  const title =
    from >= to
      ? `Rows: none on this page, ${total.toLocaleString('en-GB')} in all`
      : `Rows ${from + 1} to ${to} of ${total.toLocaleString('en-GB')}, direct`;
  return [
    '',
    look.paint.bold(title),
    ...effects.slice(from, to).flatMap((effect) => effectLines(effect, plan, look)),
    ...leftLines(plan, { id, to, page: rows.kind === 'page' ? rows.page : 0 }, look),
  ];
}

function leftLines(
  plan: Plan,
  shownRows: { readonly id: string; readonly to: number; readonly page: number },
  look: Look,
): readonly string[] {
  const { id, to, page } = shownRows;
  const left = plan.effects.length - to;
  return [
    ...(left <= 0
      ? []
      : paragraph(
          look,
          `${counted(left, 'more row')}: writegate show ${id} --page ${page + 1}, or --all`,
          { indent: '  ', paint: look.paint.yellow },
        )),
    ...(plan.effectsOmitted === 0
      ? []
      : paragraph(
          look,
          `${counted(plan.effectsOmitted, 'row')} beyond these are counted and covered by the plan digest, but their images are not kept`,
          { indent: '  ', paint: look.paint.yellow },
        )),
  ];
}

function effectLines(effect: Effect, plan: Plan, look: Look): readonly string[] {
  const masked = new Set(plan.maskedColumns);
  const value = (column: string, image: Effect['before']): string =>
    image !== null && masked.has(`${effect.resource}.${column}`)
      ? `(known at commit)`
      : shown(cell(image, column));
  const paint = effect.kind === 'delete' ? look.paint.red : undefined;
  const columns = Object.keys({ ...effect.before, ...effect.after }).filter(
    (column) =>
      effect.kind !== 'update' ||
      cell(effect.before, column) !== cell(effect.after, column) ||
      masked.has(`${effect.resource}.${column}`),
  );
  return [
    ...paragraph(look, effectName(effect), { indent: '  ', ...(paint && { paint }) }),
    ...columns.flatMap((column) => {
      const before = shown(cell(effect.before, column));
      const after = value(column, effect.after);
      const text =
        effect.kind === 'update'
          ? `${before} → ${after}`
          : effect.kind === 'delete'
            ? before
            : after;
      return paragraph(look, `${column}: ${text}`, { indent: '      ' });
    }),
  ];
}

/** A column may be called `constructor`: only what the image itself holds is its value. */
function cell(image: Effect['before'], column: string): string | null {
  return image !== null && Object.hasOwn(image, column) ? (image[column] ?? null) : null;
}

function provenanceLines(view: ProposalView, look: Look): readonly string[] {
  return [
    '',
    look.paint.bold('Asked'),
    ...field(look, 'by', `${view.agent} in ${view.environment}, ${instant(view.proposedAt)}`),
    ...field(look, 'for', `${view.operation} on ${view.target}`),
    ...(view.run === null ? [] : field(look, 'run', view.run)),
    ...(view.compensates === null ? [] : field(look, 'takes back', view.compensates)),
    ...(view.compensatedBy === null ? [] : field(look, 'taken back', `by ${view.compensatedBy}`)),
    ...(view.reason === null
      ? field(look, 'its words', '(the agent gave no reason)')
      : ['  its words, which decide nothing', ...quoted(look, view.reason)]),
    ...argumentLines(view.arguments, look),
  ];
}

/** A statement as its lines stand; everything else as JSON. */
function argumentLines(given: JsonObject, look: Look): readonly string[] {
  const { statement, ...rest } = given;
  const isStatement = typeof statement === 'string';
  const others = isStatement ? rest : given;
  return [
    ...(isStatement ? ['  statement', ...quoted(look, statement)] : []),
    ...(Object.keys(others).length === 0
      ? []
      : ['  arguments', ...quoted(look, inertJson(others))]),
  ];
}

function settledLines(view: ProposalView, look: Look): readonly string[] {
  return [
    '',
    // A stale one is told by its difference.
    ...(view.outcome === null || view.outcome.status === 'stale'
      ? []
      : field(
          look,
          'outcome',
          `${view.outcome.status}, ${view.outcome.code}: ${view.outcome.reason}`,
        )),
    ...(view.expiresAt === null || isTerminal(view.state)
      ? []
      : field(look, 'until', `${instant(view.expiresAt)}; then nothing is written`)),
    ...(view.planDigest === null ? [] : whole(look, 'plan', view.planDigest)),
  ];
}

function nextOf(view: ProposalView): readonly string[] {
  if (view.state === 'waiting' && view.planDigest !== null) {
    const prefix = view.planDigest.replace('sha256:', '').slice(0, 16);
    return [
      `writegate deny ${view.id} --reason '…'`,
      `writegate approve ${view.id} --digest ${prefix}`,
    ];
  }
  const canBeTakenBack = view.assessment?.plan.reversibility.kind !== 'one-way';
  if (view.state === 'applied' && view.compensatedBy === null && canBeTakenBack) {
    return [`writegate rollback ${view.id}`];
  }
  return isTerminal(view.state) ? [] : [`writegate status ${view.id} --wait`];
}
