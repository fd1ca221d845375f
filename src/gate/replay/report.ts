import type { Decision } from '../../model/decision.ts';
import type { Money } from '../../model/plan.ts';
import type { Proposal } from '../../model/proposal.ts';
import {
  REPLAY_BOUNDS,
  type ReplayExample,
  type ReplayGroup,
  type ReplayReport,
  type ReplaySettled,
} from '../../model/replay.ts';
import { recordedVerdict, unmeasuredReason } from './recorded.ts';

interface Tally {
  proposals: number;
  records: number;
}

interface Changes extends Tally {
  readonly from: ReplayGroup['from'];
  readonly to: ReplayGroup['to'];
  readonly value: Map<string, bigint>;
  readonly by: Map<string, Tally & { readonly rule: string; readonly code: string }>;
  examples: readonly ReplayExample[];
}

/** Adds up what a replay finds, one proposal after the other. */
export class Findings {
  readonly #groups = new Map<string, Changes>();
  readonly #notReplayed = new Map<string, number>();
  readonly #policies = new Set<string>();
  #unchanged = 0;
  #changed = 0;

  /** The proposals seen so far. */
  get proposals(): number {
    const unsaid = [...this.#notReplayed.values()].reduce((sum, each) => sum + each, 0);
    return this.#unchanged + this.#changed + unsaid;
  }

  /** The record settles it, whatever the policy. */
  apart(proposal: Proposal): void {
    this.#saw(proposal);
    this.#unchanged += 1;
  }

  unknown(proposal: Proposal): void {
    this.#saw(proposal);
    const reason = unmeasuredReason(proposal);
    this.#notReplayed.set(reason, (this.#notReplayed.get(reason) ?? 0) + 1);
  }

  decided(proposal: Proposal, recorded: Decision, decision: Decision): void {
    this.#saw(proposal);
    const [from, to] = [recordedVerdict(recorded), recordedVerdict(decision)];
    if (from === to) {
      this.#unchanged += 1;
      return;
    }
    this.#changed += 1;
    const group = this.#group(from, to);
    const example = exampleOf(proposal, recorded, decision);
    addTo(group, example.records);
    for (const { currency, amountMinor } of example.value) {
      group.value.set(currency, (group.value.get(currency) ?? 0n) + BigInt(amountMinor));
    }
    const { settledBy: rule, code } = decision;
    const line = group.by.get(rule) ?? { rule, code, proposals: 0, records: 0 };
    addTo(line, example.records);
    group.by.set(rule, line);
    group.examples = [...group.examples, example]
      .toSorted((left, right) => right.records - left.records)
      .slice(0, REPLAY_BOUNDS.examplesMax);
  }

  report(about: Pick<ReplayReport, 'candidate' | 'since' | 'until' | 'cutShort'>): ReplayReport {
    return {
      ...about,
      proposals: this.proposals,
      unchanged: this.#unchanged,
      changed: this.#changed,
      groups: [...this.#groups.values()]
        .toSorted((left, right) => right.proposals - left.proposals)
        .map(groupOf),
      notReplayed: [...this.#notReplayed].map(([reason, proposals]) => ({ reason, proposals })),
      policies: this.#policies.size,
    };
  }

  #saw({ decision }: Proposal): void {
    if (decision !== null) this.#policies.add(decision.policyDigest);
  }

  #group(from: Changes['from'], to: Changes['to']): Changes {
    const key = `${from} ${to}`;
    const known = this.#groups.get(key);
    if (known !== undefined) return known;
    const common = { from, to, proposals: 0, records: 0, examples: [] };
    const made: Changes = { ...common, value: new Map(), by: new Map() };
    this.#groups.set(key, made);
    return made;
  }
}

function addTo(tally: Tally, records: number): void {
  tally.proposals += 1;
  tally.records += records;
}

function groupOf({ from, to, proposals, records, value, by, examples }: Changes): ReplayGroup {
  const sums = [...value].map(([currency, sum]): Money => {
    return { currency, amountMinor: sum.toString() };
  });
  const lines = [...by.values()]
    .toSorted((left, right) => right.proposals - left.proposals)
    .slice(0, REPLAY_BOUNDS.linesMax);
  return { from, to, proposals, records, value: sums, by: lines, examples };
}

function exampleOf(proposal: Proposal, recorded: Decision, decision: Decision): ReplayExample {
  const { id, proposer, draft, assessment } = proposal;
  return {
    id,
    agent: proposer.name,
    target: draft.target,
    operation: draft.operation,
    resource: assessment?.plan.resource ?? '',
    headline: assessment?.plan.headline ?? 'nothing was measured',
    records: assessment?.blastRadius.records ?? 0,
    value: assessment?.blastRadius.value ?? [],
    decidedAt: recorded.decidedAt,
    recorded: settledOf(recorded),
    candidate: settledOf(decision),
  };
}

function settledOf({ code, settledBy, reason }: Decision): ReplaySettled {
  return { code, settledBy, reason };
}
