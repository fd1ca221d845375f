import type { Story } from '../story.ts';

/** One switch for everything; a person turns it off again. */
export const stopAndResume: Story = {
  name: 'stop-and-resume',
  title: 'Stop: nothing is written anywhere until a person resumes',
  expected: 'crm-agent denied frozen, ledger-agent denied frozen, after resume applied',
  async play(world, tell) {
    const statement = "UPDATE customers SET name = 'Customer Nine' WHERE id = 9";
    tell.asked('olga', 'stop everything');
    const freeze = await world.olga.stop({ kind: 'all' }, 'demo: something looks wrong');
    tell.asked('crm-agent', statement);
    const first = await world.crm.propose({ statement });
    await tell.answered(first);
    tell.asked('ledger-agent', 'post INV-200');
    const second = await world.ledger.propose({
      statement:
        "INSERT INTO journal_entries (account, reference, amount) VALUES ('sales', 'INV-200', 1.00)",
    });
    await tell.answered(second);
    tell.asked('olga', 'resume');
    await world.olga.release(freeze.id, 'demo: looked at it, all well');
    tell.asked('crm-agent', statement);
    const third = await world.crm.propose({ statement });
    await tell.answered(third);
    return `crm-agent ${first.state} ${first.code}, ledger-agent ${second.state} ${second.code}, after resume ${third.state}`;
  },
};
