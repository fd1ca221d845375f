/**
 * The policy's check queries: each is asked in the transaction of the write, after it was measured, and
 * must answer one row with one true.
 *
 * Q1 A check changes nothing: it runs in a read-only savepoint that is taken back, whatever it answers.
 * Q2 It is one SELECT without chance and without a clock of its own, so that asked again on the same
 *    rows it says the same.
 * Q3 It takes `CHECK_MS_MAX` at most. What it could not answer does not hold.
 */
import type { CheckResult } from '../../../model/plan.ts';
import type { PlanCheck } from '../../../model/ports.ts';
import { Refused } from '../../connector.ts';
import type { Carried, CarryContext } from './carry.ts';
import { isPlainError, sqlState } from '../session/refusals.ts';
import type { Session } from '../session/session.ts';
import { VOLATILE_FUNCTIONS } from '../text/allowed.ts';

export const CHECK_MS_MAX = 1_000;
const MESSAGE_LENGTH_MAX = 300;
/** The server's numbers for `boolean`, and for what a message may be: `text`, `varchar`, a bare literal. */
const BOOLEAN = 16;
const TEXTS: readonly number[] = [25, 1043, 705];

/** Adds what the checks say of a write that was carried out; its transaction stays as it is. */
export async function withChecks(
  session: Session,
  carried: Carried,
  context: CarryContext,
): Promise<Carried> {
  const results: CheckResult[] = [];
  for (const check of context.checks) results.push(await ask(session, check, context));
  if (results.length === 0) return carried;
  // A view that it reads may run functions of anybody's.
  session.touch();
  return { ...carried, plan: { ...carried.plan, checks: results } };
}

async function ask(
  session: Session,
  { name, query }: PlanCheck,
  { parser, settings }: CarryContext,
): Promise<CheckResult> {
  const fails = (message: string): CheckResult => ({ name, holds: false, message });
  let text: string;
  try {
    const parsed = await parser.parseRead(query, settings);
    const chance = parsed.functions.find((each) => VOLATILE_FUNCTIONS.has(each));
    if (chance !== undefined)
      return fails(`its query calls \`${chance}\`, which never says the same`);
    if (/\btablesample\b/i.test(parsed.text)) return fails('its query takes a random sample');
    if (parsed.parameters > 0) return fails('its query has parameters, and none are given');
    text = parsed.text;
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return fails(`its query is refused: ${error.message}`);
  }
  const timeoutMs = Math.min(CHECK_MS_MAX, settings.statementTimeoutMs);
  await session.client.query(
    `SAVEPOINT writegate_check; SET LOCAL transaction_read_only = on; SET LOCAL statement_timeout = ${timeoutMs}`,
  );
  try {
    const { rows, fields } = await session.client.query<unknown[]>({
      // A second row is enough to know that there is not one.
      text: `SELECT * FROM (${text}\n) AS writegate_check LIMIT 2`,
      rowMode: 'array',
    });
    const types = fields.map((field) => field.dataTypeID);
    return { name, ...answerOf(rows, types) };
  } catch (error) {
    if (!isPlainError(error)) throw error;
    return fails(whyUnanswered(sqlState(error)));
  } finally {
    await session.client
      .query('ROLLBACK TO SAVEPOINT writegate_check; RELEASE SAVEPOINT writegate_check')
      .catch(brokenElsewhere);
  }
}

function answerOf(
  rows: readonly (readonly unknown[])[],
  types: readonly number[],
): Pick<CheckResult, 'holds' | 'message'> {
  const fails = (message: string | null) => ({ holds: false, message });
  const [first, second] = types;
  const isMessage = second === undefined || TEXTS.includes(second);
  if (first !== BOOLEAN || !isMessage || types.length > 2) {
    return fails('its query must answer one boolean, and at most one text beside it');
  }
  const [row] = rows;
  if (row === undefined || rows.length > 1) {
    return fails(`its query answered ${row === undefined ? 'no row' : 'several rows'}, not one`);
  }
  const [holds, said] = row;
  if (holds === true) return { holds: true, message: null };
  if (typeof said === 'string' && said !== '') return fails(plain(said));
  return fails(holds === null ? 'its query answered null, not true' : null);
}

/** The operator's sentence, with values of the database in it: nothing in it moves a terminal. */
function plain(text: string): string {
  const visible = text.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, ' ');
  return visible.length > MESSAGE_LENGTH_MAX
    ? `${visible.slice(0, MESSAGE_LENGTH_MAX).toWellFormed()}…`
    : visible;
}

function whyUnanswered(state: string | undefined): string {
  switch (state) {
    case '57014':
      return 'its query took longer than it may';
    case '55P03':
      return 'its query waited for a lock that another holds';
    case '25006':
      return 'its query tried to write';
    default:
      return `its query could not be answered (SQLSTATE ${state ?? 'unknown'})`;
  }
}

/** A connection that is gone is told by what is asked of it next. */
function brokenElsewhere(): void {
  // Nothing to do.
}
