/**
 * Whether the entries tell a lawful story: LEDGER's invariants of the order of a write, read off
 * the leaves alone. What an entry says is a claim of the gateway; this checks that the claims fit.
 */
import type { EntryBody } from '../model/entry.ts';
import type { FreezeSubject } from '../model/freeze.ts';
import { mayMove, STATES, type State } from '../model/lifecycle.ts';
import { planDigest } from '../model/plan.ts';
import { bindsTo } from './entry.ts';
import type { Findings, LedgerFindingCode } from './findings.ts';
import type { Leaf, LeafOf } from './leaf.ts';
import { Stops, stopSubjectOf } from './stops.ts';

/** An entry whose leaf is sound. `body` is null where its payload was not looked at, or is broken. */
export interface VerifiedEntry {
  readonly index: number;
  /** Lower-case hex. */
  readonly hash: string;
  readonly leaf: Leaf;
  readonly body: EntryBody | null;
}

type ActKind = 'proposal' | 'freeze' | 'credential' | 'log';

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

/** What is known of an act so far. */
interface Act {
  readonly kind: ActKind;
  step: number;
  last: string;
  /** The latest leaf and its hash by type. */
  readonly latest: Map<Leaf['type'], { readonly leaf: Leaf; readonly hash: string }>;
  readonly proposal: ProposalFacts;
}

