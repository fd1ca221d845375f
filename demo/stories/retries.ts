import type { Story } from '../story.ts';

/** The same write three times, once with the reply lost on the way. */
export const retries: Story = {
  name: 'three-times-one-effect',
  title: 'The same write three times, once with a dropped reply',
  expected: 'reply 1 lost, replies 2 and 3 applied and replayed, balance raised once',
  async play(world, tell) {
    const statement = 'UPDATE accounts SET balance = balance + 5.00 WHERE id = 150';
    const balance = 'SELECT (balance * 100)::bigint FROM accounts WHERE id = 150';
    const before = await world.count(balance);
    tell.asked('crm-agent', `${statement} (the reply is dropped)`);
    const lost = await world.crmOverLossyNetwork
      .propose({ statement })
      .then(() => 'arrived')
      .catch(() => 'lost');
    tell.noted('the agent saw a broken connection and cannot know what happened');
    const replies = [];
    for (const again of ['again', 'and again']) {
      tell.asked('crm-agent', `${statement} (${again})`);
      const result = await world.crm.propose({ statement });
      await tell.answered(result);
      replies.push(result);
    }
    const raised = (await world.count(balance)) - before;
    const states = [...new Set(replies.map((reply) => reply.state))].join(' and ');
    const replayed = replies.every((reply) => reply.replayed) ? ' and replayed' : '';
    const times = raised === 500 ? 'once' : `by ${raised / 100}`;
    return `reply 1 ${lost}, replies 2 and 3 ${states}${replayed}, balance raised ${times}`;
  },
};
