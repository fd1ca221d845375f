/** What a write has to satisfy: the stage `validation` of a decision. Pure. */
import { quote } from '../../lib/quote.ts';
import type { Finding } from '../../model/decision.ts';
import type { Policy, Validation } from '../../model/policy.ts';
import type { PlanCheck } from '../../model/ports.ts';
import { candidatesOf } from './candidates.ts';
import { beginStage, whyErrored } from '../conditions/conditions.ts';
import type { Spent } from '../conditions/work.ts';
import { matches, type MatchSubject } from './match.ts';
import { concerns, writeOf, type PolicyFacts } from './write.ts';

/**
 * Judges by the validations: everything that the write does not satisfy denies, all of it told. What
 * was spent counts against the work of the stage.
 */
export function validationFindings(
  policy: Policy,
  facts: PolicyFacts,
  spent: Spent = { steps: 0 },
): Finding[] {
  const { class: effectClass } = writeOf(facts);
  const seen = facts.class === effectClass ? facts : { ...facts, class: effectClass };
  beginStage(seen, spent);
  return validationsOf(policy, facts).flatMap((line) => validationFinding(line, seen));
}

/** The validations that concern the write. */
export function validationsOf(policy: Policy, facts: PolicyFacts): readonly Validation[] {
  const write = writeOf(facts);
  const { validations } = candidatesOf(policy, write.subject);
  return validations.filter((line) => concerns(line.match, write));
}

/** What one validation says of a write that it concerns. */
export function validationFinding(line: Validation, facts: PolicyFacts): Finding[] {
  return failures(line, facts).map((failure): Finding => {
    const reason = failure === '' ? line.reason : `${line.reason}: ${failure}`;
    const rule = `validations.${line.name}`;
    return { stage: 'validation', verdict: 'deny', rule, code: 'validation-failed', reason };
  });
}

/** Why the write does not satisfy the line, each in a clause; an empty one where the line says it all. */
function failures({ name, asks }: Validation, facts: PolicyFacts): readonly string[] {
  switch (asks.kind) {
    case 'holds':
      try {
        return asks.holds(facts) ? [] : [''];
      } catch (thrown) {
        return [`it could not be evaluated, so it denies: ${whyErrored(thrown)}`];
      }
    case 'schema':
      // The arguments of a compensation are the gate's own.
      return facts.compensation ? [] : asks.faults(facts.args);
    case 'check': {
      const results = (facts.plan.checks ?? []).filter((each) => each.name === name);
      if (results.length === 0) {
        return [`the check was not run on ${quote(facts.target)}, so it denies`];
      }
      return results.flatMap(({ holds, message }) => (holds ? [] : [message ?? '']));
    }
  }
}

/**
 * The queries to ask while a write is measured, in the order of the file: those of every line that may
 * turn out to concern it, as neither its resources nor its class are known before.
 */
export function checksFor(policy: Policy, subject: MatchSubject): readonly PlanCheck[] {
  return policy.validations.flatMap(({ name, match, asks }) => {
    if (asks.kind !== 'check') return [];
    const { resource: _anyResource, class: _anyClass, ...rest } = match;
    return matches(rest, subject) ? [{ name, query: asks.query }] : [];
  });
}
