import type { Command } from 'commander';
import { addPolicyExplain } from './policy-explain.ts';
import { addPolicyReplay } from './policy-replay.ts';
import { addPolicyTest } from './policy-test.ts';
import type { Shell } from './shell.ts';

/** `policy`: what agents may do, looked at before it is in force. */
export function addPolicy(program: Command, shell: Shell): void {
  const group = program
    .command('policy')
    .description('look at what agents may do, and at what a change of it would mean');
  addPolicyExplain(group, shell);
  addPolicyTest(group, shell);
  addPolicyReplay(group, shell);
}
