/** What a person reads before deciding; nothing in it is cut without saying how much is left. */
import type { ProposalView } from '../model/api.ts';
import type { Approval, Decision, Finding } from '../model/decision.ts';
import { isTerminal } from '../model/lifecycle.ts';
import type { Assessment, CheckResult, ColumnChange, Plan, ResourceCount } from '../model/plan.ts';
import type { JsonObject } from '../lib/json.ts';
import { moneyText } from '../lib/money.ts';
import { inertJson } from '../lib/terminal.ts';
import {
  counted,
  field,
  heading,
  instant,
  nextCommands,
  paragraph,
  quoted,
  shown,
  span,
  whole,
  type Look,
} from './look.ts';
import { differenceLines } from './render-difference.ts';
import { stateMark } from './render-result.ts';
import { causeText, rowLines, type RowsShown } from './render-rows.ts';

/** Lays out a proposal: sentence, counts, why held, rows, reversibility, provenance, digest. */
export function planLines(
  view: ProposalView,
  look: Look,
  options: { readonly now: number; readonly rows: RowsShown },
): readonly string[] {
  return [
    ...heading(look, [stateMark(view.state, look), [view.id]]),
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
    ...stepLines(plan, look),
    ...(isOneWay ? reversible : []),
    ...countLines(plan.counts, look),
    ...columnLines(plan.columns, look),
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
    ...checkLines(plan.checks ?? [], look),
    ...plan.warnings.flatMap((warning) => field(look, 'warning', warning, look.paint.yellow)),
    ...field(look, 'measured', `${span(now - assessment.assessedAt)} ago`),
  ];
}

function checkLines(checks: readonly CheckResult[], look: Look): readonly string[] {
  return checks.flatMap(({ name, holds, message }) => {
    if (holds) return field(look, 'check', `${name}: holds`);
    const why = message === null ? '' : `: ${message}`;
    return field(look, 'check', `${name}: does not hold${why}`, look.paint.red);
  });
}

/** Each step of a chain by its own sentence. */
function stepLines(plan: Plan, look: Look): readonly string[] {
  const parts = plan.segments ?? [];
  if (parts.length === 0) {
    return (plan.steps ?? []).flatMap((step, index) =>
      field(look, `step ${index + 1}`, `${step.operation}: ${step.plan.headline}`),
    );
  }
  let number = 0;
  return parts.flatMap((part) => {
    const steps = part.plan.steps ?? [{ operation: part.operation, plan: part.plan }];
    return steps.flatMap((step) => {
      number += 1;
      const text = `${step.operation} on ${part.target}: ${step.plan.headline}`;
      return field(look, `step ${number}`, text);
    });
  });
}

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
  const { attribution, via } = count;
  const how = attribution === 'direct' ? '' : ` ${causeText({ attribution, via })}`;
  const text = `${count.resource}: ${tally === '' ? 'no rows' : tally}${how}`;
  return field(look, label, text, count.deleted > 0 ? look.paint.red : undefined);
}

/** `status: "open" → "closed" in 40 rows`: the whole write at a glance, column by column. */
function columnLines(columns: readonly ColumnChange[], look: Look): readonly string[] {
  return columns.flatMap((change) => {
    const { resource, column, rows, examples } = change;
    const [first] = examples;
    const isOne = examples.length === 1 && first?.rows === rows;
    const changes = examples.map(
      ({ before, after, rows: of }) =>
        `${shown(before)} → ${shown(after)}${isOne ? '' : ` in ${of.toLocaleString('en-GB')}`}`,
    );
    const told = examples.reduce((sum, example) => sum + example.rows, 0);
    const others =
      examples.length > 0 && told < rows
        ? [`others in ${(rows - told).toLocaleString('en-GB')}`]
        : [];
    const tail = isOne ? ` in ${counted(rows, 'row')}` : '';
    const head = isOne ? '' : ` in ${counted(rows, 'row')}`;
    const text = [...changes, ...others].join('; ');
    return field(
      look,
      'column',
      `${resource}.${column}${head}${text === '' ? '' : `: ${text}`}${tail}`,
    );
  });
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
