/**
 * Whether the entries tell a lawful story: LEDGER's invariants of the order of a write, read off
 * the leaves alone. What an entry says is a claim of the gateway; this checks that the claims fit.
 */
import type { EntryBody } from '../model/entry.ts';
import { mayMove, STATES, type State } from '../model/lifecycle.ts';
import { planDigest } from '../model/plan.ts';
import { begun, newAct, shared, type Act, type ActKind, type ProposalFacts } from './act.ts';
import { bindsTo } from './entry.ts';
import type { Findings, LedgerFindingCode } from './findings.ts';
import type { Leaf, LeafOf } from './leaf.ts';
import { IdSet } from '../lib/id-set.ts';
import { Stops, stopSubjectOf } from './stops.ts';

/** An entry whose leaf is sound. `body` is null where its payload was not looked at, or is broken. */
export interface VerifiedEntry {
  readonly index: number;
  /** Lower-case hex. */
  readonly hash: string;
  readonly leaf: Leaf;
  readonly body: EntryBody | null;
}

const ACT_KIND: Readonly<Record<Leaf['type'], ActKind>> = {
  genesis: 'log',
  proposal: 'proposal',
  preview: 'proposal',
  decision: 'proposal',
  approval: 'proposal',
  intent: 'proposal',
  outcome: 'proposal',
  rollback: 'proposal',
  freeze: 'freeze',
  release: 'freeze',
  policy: 'log',
  credential: 'credential',
};

/** The only types that can begin an act of their kind, and that stand nowhere else in it. */
const OPENS: readonly Leaf['type'][] = ['proposal', 'freeze'];

/** More names than this are no longer held once. */
const NAMES_MAX = 10_000;

/** The types that others bind to. */
const BOUND: readonly Leaf['type'][] = Object.keys(ACT_KIND)
  .filter(isType)
  .flatMap((type) => bindsTo(type) ?? []);

/** Figures of a log. */
export interface LedgerFigures {
  readonly entries: Readonly<Record<Leaf['type'], number>>;
  readonly proposals: number;
  /** How many proposals are in each state. */
  readonly states: Readonly<Record<State, number>>;
  /** Intents that have no outcome yet. */
  readonly openIntents: number;
}

/** Reads entries in order and checks each against what went before. */
export class Meaning {
  readonly #findings: Findings;
  readonly #origin: string;
  readonly #acts = new Map<string, Act>();
  readonly #ids = new IdSet();
  /** One copy of each name that acts have in common. */
  readonly #names = new Map<string, string>();
  readonly #counts = new Map<Leaf['type'], number>();
  readonly #stops = new Stops();

  constructor(findings: Findings, origin: string) {
    this.#findings = findings;
    this.#origin = origin;
  }

  check(entry: VerifiedEntry): void {
    const { index, leaf, hash } = entry;
    this.#counts.set(leaf.type, (this.#counts.get(leaf.type) ?? 0) + 1);
    this.#genesis(index, leaf);
    if (!this.#ids.add(leaf.id)) this.#add('id-repeated', entry, `id ${leaf.id} was used before`);
    const act = this.#acts.get(leaf.act) ?? newAct(ACT_KIND[leaf.type]);
    this.#acts.set(leaf.act, act);
    this.#chain(act, entry);
    if (ACT_KIND[leaf.type] === 'proposal') {
      act.proposal ??= begun();
      this.#proposal(act, act.proposal, entry);
    }
    if (ACT_KIND[leaf.type] === 'freeze') this.#stop(entry);
    if (leaf.type === 'policy') this.#policy(leaf, entry);
    act.step = leaf.step;
    act.last = hash;
    if (BOUND.includes(leaf.type)) act.bound[leaf.type] = hash;
  }

  figures(): LedgerFigures {
    const states = new Map<State, number>();
    let proposals = 0;
    for (const { kind, proposal } of this.#acts.values()) {
      if (kind !== 'proposal' || proposal === undefined) continue;
      proposals += 1;
      states.set(proposal.state, (states.get(proposal.state) ?? 0) + 1);
    }
    return {
      entries: counted(Object.keys(ACT_KIND).filter(isType), (type) => this.#counts.get(type) ?? 0),
      proposals,
      states: counted(STATES, (state) => states.get(state) ?? 0),
      openIntents: states.get('executing') ?? 0,
    };
  }

  #add(code: LedgerFindingCode, entry: VerifiedEntry, message: string): void {
    this.#findings.add(code, entry.index, `${entry.leaf.act}: ${message}`);
  }

  #genesis(index: number, leaf: Leaf): void {
    if ((index === 0) === (leaf.type === 'genesis')) {
      if (leaf.type !== 'genesis' || leaf.origin === this.#origin) return;
    }
    const message = `expected entry 0 alone to be the genesis of \`${this.#origin}\``;
    this.#findings.add('genesis-misplaced', index, message);
  }

  #chain(act: Act, entry: VerifiedEntry): void {
    const { leaf } = entry;
    const isFirst = act.step === 0;
    const mustOpen = act.kind === 'proposal' || act.kind === 'freeze';
    const isMisplaced =
      ACT_KIND[leaf.type] !== act.kind || (mustOpen && isFirst !== OPENS.includes(leaf.type));
    if (isMisplaced) {
      this.#add('entry-misplaced', entry, `a ${leaf.type} entry does not belong there`);
    }
    if (leaf.step !== act.step + 1) {
      this.#add('step-mismatch', entry, `expected step ${act.step + 1}, found ${leaf.step}`);
    }
    if (leaf.prev !== (isFirst ? null : act.last)) {
      this.#add('prev-mismatch', entry, 'it does not follow the entry before it in its act');
    }
    const bound = bindsTo(leaf.type);
    if (bound === null || !('binds' in leaf)) return;
    if (leaf.binds !== (act.bound[bound] ?? null)) {
      this.#add('binds-mismatch', entry, `it does not bind to the latest ${bound} of its act`);
    }
  }