interface ProposalFacts {
  state: State;
  opening: LeafOf<'proposal'> | null;
  subject: FreezeSubject | null;
  /** From the payload: what the plan's digest is over, beside the plan. */
  draft: { readonly target: string; readonly operation: string } | null;
  readonly approvals: LeafOf<'approval'>[];
  /** The plan digests that were waited for. */
  readonly waited: Set<string | null>;
  appliedCount: number;
}

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
  readonly #ids = new Set<string>();
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
    if (this.#ids.has(leaf.id)) this.#add('id-repeated', entry, `id ${leaf.id} was used before`);
    this.#ids.add(leaf.id);
    const act = this.#acts.get(leaf.act) ?? newAct(ACT_KIND[leaf.type]);
    this.#acts.set(leaf.act, act);
    this.#chain(act, entry);
    if (ACT_KIND[leaf.type] === 'proposal') this.#proposal(act, entry);
    if (ACT_KIND[leaf.type] === 'freeze') this.#stop(entry);
    if (leaf.type === 'policy') this.#policy(leaf, entry);
    act.step = leaf.step;
    act.last = hash;
    act.latest.set(leaf.type, { leaf, hash });
  }

  figures(): LedgerFigures {
    const proposals = [...this.#acts.values()].filter(({ kind }) => kind === 'proposal');
    return {
      entries: counted(Object.keys(ACT_KIND).filter(isType), (type) => this.#counts.get(type) ?? 0),
      proposals: proposals.length,
      states: counted(
        STATES,
        (state) => proposals.filter(({ proposal }) => proposal.state === state).length,
      ),
      openIntents: proposals.filter(({ proposal }) => proposal.state === 'executing').length,
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
    if (leaf.binds !== (act.latest.get(bound)?.hash ?? null)) {
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

  #proposal(act: Act, entry: VerifiedEntry): void {
    const { leaf } = entry;
    switch (leaf.type) {
      case 'proposal':
        act.proposal.opening = leaf;
        act.proposal.subject = stopSubjectOf(leaf, entry.body);
        if (entry.body?.type === 'proposal') act.proposal.draft = entry.body.draft;
        return;
      case 'preview':
        this.#planDigest(act, entry);
        this.#move(act, entry, 'assessed');
        return;
      case 'decision':
        this.#decision(act, leaf, entry);
        return;
      case 'approval':
        this.#approval(act, leaf, entry);
        return;
      case 'intent':
        this.#intent(act, leaf, entry);
        return;
      case 'outcome':
        this.#outcome(act, leaf, entry);
        return;
      case 'rollback':
        this.#rollback(act, leaf, entry);
        return;
      default:
        return;
    }
  }

  #stop(entry: VerifiedEntry): void {
    const { leaf, body } = entry;
    if (leaf.type === 'freeze') this.#stops.begin(leaf, body);
    if (leaf.type !== 'release') return;
    const unlawful = this.#stops.speak(leaf, body);
    if (unlawful !== undefined) this.#add('release-unlawful', entry, unlawful);
  }

  #move(act: Act, entry: VerifiedEntry, to: State, staysIn: readonly State[] = []): void {
    const { state } = act.proposal;
    if (!staysIn.includes(state) && !mayMove(state, to)) {
      this.#add('lifecycle-broken', entry, `there is no move from ${state} to ${to}`);
    }
    act.proposal.state = to;
  }

  /** The digest that people approve must be that of the plan which was shown to them. */
  #planDigest(act: Act, entry: VerifiedEntry): void {
    const { draft } = act.proposal;
    const { body } = entry;
    if (draft === null || body?.type !== 'preview') return;
    const { plan, planDigest: claimed } = body.assessment;
    if (planDigest(draft.target, draft.operation, plan) === claimed) return;
    this.#add('plan-digest-mismatch', entry, 'the plan that was shown has another digest');
  }

  #decision(act: Act, leaf: LeafOf<'decision'>, entry: VerifiedEntry): void {
    const { proposal } = act;
    const isBinding = leaf.result === 'allow' || leaf.result === 'wait';
    if (isBinding && leaf.plan_digest !== shownDigest(act)) {
      this.#add('decision-unbound', entry, 'it is not about the plan that was shown');
    }
    if (leaf.result === 'allow') {
      const onPlan = proposal.approvals.filter((each) => each.plan_digest === leaf.plan_digest);
      const needsPeople = leaf.code === 'approved' || proposal.waited.has(leaf.plan_digest);
      const isApproved = onPlan.some((each) => each.verdict === 'approve');
      const isDenied = onPlan.some((each) => each.verdict === 'deny');
      if (isDenied || (needsPeople && !isApproved)) {
        const why = isDenied ? 'a person decided against this plan' : 'nobody approved this plan';
        this.#add('allow-without-approval', entry, `it allows, but ${why}`);
      }
    }
    if (leaf.result === 'wait') proposal.waited.add(leaf.plan_digest);
    this.#move(act, entry, STATE_AFTER[leaf.result], leaf.result === 'wait' ? ['waiting'] : []);
  }

  #approval(act: Act, leaf: LeafOf<'approval'>, entry: VerifiedEntry): void {
    const { proposal } = act;
    if (leaf.plan_digest !== shownDigest(act)) {
      this.#add('approval-unbound', entry, 'it is not about the plan that was shown');
    }
    if (proposal.opening?.proposer.credential === leaf.credential) {
      this.#add('approval-by-proposer', entry, 'the proposer decided on their own proposal');
    }
    if (proposal.state !== 'waiting') {
      this.#add('lifecycle-broken', entry, `an approval of a proposal that is ${proposal.state}`);
    }
    proposal.approvals.push(leaf);
  }

  #intent(act: Act, leaf: LeafOf<'intent'>, entry: VerifiedEntry): void {
    const decision = latest(act, 'decision');
    const isAllowed =
      decision?.leaf.result === 'allow' &&
      decision.leaf.plan_digest === leaf.plan_digest &&
      decision.hash === leaf.binds;
    if (!isAllowed) {
      this.#add('intent-without-allow', entry, 'no decision allows exactly this plan');
    }
    const { subject } = act.proposal;
    const stop = subject === null ? undefined : this.#stops.covering(subject);
    if (stop !== undefined) this.#add('intent-under-stop', entry, `the stop ${stop} was on`);
    const attempt = (latest(act, 'intent')?.leaf.attempt ?? 0) + 1;
    if (leaf.attempt !== attempt) {
      const message = `expected attempt ${attempt}, found ${leaf.attempt}`;
      this.#add('lifecycle-broken', entry, message);
    }
    this.#move(act, entry, 'executing', ['executing', 'in_doubt']);
  }

  #outcome(act: Act, leaf: LeafOf<'outcome'>, entry: VerifiedEntry): void {
    const { proposal } = act;
    const intent = latest(act, 'intent');
    const isUntried = intent === undefined && leaf.attempt === 0 && leaf.status === 'refused';
    const isOfIntent =
      intent !== undefined && leaf.binds === intent.hash && leaf.attempt === intent.leaf.attempt;
    if (!isUntried && !isOfIntent) {
      this.#add('outcome-without-intent', entry, 'it settles no intent of its act');
    }
    if (leaf.status === 'applied') {
      if (leaf.plan_digest !== intent?.leaf.plan_digest) {
        this.#add('outcome-mismatch', entry, 'what was applied is not what the intent names');
      }
      proposal.appliedCount += 1;
      if (proposal.appliedCount > 1) {
        this.#add('applied-twice', entry, 'a proposal has at most one applied outcome');
      }
    }
    this.#move(act, entry, leaf.status, leaf.status === 'in_doubt' ? ['in_doubt'] : []);
  }

  #rollback(act: Act, leaf: LeafOf<'rollback'>, entry: VerifiedEntry): void {
    if (act.proposal.state !== 'applied') {
      const message = `a rollback of a proposal that is ${act.proposal.state}`;
      this.#add('lifecycle-broken', entry, message);
    }
    const inverse = this.#acts.get(leaf.compensated_by)?.proposal;
    const isLinked = inverse?.opening?.compensates === leaf.act && inverse.state === 'applied';
    if (isLinked && !act.latest.has('rollback')) return;
    this.#add('rollback-unlinked', entry, 'no applied proposal takes this one back');
  }
}

const STATE_AFTER: Readonly<Record<LeafOf<'decision'>['result'], State>> = {
  allow: 'allowed',
  wait: 'waiting',
  deny: 'denied',
  expired: 'expired',
  cancelled: 'cancelled',
};

function newAct(kind: ActKind): Act {
  return {
    kind,
    step: 0,
    last: '',
    latest: new Map(),
    proposal: {
      state: 'proposed',
      opening: null,
      subject: null,
      draft: null,
      approvals: [],
      waited: new Set(),
      appliedCount: 0,
    },
  };
}

function latest<Type extends Leaf['type']>(
  act: Act,
  type: Type,
): { readonly leaf: LeafOf<Type>; readonly hash: string } | undefined {
  const found = act.latest.get(type);
  return found !== undefined && isOfType(found.leaf, type)
    ? { leaf: found.leaf, hash: found.hash }
    : undefined;
}

function isOfType<Type extends Leaf['type']>(leaf: Leaf, type: Type): leaf is LeafOf<Type> {
  return leaf.type === type;
}

/** The digest of the plan that was shown last. */
function shownDigest(act: Act): string | null {
  return latest(act, 'preview')?.leaf.plan_digest ?? null;
}

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
