/** What went wrong for others, as the standard and the articles tell it, played against the gateway. */
import { strict as assert } from 'node:assert';
import type { Figures } from '../check.ts';
import { answered, digestOf, idOf, write, type ScopeWorld } from './world.ts';

/** AG-302, scenario A: one e-mail address for all of 47,000 customers. */
export async function massUpdate(world: ScopeWorld): Promise<Figures> {
  const statement = "UPDATE customers SET email = 'support@example.com'";
  const result = await write(world.agent('writer'), statement);
  answered(result, 'denied', 'limit-exceeded', '47,000 records', '1,000');
  const changed = await world.count(
    "SELECT count(*) FROM customers WHERE email = 'support@example.com'",
  );
  assert.equal(changed, 0);
  return { records: 47_000, changed };
}

const POSTED = 30;

/** AG-302, scenario C: a feed is worked through again and again, with fresh keys, and grows. */
export async function journalLoop(world: ScopeWorld): Promise<Figures> {
  const writer = world.agent('writer');
  const post = (reference: number, pass: number) =>
    write(writer, 'INSERT INTO journal (reference, amount) VALUES ($1, $2)', {
      parameters: [`J-${reference}`, '120.00'],
      key: `pass-${pass}-${reference}`,
      run: `pass-${pass}`,
    });
  const codes = new Map<string, number>();
  for (let pass = 1; pass <= 3; pass += 1) {
    // The last pass brings entries that no one has posted yet.
    const from = pass === 3 ? 1_000 : 0;
    for (let reference = from; reference < from + POSTED; reference += 1) {
      const { code } = await post(reference, pass);
      codes.set(code, (codes.get(code) ?? 0) + 1);
    }
  }
  const rows = await world.count('SELECT count(*) FROM journal');
  assert.equal(rows, POSTED, JSON.stringify([...codes]));
  assert.equal(codes.get('duplicate-write'), POSTED);
  assert.equal(codes.get('budget-exceeded'), POSTED);
  return { proposed: 3 * POSTED, posted: rows };
}

/** A database is deleted during a code freeze: the stop binds, and without it nothing would go through. */
export async function codeFreeze(world: ScopeWorld): Promise<Figures> {
  const olga = world.person('olga');
  const freeze = await olga.stop({ kind: 'all' }, 'code freeze');
  const destroying = ['DROP TABLE customers', 'TRUNCATE customers', 'DELETE FROM customers'];
  for (const statement of destroying) {
    answered(await write(world.agent('writer'), statement), 'denied', 'frozen');
  }
  const harmless = await write(world.agent('writer'), 'UPDATE items SET stock = 21 WHERE id = 1');
  answered(harmless, 'denied', 'frozen');
  await assert.rejects(world.agent('writer').release(freeze.id, 'I panicked'), {
    code: 'credential-kind',
  });
  await olga.release(freeze.id, 'over');
  for (const statement of destroying) {
    const result = await write(world.agent('writer'), statement, { key: `again-${statement}` });
    assert.equal(result.state, 'denied', result.code);
  }
  assert.equal(await world.count('SELECT count(*) FROM customers'), 47_000);
  return { statements: 7, rows: 47_000 };
}

/** Tickets are closed in a loop, and those of another tenant with them. */
export async function massClosure(world: ScopeWorld): Promise<Figures> {
  const writer = world.agent('writer');
  const all = await write(writer, "UPDATE tickets SET status = 'closed'");
  answered(all, 'denied', 'limit-exceeded', '500 records');
  const close = "UPDATE tickets SET status = 'closed' WHERE id = 7";
  answered(await write(writer, close), 'applied', 'applied');
  const again = [1, 2, 3].map((step) => write(writer, close, { key: `step-${step}` }));
  for (const result of await Promise.all(again)) answered(result, 'denied', 'duplicate-write');
  assert.equal(await world.count("SELECT count(*) FROM tickets WHERE status = 'closed'"), 1);
  return { proposed: 5, closed: 1 };
}

/** One value, one row, taken back without a trace if wanted, and read by seven services at start-up. */
export async function sevenServices(world: ScopeWorld): Promise<Figures> {
  const writer = world.agent('writer');
  const result = await write(
    writer,
    "UPDATE configuration SET value = '0' WHERE name = 'pool.size'",
  );
  answered(result, 'waiting', 'risk-critical', '7 dependents', 'checkout');
  const { assessment } = await world.person('alice').view(idOf(result));
  assert.equal(assessment?.plan.reversibility.kind, 'proved');
  assert.equal(assessment?.blastRadius.records, 1);
  assert.equal(assessment?.risk.level, 'critical');
  const no = { planDigest: digestOf(result), verdict: 'deny', reason: 'not on a Friday' } as const;
  answered(await world.person('alice').approve(idOf(result), no), 'denied', 'denied-by-person');
  return { records: 1, services: 7, risk: assessment?.risk.score ?? 0 };
}

const USUAL = 40;

/** An agent that wrote one row at a time comes with a hundred: within every bound, and people look. */
export async function outOfCharacter(world: ScopeWorld): Promise<Figures> {
  const twin = world.agent('twin');
  const note = (from: number, to: number, text: string) =>
    write(twin, 'UPDATE bulk SET note = $1 WHERE id BETWEEN $2 AND $3', {
      parameters: [text, from, to],
    });
  for (let id = 300; id < 300 + USUAL; id += 1) {
    answered(await note(id, id, `usual ${id}`), 'applied', 'applied');
    // One a minute, so that its pace is no news.
    world.advance(60_000);
  }
  const result = await note(1, 95, 'unusual');
  answered(result, 'waiting', 'anomalous', '95 records in one write; usual 1');
  assert.equal(await world.count("SELECT count(*) FROM bulk WHERE note = 'unusual'"), 0);
  await twin.cancel(idOf(result));
  return { usual: 1, unusual: 95, writes: USUAL };
}
