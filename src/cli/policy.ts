import type { Command } from 'commander';
import { addPolicyApply } from './policy-apply.ts';
import { addPolicyCheck } from './policy-check.ts';
import { addPolicyDiff } from './policy-diff.ts';
import { addPolicyExplain } from './policy-explain.ts';
import { addPolicyHistory } from './policy-history.ts';
import { addPolicyReplay } from './policy-replay.ts';
import { addPolicySuggest } from './policy-suggest.ts';
import { addPolicyTest } from './policy-test.ts';
import type { Shell } from './shell.ts';

/** `policy`: what agents may do, looked at before it is in force, and how it comes into force. */
export function addPolicy(program: Command, shell: Shell): void {
  const group = program
    .command('policy')
    .description('look at what agents may do, at what a change of it would mean, and apply it');
  addPolicyCheck(group, shell);
  addPolicyExplain(group, shell);
  addPolicyTest(group, shell);
  addPolicyReplay(group, shell);
  addPolicyDiff(group, shell);
  addPolicyApply(group, shell);
  addPolicyHistory(group, shell);
  addPolicySuggest(group, shell);
}
