/** Test 8.4: with all that the agent's process has, nothing but its own proposals can be reached. */
import { strict as assert } from 'node:assert';
import type { Figures } from '../check.ts';
import { answered, write, type ScopeWorld } from './world.ts';

interface Operation {
  readonly operationId: string;
  readonly security?: readonly unknown[];
}

type Document = Readonly<{ paths: Readonly<Record<string, Readonly<Record<string, Operation>>>> }>;

/** What an agent's credential is for; everything else that the gateway documents is not. */
const OF_AGENTS: ReadonlySet<string> = new Set([
  'preview',
  'propose',
  'viewProposal',
  'listProposals',
  'waitForResult',
  'proposalRows',
  'cancel',
  'read',
  'upload',
  'listOperations',
  'listFreezes',
  'listBudgets',
  'traceRun',
  'rollback',
]);

/** Every documented route that is not for agents, with an agent's credential, and with none at all. */
export async function routesOfPeopleAreClosed(world: ScopeWorld): Promise<Figures> {
  // The gateway's own document.
  const document = (await (await fetch(`${world.url}/v1/openapi.json`)).json()) as Document;
  let refused = 0;
  for (const [path, methods] of Object.entries(document.paths)) {
    for (const [method, { operationId, security }] of Object.entries(methods)) {
      const isPublic = security === undefined || security.length === 0;
      if (isPublic || OF_AGENTS.has(operationId)) continue;
      const url = `${world.url}${path.replaceAll(/\{[^}]+\}/g, 'prop_00000000000000000000000000')}`;
      for (const token of [world.tokenOf('writer'), '', 'wgp_forged']) {
        const response = await fetch(url, {
          method: method.toUpperCase(),
          headers: {
            ...(token !== '' && { authorization: `Bearer ${token}` }),
            ...(method !== 'get' && { 'content-type': 'application/json' }),
          },
          ...(method !== 'get' && { body: '{}' }),
        });
        await response.arrayBuffer();
        const isRefused = response.status === 401 || response.status === 403;
        assert.ok(isRefused, `${method} ${path} (${operationId}): ${response.status}`);
        refused += 1;
      }
    }
  }
  assert.ok(refused > 20, `only ${refused} calls were made`);
  return { refused };
}

/** A flood is held back before anything falls over, and what was let through is whole. */
export async function floodsAreHeldBack(world: ScopeWorld): Promise<Figures> {
  const writer = world.agent('writer');
  const calls = Array.from({ length: 600 }, (_, turn) =>
    write(writer, 'UPDATE repeated SET label = $1 WHERE id = 50', {
      parameters: [`flood ${turn}`],
    }).then(
      ({ state }) => state,
      (error: unknown) => (error instanceof Error && 'code' in error ? String(error.code) : 'lost'),
    ),
  );
  const states = await Promise.all(calls);
  const count = (wanted: string): number => states.filter((state) => state === wanted).length;
  assert.equal(count('lost'), 0, 'a call was lost without an answer');
  const after = await write(writer, "UPDATE repeated SET label = 'after' WHERE id = 51");
  answered(after, 'applied', 'applied');
  const report = await world.verify();
  assert.deepEqual(report.findings, []);
  return {
    calls: states.length,
    applied: count('applied'),
    'held back': count('too-many-requests'),
  };
}

/** Whatever was attacked above, the log tells a lawful story, and can be verified by anybody. */
export async function ledgerTellsIt(world: ScopeWorld): Promise<Figures> {
  const report = await world.verify();
  assert.deepEqual(report.findings, []);
  const { entries } = report.figures;
  return { proposals: entries.proposal, decisions: entries.decision, findings: 0 };
}
