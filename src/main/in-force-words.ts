/** What the configuration in force says of the file, and of itself. */
import { Problem } from '../model/problem.ts';
import type { Change } from '../policy/weakening.ts';
import type { LoggedPolicy } from './policy-log.ts';

/** Of a file that was let in and changes what is opened once. */
export const AT_START = 'it was let in and takes a restart; restart the gateway';

/** How many of the ways are told; `policy diff` shows them all. */
const WAYS_TOLD_MAX = 3;

/** Of a file that is weaker, in these ways. */
export function heldText(ways: readonly Change[]): string {
  const told = ways.slice(0, WAYS_TOLD_MAX).map(({ path, sentence }) => `${path} ${sentence}`);
  const more = ways.length > told.length ? ` and ${ways.length - told.length} more` : '';
  const many = ways.length === 1 ? '1 way' : `${ways.length} ways`;
  return `it is weaker than the policy in force in ${many} (${told.join('; ')}${more}); \`writegate policy diff\` shows them, \`writegate policy apply\` lets it in`;
}

/** Of a file that did not change while another policy came into force. */
export function otherText({ index, digest }: LoggedPolicy): string {
  return `another policy came into force by another gateway or an apply (entry ${index} of the ledger, ${digest}); put its text into this file, or let this one in with \`writegate policy apply\``;
}

/** Of a file in which something changed that is opened once. */
export function changedText(part: string | undefined): string {
  return `\`${part}\` changed, which takes a restart; restart the gateway, or put it back`;
}

/** Of a policy in force for which this process opened something else. */
export function restartNeeded(part: string): Problem {
  return new Problem(
    'restart-needed',
    `another gateway brought a policy into force that changes \`${part}\`, which takes a restart of this one; restart it: until then it decides nothing`,
  );
}

/** Of a person who may not let a policy in. */
export function lacksRole(name: string, weakens: number): Problem {
  const needed =
    weakens === 0
      ? 'the role `operator` or `policy`'
      : `the role \`policy\`, as it is weaker than the one in force in ${weakens} ${weakens === 1 ? 'way' : 'ways'}`;
  return new Problem(
    'role-missing',
    `to bring this policy into force \`${name}\` needs ${needed}; have somebody apply it who has it under \`people\`, or, on the gateway's host and with the gateway stopped, run \`writegate policy apply --offline\``,
  );
}
