import type { Story } from '../story.ts';

const POSTED = [1, 2, 3].map((n) => `INV-${n + 100}`);

/** AG-302 scenario C: a loop posts what is posted already, with a fresh key each time, and goes on. */
export const journalLoop: Story = {
  name: 'journal-loop',
  title: 'A loop that posts journal entries again (AG-302, scenario C)',
  expected:
    '3 posted, 3 denied duplicate-write, then denied budget-exceeded, 3 rows in the journal',
  async play(world, tell) {
    const post = (reference: string, key: string) =>
      world.ledger.propose(
        {
          statement: 'INSERT INTO journal_entries (account, reference, amount) VALUES ($1, $2, $3)',
          parameters: ['sales', reference, '120.00'],
        },
        key,
      );
    const outcomes: string[] = [];
    for (const [round, feed] of [POSTED, POSTED, ['INV-104']].entries()) {
      for (const reference of feed) {
        tell.asked('ledger-agent', `post ${reference} (pass ${round + 1})`);
        const result = await post(reference, `pass-${round}-${reference}`);
        await tell.answered(result);
        outcomes.push(result.state === 'applied' ? 'posted' : `${result.state} ${result.code}`);
      }
    }
    const rows = await world.count(
      "SELECT count(*) FROM journal_entries WHERE reference LIKE 'INV-10_'",
    );
    const tally = (outcome: string) => outcomes.filter((each) => each === outcome).length;
    const last = outcomes.at(-1) ?? 'nothing';
    return `${tally('posted')} posted, ${tally('denied duplicate-write')} denied duplicate-write, then ${last}, ${rows} rows in the journal`;
  },
};
