/** Whether somebody asks about an agent that there is. */
import { nearest } from '../lib/nearest.ts';
import { quote } from '../lib/quote.ts';
import type { Policy } from '../model/policy.ts';
import { Problem } from '../model/problem.ts';

/**
 * Throws `request-invalid` where the policy does not name the agent: an answer about nobody reads
 * like one about an agent that did nothing.
 */
export function requireKnown(agent: string, { agents }: Policy): void {
  if (agents.has(agent)) return;
  const near = nearest(agent, [...agents.keys()]);
  const remedy = near === undefined ? 'name one of `writegate agent list`' : `write \`${near}\``;
  throw new Problem(
    'request-invalid',
    `expected an agent of the policy, or one with something on record, found ${quote(agent)}; ${remedy}`,
    { at: '/agent' },
  );
}
