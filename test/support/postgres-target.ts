/** A `postgres` target over a database of its own, with the calls that its tests make again and again. */
import { strict as assert } from 'node:assert';
import pg from 'pg';
import type { Postgres } from '../../support/postgres.ts';
import { openPostgresTarget } from '../../src/connectors/postgres.ts';
import type { Governed } from '../../src/connectors/postgres/roles/reach.ts';
import { parsePostgresSettings } from '../../src/connectors/postgres/settings.ts';
import type { JsonObject } from '../../src/lib/json.ts';
import { newProposalId } from '../../src/model/ids.ts';
import { planDigest, type Plan } from '../../src/model/plan.ts';
import type {
  ApplyAnswer,
  PlanAnswer,
  PlanRequest,
  StepRequest,
  Target,
  TargetRefusal,
} from '../../src/model/ports.ts';
import { makeRoles } from './postgres-roles.ts';

/** What a test says of a step; the rest is as usual. */
export type AskedStep = Pick<StepRequest, 'arguments'> & Partial<StepRequest>;

type Parameters = readonly (string | number | boolean | null)[];

export interface TargetBench {
  readonly target: Target;
  /** A superuser's connection to the same database. */
  readonly admin: pg.Client;
  ask(statement: string, parameters?: Parameters): PlanRequest;
  /** A request for several steps; a text is one of `sql`. */
  askSteps(...steps: readonly (string | AskedStep)[]): PlanRequest;
  plan(request: PlanRequest): Promise<PlanAnswer>;
  /** The plan, where there must be one. */
  planned(statement: string, parameters?: Parameters): Promise<Plan>;
  /** The refusal, where there must be one. */
  refused(statement: string, parameters?: Parameters): Promise<TargetRefusal>;
  apply(request: PlanRequest, shown: Plan): Promise<ApplyAnswer>;
  /** Plans and applies, and returns the request for the inverse. */
  done(statement: string, parameters?: Parameters): Promise<PlanRequest>;
  /** As `done`, for any request. */
  carriedOut(asked: PlanRequest): Promise<PlanRequest>;
  /** First column of every row. */
  rows(query: string): Promise<readonly string[]>;
  close(): Promise<void>;
}

/** The schemas and tables of the settings, as the target itself reads them. */
function governedBy(settings: JsonObject): Governed {
  return parsePostgresSettings('bench', { url: 'postgres://none', ...settings });
}

let databases = 0;
let proposals = 0;

/**
 * With `roles` the target has the roles that `writegate add postgres` makes, in place of a superuser;
 * with `owner` they are made by an owner without superuser, as a managed server has one.
 */
export async function openTargetBench(
  server: Postgres,
  schema: string,
  settings: JsonObject = {},
  options: { readonly roles?: boolean | 'owner' } = {},
): Promise<TargetBench> {
  databases += 1;
  const name = `bench_${databases}`;
  await server.createDatabase(name);
  const admin = new pg.Client(server.url(name));
  await admin.connect();
  const maker = new URL(server.url(name));
  if (options.roles === 'owner') {
    maker.username = `owner_${name}`;
    maker.password = 'owner';
    await admin.query(`CREATE ROLE owner_${name} LOGIN PASSWORD 'owner' CREATEROLE;
      ALTER DATABASE ${name} OWNER TO owner_${name}; SET ROLE owner_${name}`);
  }
  await admin.query(schema);
  await admin.query('RESET ROLE');
  // Most tests are not about roles: a superuser makes them short.
  const roles =
    options.roles !== undefined && options.roles !== false
      ? await makeRoles(maker.href, { governed: governedBy(settings) })
      : { url: server.url(name), acceptFindings: ['role-superuser'] };
  const target = await openPostgresTarget('bench', { ...roles, ...settings }, () => undefined);
  const signal = (): AbortSignal => AbortSignal.timeout(60_000);
  const digest = (plan: Plan): ReturnType<typeof planDigest> => planDigest('bench', 'sql', plan);
  const request = (args: JsonObject): PlanRequest => {
    proposals += 1;
    const proposalId = newProposalId(proposals, new Uint8Array(10));
    return {
      proposalId,
      operation: 'sql',
      arguments: args,
      permits: () => true,
      compensated: null,
    };
  };
  const bench: TargetBench = {
    target,
    admin,
    ask: (statement, parameters = []) => request({ statement, parameters }),
    plan: (asked) => target.plan(asked, signal()),
    async planned(statement, parameters) {
      const answer = await bench.plan(bench.ask(statement, parameters));
      assert(answer.kind === 'planned', JSON.stringify(answer));
      return answer.plan;
    },
    async refused(statement, parameters) {
      const answer = await bench.plan(bench.ask(statement, parameters));
      assert(answer.kind === 'refused', JSON.stringify(answer).slice(0, 2_000));
      return answer;
    },
    apply: (asked, shown) =>
      target.apply(
        { ...asked, key: asked.proposalId, planDigest: digest(shown), digest },
        signal(),
      ),
    askSteps: (...steps) => {
      const asked = steps.map((step): StepRequest => {
        const usual = { operation: 'sql', permits: () => true };
        return Object.assign(
          usual,
          typeof step === 'string' ? { arguments: { statement: step } } : step,
        );
      });
      return { ...request(asked[0]?.arguments ?? {}), steps: asked };
    },
    done: (statement, parameters) => bench.carriedOut(bench.ask(statement, parameters)),
    async carriedOut(asked) {
      const answer = await bench.plan(asked);
      assert(answer.kind === 'planned', JSON.stringify(answer));
      const applied = await bench.apply(asked, answer.plan);
      assert(applied.kind === 'applied', JSON.stringify(applied));
      const effects = applied.effects ?? answer.plan.effects;
      const compensated = {
        proposalId: asked.proposalId,
        plan: answer.plan,
        effects,
        evidence: applied.evidence ?? answer.plan.evidence,
      };
      return { ...request({}), compensated };
    },
    async rows(query) {
      const { rows } = await admin.query<string[]>({ text: query, rowMode: 'array' });
      return rows.map((row) => String(row[0]));
    },
    async close() {
      await target.close();
      await admin.end();
    },
  };
  return bench;
}
