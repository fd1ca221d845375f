/** The `postgres` target: writes measured by carrying them out, kept or taken back; and reads. */
import type { JsonObject } from '../lib/json.ts';
import type { Secret } from '../lib/secret.ts';
import type {
  HoldRequest,
  PlanAnswer,
  PlanRequest,
  ProbeAnswer,
  ProbeRequest,
  Target,
} from '../model/ports.ts';
import { Problem } from '../model/problem.ts';
import { amountsInArguments, type Measured } from './amounts.ts';
import {
  resolveSecret,
  type Connector,
  type Environment,
  type Surroundings as Lent,
} from './connector.ts';
import { listResources } from './postgres/catalog/resources.ts';
import { openAmountsCheck } from './postgres/measure/amounts.ts';
import { applyWrite } from './postgres/apply.ts';
import { refusalOf } from './postgres/measure/at-step.ts';
import type { CarryContext, Surroundings } from './postgres/measure/carry.ts';
import { holdWrite } from './postgres/hold.ts';
import { LearntMasks } from './postgres/measure/learn.ts';
import { Callers } from './postgres/catalog/callers.ts';
import { readStructure } from './postgres/catalog/structure.ts';
import { openRolesCheck } from './postgres/roles/findings.ts';
import { openParser } from './postgres/text/parse.ts';
import {
  canonicalWrite,
  OPERATIONS,
  proposedWrite,
  type ProposedContext,
} from './postgres/proposed/proposed.ts';
import { planWrite, type Previews } from './postgres/plan.ts';
import { proposedSteps } from './postgres/proposed/steps.ts';
import { BulkShapes, KeyedQueue } from './postgres/session/queue.ts';
import { openReads } from './postgres/read/read.ts';
import { openReceipts } from './postgres/session/receipts.ts';
import { asRefusal } from './postgres/session/refusals.ts';
import { openSessions } from './postgres/session/session.ts';
import {
  parsePostgresSettings,
  type PostgresSettings,
  type ShadowSettings,
} from './postgres/settings.ts';
import { checkShadow, planOn } from './postgres/shadow.ts';
import { openWitnesses } from './postgres/session/snapshot.ts';
import { OPERATION_SCHEMAS } from './postgres/proposed/structured-schemas.ts';
import { statementsOf, type Write } from './postgres/measure/teacher.ts';

export const postgres: Connector = { kind: 'postgres', open: openPostgresTarget };

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
  lent: Lent = {},
): Promise<Target> {
  const settings = parsePostgresSettings(name, given);
  const urls = await resolveUrls(name, settings, environment);
  const parser = openParser();
  const ground = layGround(settings, urls, lent);
  const { sessions, receipts, witnesses } = ground;
  const shadow = layShadow(settings, urls, lent);
  const checkAmounts = openAmountsCheck(name, sessions, settings);
  const checkRoles = openRolesCheck(name, urls, settings, (line) => lent.log?.(line, undefined));
  const close = async (): Promise<void> => {
    await Promise.all([parser.close(), sessions.close(), witnesses.close()]);
    await Promise.all([shadow?.sessions.close(), shadow?.witnesses.close()]);
  };
  const check = async (): Promise<void> => {
    await checkRoles();
    await checkAmounts();
  };
  const prepare = async (): Promise<void> => {
    await checkRoles();
    await receipts.prepare();
    await checkAmounts();
  };
  const prepareAll = async (): Promise<void> => {
    await prepare();
    await checkShadow(name, shadow);
  };
  await prepareOrClose(name, prepareAll, close);
  const proposed: ProposedContext = { parser, settings, uploads: lent.uploads };
  const previews: Previews = { queue: new KeyedQueue(), bulk: new BulkShapes() };
  return {
    name,
    kind: 'postgres',
    guarantee: 'transactional',
    operations: OPERATIONS,
    schemas: OPERATION_SCHEMAS,
    canonical: (operation, args) => canonicalWrite(proposed, { operation, arguments: args }),
    steps: true,
    async plan(request, signal) {
      let write: Write | undefined;
      try {
        const found = await writeOf(proposed, request);
        write = found;
        await check();
        const at = (from: Surroundings): Promise<PlanAnswer> =>
          planWrite(contextOf(from, proposed, request), found, { previews, signal });
        if (shadow === null) return await at(ground);
        return await planOn({ primary: ground, shadow, whenDown: shadow.whenDown }, request, at);
      } catch (error) {
        return refusalOf(error, write);
      }
    },
    async hold(request, signal) {
      if (isPlannedFirst(settings, request)) return null;
      let write: Write;
      try {
        write = await writeOf(proposed, request);
        await prepare();
      } catch (error) {
        return asRefusal(error);
      }
      if (statementsOf(write).some(({ copy }) => copy !== undefined)) return null;
      return holdWrite(contextOf(ground, proposed, request), write, request, signal);
    },
    async apply(request, signal) {
      let write: Write;
      try {
        write = await writeOf(proposed, request);
        await prepare();
      } catch (error) {
        return asRefusal(error);
      }
      return applyWrite(contextOf(ground, proposed, request), write, request, signal);
    },
    structure: async (resource) => {
      try {
        await check();
        return await readStructure(sessions, settings, resource);
      } catch (error) {
        return asRefusal(error);
      }
    },
    read: openReads({ sessions, settings, parser, clock: lent.clock ?? { now: Date.now } }),
    probe: (request) => probe(ground, request),
    resources: () => listResources(sessions, settings),
    close,
  };
}

