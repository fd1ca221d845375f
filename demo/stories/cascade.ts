import type { Story } from '../story.ts';

/** A DELETE of one row that takes 212 others along: measured, shown, and denied. */
export const cascade: Story = {
  name: 'hidden-cascade',
  title: 'DELETE of one customer, and what would go with it',
  expected: 'denied never with 212 rows in 3 tables by cascade, customer still there',
  async play(world, tell) {
    const statement = 'DELETE FROM customers WHERE id = 4711';
    tell.asked('crm-agent', statement);
    const result = await world.crm.propose({ statement });
    await tell.answered(result);
    const view = await world.olga.view(result.proposalId ?? '');
    const indirect = (view.assessment?.plan.counts ?? []).filter(
      (count) => count.attribution === 'cascade',
    );
    for (const count of indirect)
      tell.noted(`${count.deleted} × ${count.resource} by ${count.via}`);
    const rows = indirect.reduce((sum, count) => sum + count.deleted, 0);
    const left = await world.count('SELECT count(*) FROM customers WHERE id = 4711');
    const there = left === 1 ? 'customer still there' : 'customer gone';
    return `${result.state} ${result.code} with ${rows} rows in ${indirect.length} tables by cascade, ${there}`;
  },
};
