import type { Story } from '../story.ts';

/** Over the £10,000 threshold people decide; what they approved is what happens, or nothing does. */
export const movedRow: Story = {
  name: 'approval-meets-moved-row',
  title: 'Over £10,000: held for finance, and a row moves before the approval',
  expected: 'waiting, then stale with 1 row moved and 0 rows changed, then applied to 5 rows',
  async play(world, tell) {
    const statement = "UPDATE accounts SET balance = balance + 2600.00 WHERE tier = 'gold'";
    tell.asked('crm-agent', statement);
    const held = await world.crm.propose({ statement });
    await tell.answered(held);
    const id = held.proposalId ?? '';
    const digest = held.planDigest ?? '';

    await world.sql('UPDATE accounts SET balance = balance - 40.00 WHERE id = 3');
    tell.noted('meanwhile the shop itself books 40.00 from account 3');

    tell.asked('alice', `approve ${id}, the plan that was shown`);
    const stale = await world.decide(id, digest);
    await tell.answered(stale);
    const raised = 'SELECT count(*) FROM accounts WHERE balance > 3000.00';
    const early = await world.count(raised);
    const moved = stale.state === 'stale' ? stale.difference.rowsMoved.length : 0;

    tell.asked('alice', `approve ${id} anew, the plan as it is now`);
    const applied = await world.decide(id, stale.planDigest ?? '');
    await tell.answered(applied);
    const late = await world.count(raised);
    return `${held.state}, then ${stale.state} with ${moved} row moved and ${early} rows changed, then ${applied.state} to ${late} rows`;
  },
};