interface TargetUrls {
  readonly writer: Secret;
  readonly reader: Secret | undefined;
  readonly evidence: Secret | undefined;
  readonly undo: Secret | undefined;
  readonly shadow: Secret | undefined;
}

async function resolveUrls(
  name: string,
  settings: PostgresSettings,
  environment: Environment,
): Promise<TargetUrls> {
  const resolved = async (role: 'url' | 'reader' | 'evidence' | 'undo' | 'shadow') => {
    const text = role === 'shadow' ? settings.shadow?.url : settings[role];
    if (text === undefined) return undefined;
    const url = await resolveSecret(text, `/${role}`, environment);
    if (/^postgres(?:ql)?:\/\//.test(url.reveal())) return url;
    throw new Problem(
      'configuration-invalid',
      `settings of target \`${name}\`: expected \`${role}\` to begin with \`postgres://\``,
      { at: `/${role}` },
    );
  };
  const writer = await resolved('url');
  if (writer === undefined) throw new Error('the settings have a `url`');
  return {
    writer,
    reader: await resolved('reader'),
    evidence: await resolved('evidence'),
    undo: await resolved('undo'),
    shadow: await resolved('shadow'),
  };
}

function layGround(settings: PostgresSettings, urls: TargetUrls, lent: Lent): Surroundings {
  const { writer, reader, evidence, undo } = urls;
  const sessions = openSessions(writer, settings, { reader, evidence, undo });
  return {
    sessions,
    settings,
    receipts: openReceipts(sessions, settings),
    witnesses: openWitnesses(evidence ?? writer, settings),
    learnt: new LearntMasks(),
    callers: new Callers(sessions),
    evidence: lent.evidence,
  };
}

/** The same on the server where previews run; null where they run on the target itself. */
function layShadow(
  settings: PostgresSettings,
  { shadow }: TargetUrls,
  lent: Lent,
): (Surroundings & Pick<ShadowSettings, 'whenDown'>) | null {
  if (shadow === undefined || settings.shadow === undefined) return null;
  const roles = { reader: undefined, evidence: undefined, undo: undefined, shadow: undefined };
  const ground = layGround(settings, { writer: shadow, ...roles }, lent);
  return { ...ground, whenDown: settings.shadow.whenDown };
}

async function prepareOrClose(
  name: string,
  prepare: () => Promise<void>,
  close: () => Promise<void>,
): Promise<void> {
  try {
    await prepare();
  } catch (error) {
    const isDown = !(error instanceof Problem) && asRefusal(error).code === 'target-unavailable';
    if (isDown) return;
    await close();
    if (error instanceof Problem) throw error;
    const { reason } = asRefusal(error);
    throw new Problem('target-misconfigured', `target \`${name}\`: ${reason}`, { cause: error });
  }
}

function contextOf(
  ground: Surroundings,
  { parser }: ProposedContext,
  request: PlanRequest,
): CarryContext {
  const { permits, recordsMax, proposalId, checks = [] } = request;
  const stated = statedValue(ground.settings, request);
  return { ...ground, permits, recordsMax, checks, parser, stated, owner: proposalId };
}

/** What is taken back has the value that it was let by with: its own arguments state none. */
function statedValue({ amounts }: PostgresSettings, request: PlanRequest): Measured | null {
  const { operation, arguments: args, compensated, steps } = request;
  // Each of several steps states its own.
  if (steps !== undefined) return null;
  if (compensated === null) return amountsInArguments(amounts, operation, args);
  const { value, valueComplete } = compensated.plan;
  return amounts.length === 0 ? null : { value, complete: valueComplete };
}

/** Where one pass would not do: a compensation, and what is previewed elsewhere. */
function isPlannedFirst({ shadow }: PostgresSettings, { compensated }: HoldRequest): boolean {
  return shadow !== undefined || compensated !== null;
}

async function probe(
  { receipts }: Surroundings,
  { key, fence, references = [] }: ProbeRequest,
): Promise<ProbeAnswer> {
  try {
    await receipts.prepare();
    return await receipts.settle(key, fence, references);
  } catch (error) {
    return { kind: 'unknown', reason: asRefusal(error).reason };
  }
}

/** What the request asks for, checked; a compensation comes from the gate and has no statement. */
async function writeOf(proposed: ProposedContext, request: PlanRequest): Promise<Write> {
  const { compensated, steps, proposer } = request;
  if (compensated !== null) return { kind: 'inverse', compensated };
  if (steps !== undefined) {
    return { kind: 'steps', steps: await proposedSteps(proposed, steps, proposer) };
  }
  return { kind: 'statement', ...(await proposedWrite(proposed, request)) };
}
