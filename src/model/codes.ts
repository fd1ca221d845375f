/** The stable codes that decisions and outcomes carry; `docs/spec/problems.md` lists them. */

/** Codes of decisions. They are product, not errors: a denied proposal is 201 with state `denied`. */
export type DecisionCode =
  | 'allowed'
  | 'approval-required'
  | 'approved'
  | 'denied-by-person'
  | 'frozen'
  | 'unknown-target'
  | 'unknown-operation'
  | 'unknown-agent'
  | 'never'
  | 'not-permitted'
  | 'read-only'
  | 'limit-exceeded'
  | 'value-unmeasured'
  | 'rule-forbids'
  | 'rule-requires'
  | 'rule-permits'
  | 'rule-errored'
  | 'validation-failed'
  | 'nothing-permits'
  | 'threshold-exceeded'
  | 'risk-critical'
  | 'effect-incomplete'
  | 'budget-exceeded'
  | 'duplicate-write'
  | 'anomalous'
  | 'loop-detected'
  | 'expired'
  | 'cancelled'
  | 'observed';

/** A code of a decision, or of an outcome. */
export type ResultCode = DecisionCode | OutcomeCode;

/** Codes of outcomes. */
export type OutcomeCode =
  | 'applied'
  | 'plan-drifted'
  | 'in-doubt'
  | 'interrupted'
  | 'rollback-conflict'
  | 'rollback-impossible'
  | ChainCode
  /** A person looked, and it had no effect, or none any more. */
  | 'resolved-refused'
  | TargetCode;

/**
 * How a chain ended that did not take effect as a whole: all taken back; or, in doubt, kept by a stop
 * from going either way, or halted for people to look.
 */
export type ChainCode = 'chain-compensated' | 'chain-stopped' | 'chain-halted';

/** Why a target, or the connector before it, would not do a write; surely nothing happened. */
export type TargetCode =
  | 'not-permitted'
  | 'scope-violated'
  | 'limit-exceeded'
  | 'upload-unknown'
  | 'target-unavailable'
  | 'target-busy'
  | 'statement-timeout'
  | 'target-refused'
  | 'constraint-violated'
  | 'effect-unmeasurable'
  | 'arguments-invalid'
  | 'statement-invalid'
  | 'statement-multiple'
  | 'statement-kind'
  | 'statement-function'
  | 'statement-relation'
  | 'statement-unsupported'
  | 'statement-too-large';

const WRITE_ONLY_CODES: readonly WriteOnlyCode[] = [
  'rollback-conflict',
  'rollback-impossible',
  'chain-compensated',
  'interrupted',
];

const REFUSED_CODES = [
  'target-unavailable',
  'target-busy',
  'target-refused',
  'statement-timeout',
  'constraint-violated',
  'rollback-conflict',
  'rollback-impossible',
  'chain-compensated',
  'interrupted',
] as const;
type RefusedCode = (typeof REFUSED_CODES)[number];

/** Codes that speak of writes alone: of what is taken back, and of chains. */
export type WriteOnlyCode = Exclude<RefusalCode, TargetCode>;

/** Reports whether a refusal speaks of writes alone. */
export function isOfWrites(code: RefusalCode): code is WriteOnlyCode {
  return WRITE_ONLY_CODES.some((each) => each === code);
}

/** A code of a refusal: of a target, of its connector, or of what the gate puts together from several. */
export type RefusalCode = TargetCode | RefusedCode;

/**
 * Reports whether a connector's answer is a denial: what the proposer has to mend before it can be
 * measured at all. The rest is refused: what the target could not, or would not, do now.
 */
export function isDenial(code: RefusalCode): code is Exclude<TargetCode, RefusedCode> {
  return !REFUSED_CODES.some((refused) => refused === code);
}
