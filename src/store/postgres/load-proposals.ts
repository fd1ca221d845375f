import { strict as assert } from 'node:assert';
import { STATES, type State } from '../../model/lifecycle.ts';
import type { Effect } from '../../model/plan.ts';
import type { Proposal } from '../../model/proposal.ts';
import {
  EFFECT_SIDES,
  nestedEffects,
  withNested,
  type EffectLists,
} from '../state/nested-effects.ts';
import { parseProposal, withEffects } from '../state/records.ts';
import { bigints, texts } from './arrays.ts';
import type { LoadQuery, Within } from './load-query.ts';
import { placeName, type Loaded } from './loaded.ts';
import { idOf, tenantOf, textOf, textOrNull, type Row } from './rows.ts';
import type { Wanted } from './wanted.ts';

export function stateOf(row: Row): State {
  const state = STATES.find((each) => each === row['state']);
  assert(state !== undefined, 'a stored state is one');
  return state;
}

/** Puts a proposal together from its record and the texts of its effects, by part. */
export function wholeProposal(record: string, parts: ReadonlyMap<string, string>): Proposal {
  const effectsOf = (side: string): readonly Effect[] =>
    // Written by a commit and by nothing else.
    JSON.parse(parts.get(side) ?? '[]') as readonly Effect[];
  const listed = withEffects(
    parseProposal(record),
    () => effectsOf('plan'),
    () => effectsOf('outcome'),
  );
  return EFFECT_SIDES.reduce((proposal, side) => {
    // Lists of a plan that was replaced stay where the new one has none.
    if (nestedEffects(proposal, side).length === 0) return proposal;
    // As above.
    const lists = JSON.parse(parts.get(`${side}-parts`) ?? '[]') as EffectLists;
    return withNested(proposal, side, lists);
  }, listed);
}

/** Locks the proposals, and reads those that are not kept as they are. */
export function proposalQueries(
  { schema, cache }: Pick<Within, 'schema' | 'cache'>,
  { proposals }: Pick<Wanted, 'proposals'>,
  loaded: Pick<Loaded, 'proposals'>,
  locking: '' | 'FOR NO KEY UPDATE OF p' = 'FOR NO KEY UPDATE OF p',
): readonly LoadQuery[] {
  if (proposals.length === 0) return [];
  const kept = proposals.map(({ tenant, id }) => cache.get(tenant, id));
  const known = new Map(
    kept.flatMap((each) => (each ? [[placeName(each.tenant, each.id), each] as const] : [])),
  );
  const values = [
    texts(proposals.map(({ tenant }) => tenant)),
    texts(proposals.map(({ id }) => id)),
    bigints(kept.map((proposal) => proposal?.step ?? 0)),
  ];
  const wanted = 'unnest($1::text[], $2::text[], $3::bigint[]) AS w (tenant, id, step)';
  const records = new Map<string, string>();
  const parts = new Map<string, Map<string, string>>();
  return [
    {
      // In one order, whoever locks them.
      text: `
        SELECT p.tenant, p.id, CASE WHEN p.step = w.step THEN NULL ELSE p.record END AS record
        FROM ${wanted} JOIN ${schema}.proposals AS p ON p.tenant = w.tenant AND p.id = w.id
        ORDER BY p.tenant, p.id ${locking}`,
      values,
      take(row) {
        const name = placeName(tenantOf(row), idOf(row, 'id'));
        const record = textOrNull(row, 'record');
        if (record !== null) records.set(name, record);
        else loaded.proposals.set(name, known.get(name) ?? assert.fail('it is kept'));
      },
    },
    {
      text: `
        SELECT e.tenant, e.proposal, e.part, e.effects FROM ${wanted}
        JOIN ${schema}.proposals AS p ON p.tenant = w.tenant AND p.id = w.id AND p.step <> w.step
        JOIN ${schema}.effects AS e ON e.tenant = p.tenant AND e.proposal = p.id`,
      values,
      take(row) {
        const name = placeName(tenantOf(row), idOf(row));
        const own = parts.get(name) ?? new Map<string, string>();
        parts.set(name, own.set(textOf(row, 'part'), textOf(row, 'effects')));
      },
      done() {
        for (const [name, record] of records) {
          const proposal = wholeProposal(record, parts.get(name) ?? new Map());
          loaded.proposals.set(name, proposal);
          cache.keep(proposal, record.length);
        }
      },
    },
  ];
}
