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
  | TargetCode;

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

const REFUSED_CODES = [
  'target-unavailable',
  'target-busy',
  'target-refused',
  'statement-timeout',
  'constraint-violated',
  'rollback-conflict',
  'rollback-impossible',
] as const;
type RefusedCode = (typeof REFUSED_CODES)[number];

/**
 * Reports whether a connector's answer is a denial: what the proposer has to mend before it can be
 * measured at all. The rest is refused: what the target could not, or would not, do now.
 */
export function isDenial(code: TargetCode | RefusedCode): code is Exclude<TargetCode, RefusedCode> {
  return !REFUSED_CODES.some((refused) => refused === code);
}