  /** What is weaker never comes into force by itself, and a person is there by a credential. */
  #policy(leaf: LeafOf<'policy'>, entry: VerifiedEntry): void {
    const isAsked = leaf.by !== undefined || (leaf.weakens ?? 0) === 0;
    const isNamed = (leaf.by === 'person') === (leaf.credential !== undefined);
    if (isAsked && isNamed) return;
    this.#add('policy-unasked', entry, 'a weaker policy that nobody is named for let in');
  }

  #proposal(act: Act, proposal: ProposalFacts, entry: VerifiedEntry): void {
    const { leaf } = entry;
    switch (leaf.type) {
      case 'proposal':
        this.#opened(proposal, leaf, entry);
        return;
      case 'preview':
        this.#planDigest(proposal, entry);
        this.#move(proposal, entry, 'assessed');
        proposal.shown = leaf.plan_digest;
        return;
      case 'decision':
        this.#decision(proposal, leaf, entry);
        return;
      case 'approval':
        this.#approval(proposal, leaf, entry);
        return;
      case 'intent':
        this.#intent(act, proposal, leaf, entry);
        return;
      case 'outcome':
        this.#outcome(act, proposal, leaf, entry);
        return;
      case 'rollback':
        this.#rollback(proposal, leaf, entry);
        return;
      default:
        return;
    }
  }

  #opened(proposal: ProposalFacts, leaf: LeafOf<'proposal'>, { body }: VerifiedEntry): void {
    const { credential } = leaf.proposer;
    proposal.opening = { credential: this.#name(credential), compensates: leaf.compensates };
    const { agent, target, run } = stopSubjectOf(leaf, body);
    proposal.subject = { agent: this.#name(agent), target: this.#name(target), run };
    if (body?.type !== 'proposal') return;
    const { target: named, operation } = body.draft;
    proposal.draft = { target: this.#name(named), operation: this.#name(operation) };
  }

  #name(text: string): string {
    const known = this.#names.get(text);
    if (known !== undefined) return known;
    if (this.#names.size < NAMES_MAX) this.#names.set(text, text);
    return text;
  }

  #stop(entry: VerifiedEntry): void {
    const { leaf, body } = entry;
    if (leaf.type === 'freeze') this.#stops.begin(leaf, body);
    if (leaf.type !== 'release') return;
    const unlawful = this.#stops.speak(leaf, body);
    if (unlawful !== undefined) this.#add('release-unlawful', entry, unlawful);
  }

  #move(
    proposal: ProposalFacts,
    entry: VerifiedEntry,
    to: State,
    staysIn: readonly State[] = [],
  ): void {
    const { state } = proposal;
    if (!staysIn.includes(state) && !mayMove(state, to)) {
      this.#add('lifecycle-broken', entry, `there is no move from ${state} to ${to}`);
    }
    proposal.state = to;
  }

  /** The digest that people approve must be that of the plan which was shown to them. */
  #planDigest({ draft }: ProposalFacts, entry: VerifiedEntry): void {
    const { body } = entry;
    if (draft === null || body?.type !== 'preview') return;
    const { plan, planDigest: claimed } = body.assessment;
    if (planDigest(draft.target, draft.operation, plan) === claimed) return;
    this.#add('plan-digest-mismatch', entry, 'the plan that was shown has another digest');
  }

  #decision(proposal: ProposalFacts, leaf: LeafOf<'decision'>, entry: VerifiedEntry): void {
    const digest = shared(leaf.plan_digest, proposal);
    const isBinding = leaf.result === 'allow' || leaf.result === 'wait';
    if (isBinding && digest !== proposal.shown) {
      this.#add('decision-unbound', entry, 'it is not about the plan that was shown');
    }
    if (leaf.result === 'allow') {
      const onPlan = proposal.approvals.filter((each) => each.planDigest === digest);
      const needsPeople = leaf.code === 'approved' || proposal.waited.includes(digest);
      const isApproved = onPlan.some((each) => each.verdict === 'approve');
      const isDenied = onPlan.some((each) => each.verdict === 'deny');
      if (isDenied || (needsPeople && !isApproved)) {
        const why = isDenied ? 'a person decided against this plan' : 'nobody approved this plan';
        this.#add('allow-without-approval', entry, `it allows, but ${why}`);
      }
    }
    if (leaf.result === 'wait' && !proposal.waited.includes(digest)) {
      proposal.waited = [...proposal.waited, digest];
    }
    proposal.decision = { result: leaf.result, planDigest: digest };
    this.#move(
      proposal,
      entry,
      STATE_AFTER[leaf.result],
      leaf.result === 'wait' ? ['waiting'] : [],
    );
  }

  #approval(proposal: ProposalFacts, leaf: LeafOf<'approval'>, entry: VerifiedEntry): void {
    const digest = shared(leaf.plan_digest, proposal);
    if (digest !== proposal.shown) {
      this.#add('approval-unbound', entry, 'it is not about the plan that was shown');
    }
    if (proposal.opening?.credential === leaf.credential) {
      this.#add('approval-by-proposer', entry, 'the proposer decided on their own proposal');
    }
    if (proposal.state !== 'waiting') {
      this.#add('lifecycle-broken', entry, `an approval of a proposal that is ${proposal.state}`);
    }
    const approval = { verdict: leaf.verdict, planDigest: digest };
    proposal.approvals = [...proposal.approvals, approval];
  }

  #intent(act: Act, proposal: ProposalFacts, leaf: LeafOf<'intent'>, entry: VerifiedEntry): void {
    const { decision, subject } = proposal;
    const isAllowed =
      decision?.result === 'allow' &&
      decision.planDigest === leaf.plan_digest &&
      act.bound.decision === leaf.binds;
    if (!isAllowed) {
      this.#add('intent-without-allow', entry, 'no decision allows exactly this plan');
    }
    const stop = subject === null ? undefined : this.#stops.covering(subject);
    if (stop !== undefined) this.#add('intent-under-stop', entry, `the stop ${stop} was on`);
    const attempt = (proposal.intent?.attempt ?? 0) + 1;
    if (leaf.attempt !== attempt) {
      const message = `expected attempt ${attempt}, found ${leaf.attempt}`;
      this.#add('lifecycle-broken', entry, message);
    }
    const digest = shared(leaf.plan_digest, proposal);
    proposal.intent = { attempt: leaf.attempt, planDigest: digest };
    this.#move(proposal, entry, 'executing', ['executing', 'in_doubt']);
  }

  #outcome(act: Act, proposal: ProposalFacts, leaf: LeafOf<'outcome'>, entry: VerifiedEntry): void {
    const { intent } = proposal;
    const isUntried = intent === null && leaf.attempt === 0 && leaf.status === 'refused';
    const isOfIntent =
      intent !== null && leaf.binds === act.bound.intent && leaf.attempt === intent.attempt;
    if (!isUntried && !isOfIntent) {
      this.#add('outcome-without-intent', entry, 'it settles no intent of its act');
    }
    if (leaf.status === 'applied') {
      if (leaf.plan_digest !== intent?.planDigest) {
        this.#add('outcome-mismatch', entry, 'what was applied is not what the intent names');
      }
      proposal.appliedCount += 1;
      if (proposal.appliedCount > 1) {
        this.#add('applied-twice', entry, 'a proposal has at most one applied outcome');
      }
    }
    this.#move(proposal, entry, leaf.status, leaf.status === 'in_doubt' ? ['in_doubt'] : []);
  }

  #rollback(proposal: ProposalFacts, leaf: LeafOf<'rollback'>, entry: VerifiedEntry): void {
    if (proposal.state !== 'applied') {
      const message = `a rollback of a proposal that is ${proposal.state}`;
      this.#add('lifecycle-broken', entry, message);
    }
    const inverse = this.#acts.get(leaf.compensated_by)?.proposal;
    const isLinked = inverse?.opening?.compensates === leaf.act && inverse.state === 'applied';
    if (!isLinked || proposal.isTakenBack) {
      this.#add('rollback-unlinked', entry, 'no applied proposal takes this one back');
    }
    proposal.isTakenBack = true;
  }
}

const STATE_AFTER: Readonly<Record<LeafOf<'decision'>['result'], State>> = {
  allow: 'allowed',
  wait: 'waiting',
  deny: 'denied',
  expired: 'expired',
  cancelled: 'cancelled',
};

function isType(text: string): text is Leaf['type'] {
  return Object.hasOwn(ACT_KIND, text);
}

function counted<Key extends string>(
  keys: readonly Key[],
  count: (key: Key) => number,
): Readonly<Record<Key, number>> {
  // Every key of the record is among `keys`, which `Object.fromEntries` cannot say.
  return Object.fromEntries(keys.map((key) => [key, count(key)])) as Record<Key, number>;
}
