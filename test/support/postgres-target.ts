/** A `postgres` target over a database of its own, with the calls that its tests make again and again. */
import { strict as assert } from 'node:assert';
import pg from 'pg';
import type { Postgres } from '../../support/postgres.ts';
import { openPostgresTarget } from '../../src/connectors/postgres.ts';
import type { JsonObject } from '../../src/lib/json.ts';
import { newProposalId } from '../../src/model/ids.ts';
import { planDigest, type Plan } from '../../src/model/plan.ts';
import type {
  ApplyAnswer,
  PlanAnswer,
  PlanRequest,
  Target,
  TargetRefusal,
} from '../../src/model/ports.ts';

type Parameters = readonly (string | number | boolean | null)[];

export interface TargetBench {
  readonly target: Target;
  /** A superuser's connection to the same database. */
  readonly admin: pg.Client;
  ask(statement: string, parameters?: Parameters): PlanRequest;
  plan(request: PlanRequest): Promise<PlanAnswer>;
  /** The plan, where there must be one. */
  planned(statement: string, parameters?: Parameters): Promise<Plan>;
  /** The refusal, where there must be one. */
  refused(statement: string, parameters?: Parameters): Promise<TargetRefusal>;
  apply(request: PlanRequest, shown: Plan): Promise<ApplyAnswer>;
  /** Plans and applies, and returns the request for the inverse. */
  done(statement: string, parameters?: Parameters): Promise<PlanRequest>;
  /** First column of every row. */
  rows(query: string): Promise<readonly string[]>;
  close(): Promise<void>;
}

let databases = 0;
let proposals = 0;

export async function openTargetBench(
  server: Postgres,
  schema: string,
  settings: JsonObject = {},
): Promise<TargetBench> {
  databases += 1;
  const name = `bench_${databases}`;
  await server.createDatabase(name);
  const admin = new pg.Client(server.url(name));
  await admin.connect();
  await admin.query(schema);
  const target = await openPostgresTarget('bench', { url: server.url(name), ...settings }, () => {
    return undefined;
  });
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
    async done(statement, parameters) {
      const asked = bench.ask(statement, parameters);
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
