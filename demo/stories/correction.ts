import type { Story } from '../story.ts';

/** A small correction within the limits: applied at once, with a receipt, and taken back. */
export const correction: Story = {
  name: 'correction-and-rollback',
  title: 'A correction of three rows, applied and taken back',
  expected: 'applied with receipt, 3 rows corrected, rolled back to 3 as before',
  async play(world, tell) {
    const statement =
      "UPDATE customers SET email = replace(email, '@exmaple.com', '@example.com') WHERE email LIKE '%@exmaple.com'";
    const typos = "SELECT count(*) FROM customers WHERE email LIKE '%@exmaple.com'";
    const before = await world.count(typos);
    tell.asked('crm-agent', statement);
    const result = await world.crm.propose({ statement });
    await tell.answered(result);
    const corrected = before - (await world.count(typos));
    tell.noted(`${corrected} addresses corrected`);
    tell.asked('olga', `rollback ${result.proposalId ?? ''}`);
    const rolledBack = await world.olga.rollback(result.proposalId ?? '');
    await tell.answered(rolledBack);
    const restored = await world.count(typos);
    tell.noted(`${restored} addresses are as they were`);
    const receipt =
      result.state === 'applied' && result.receipt.leafHash !== ''
        ? 'with receipt'
        : 'without receipt';
    const undone = rolledBack.state === 'applied' ? 'rolled back' : rolledBack.state;
    return `${result.state} ${receipt}, ${corrected} rows corrected, ${undone} to ${restored} as before`;
  },
};
