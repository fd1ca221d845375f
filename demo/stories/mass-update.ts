import type { Story } from '../story.ts';

/** AG-302 scenario A: one e-mail address for every customer. */
export const massUpdate: Story = {
  name: 'mass-update',
  title: 'One e-mail address for all customers (AG-302, scenario A)',
  expected: 'denied limit-exceeded at 47000 records, 0 rows changed',
  async play(world, tell) {
    const statement = "UPDATE customers SET email = 'support@example.com'";
    tell.asked('crm-agent', statement);
    const result = await world.crm.propose({ statement });
    await tell.answered(result);
    const changed = await world.count(
      "SELECT count(*) FROM customers WHERE email = 'support@example.com'",
    );
    tell.noted(`${changed} customers carry that address`);
    const records = /([\d,]+) records/.exec(result.reason)?.[1]?.replaceAll(',', '') ?? 'unknown';
    return `${result.state} ${result.code} at ${records} records, ${changed} rows changed`;
  },
};
