/** The `postgres` target: one INSERT, UPDATE or DELETE, measured by carrying it out and taking it back. */
import { strict as assert } from 'node:assert';
import { z } from 'zod';
import type { JsonObject } from '../lib/json.ts';
import type { PlanAnswer, PlanRequest, ProbeAnswer, ProbeRequest, Target } from '../model/ports.ts';
import { Problem } from '../model/problem.ts';
import { Refused, resolveSecret, type Connector, type Environment } from './connector.ts';
import { applyWrite, BEGIN, type Context } from './postgres/apply.ts';
import { openAmountsCheck } from './postgres/amounts.ts';
import { measureWrite, type Rehearsal, type Write } from './postgres/measure.ts';
import { openParser, type Parser } from './postgres/parse.ts';
import { prove } from './postgres/prove.ts';
import { openReceipts } from './postgres/receipts.ts';
import { asRefusal } from './postgres/refusals.ts';
import { openSessions } from './postgres/session.ts';
import { parsePostgresSettings, type PostgresSettings } from './postgres/settings.ts';

export const postgres: Connector = { kind: 'postgres', open: openPostgresTarget };

const PARAMETERS_MAX = 1_000;

const argumentsSchema = z.strictObject({
  statement: z.string().min(1),
  parameters: z
    .array(z.union([z.string(), z.number(), z.boolean(), z.null()]))
    .max(PARAMETERS_MAX)
    .default([]),
});

/**
 * Opens a `postgres` target: checks the settings, makes the receipt table where it is missing.
 *
 * A database that is down is no reason not to open: every call is then refused until it is back.
 * Throws `configuration-invalid` and `target-misconfigured`; no message holds the resolved URL.
 */
export async function openPostgresTarget(
  name: string,
  given: JsonObject,
  environment: Environment,
): Promise<Target> {
  const settings = parsePostgresSettings(name, given);
  const url = await resolveSecret(settings.url, '/url', environment);
  if (!/^postgres(?:ql)?:\/\//.test(url.reveal())) {
    throw new Problem(
      'configuration-invalid',
      `settings of target \`${name}\`: expected \`url\` to begin with \`postgres://\``,
      { at: '/url' },
    );
  }
  const sessions = openSessions(url, settings);
  const receipts = openReceipts(sessions, settings);
  const context: Context = { sessions, settings, receipts };
  const checkAmounts = openAmountsCheck(name, sessions, settings);
  const parser = openParser();
  const close = async (): Promise<void> => {
    await Promise.all([parser.close(), sessions.close()]);
  };
  try {
    await receipts.prepare();
    await checkAmounts();
  } catch (error) {
    const isDown = !(error instanceof Problem) && asRefusal(error).code === 'target-unavailable';
    if (!isDown) {
      await close();
      throw error instanceof Problem
        ? error
        : new Problem('target-misconfigured', `target \`${name}\`: ${asRefusal(error).reason}`, {
            cause: error,
          });
    }
  }
  return {
    name,
    kind: 'postgres',
    guarantee: 'transactional',
    operations: ['sql'],
    async plan(request, signal) {
      try {
        const write = await writeOf(parser, settings, request);
        await checkAmounts();
        return await plan(context, write, request, signal);
      } catch (error) {
        return asRefusal(error);
      }
    },
    async apply(request, signal) {
      let write: Write;
      try {
        write = await writeOf(parser, settings, request);
        await receipts.prepare();
        await checkAmounts();
      } catch (error) {
        return asRefusal(error);
      }
      return applyWrite(context, write, request, signal);
    },
    probe: (request) => probe(context, request),
    close,
  };
}

function plan(
  context: Context,
  write: Write,
  request: PlanRequest,
  signal: AbortSignal,
): Promise<PlanAnswer> {
  return context.sessions.write(signal, async (session) => {
    const once = async (rehearsal: Rehearsal['sample'] | null) => {
      await session.client.query(BEGIN);
      return measureWrite(session, write, {
        ...context,
        receipts: 0,
        rehearsal,
        permits: request.permits,
      });
    };
    let measured = await once(null);
    if (measured.kind === 'rehearsal') {
      await session.client.query('ROLLBACK');
      measured = await once(measured.sample);
    }
    assert(measured.kind === 'measured', 'a rehearsal is followed by the measure');
    const reversibility = await prove(session, measured, { ...context, receipts: 0 });
    await session.client.query('ROLLBACK');
    return { kind: 'planned', plan: { ...measured.plan, reversibility } };
  });
}

async function probe(context: Context, request: ProbeRequest): Promise<ProbeAnswer> {
  const { receipts } = context;
  try {
    await receipts.prepare();
    let found = await receipts.find(request.key);
    if (found === undefined && request.fence) {
      if (await receipts.fence(request.key)) return { kind: 'absent', fenced: true };
      found = await receipts.find(request.key);
    }
    if (found === undefined) return { kind: 'absent', fenced: false };
    if (found.state === 'void') return { kind: 'absent', fenced: true };
    return { kind: 'applied', reference: found.reference, effects: found.effects, evidence: null };
  } catch (error) {
    return { kind: 'unknown', reason: asRefusal(error).reason };
  }
}

/** What the request asks for, checked; a compensation comes from the gate and has no statement. */
async function writeOf(
  parser: Parser,
  settings: PostgresSettings,
  request: PlanRequest,
): Promise<Write> {
  if (request.compensated !== null) {
    return { kind: 'inverse', compensated: request.compensated };
  }
  const parsed = argumentsSchema.safeParse(request.arguments);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    const at = (issue?.path ?? []).join('/');
    throw new Refused(
      'arguments-invalid',
      `the arguments are wrong at \`/${at}\`: ${issue?.message ?? 'unexpected'}; expected ` +
        '`statement`, a text, and optionally `parameters`, a list of plain values',
    );
  }
  const { statement: text, parameters } = parsed.data;
  for (const [index, value] of parameters.entries()) {
    if (typeof value === 'string' && (value.includes('\0') || !value.isWellFormed())) {
      throw new Refused(
        'arguments-invalid',
        `parameter ${index + 1} holds a NUL or half a character, which no text of the database can`,
      );
    }
  }
  const statement = await parser.parse(text, settings.schemas);
  if (statement.parameters !== parameters.length) {
    throw new Refused(
      'arguments-invalid',
      `the statement uses ${statement.parameters} parameters and ${parameters.length} were given`,
    );
  }
  return { kind: 'statement', statement, parameters };
}
