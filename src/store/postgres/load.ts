/**
 * The statements that load what a batch needs. They go out together behind the one that locks the
 * tenants, so that each reads what was committed before that lock was granted.
 */
import type { Baseline } from '../../model/baseline.ts';
import { parseCredential, parseFreeze } from '../state/records.ts';
import { texts } from './arrays.ts';
import { budgetQueries } from './load-budgets.ts';
import { proposalQueries, stateOf } from './load-proposals.ts';
import type { LoadQuery, Within } from './load-query.ts';
import { hashName, listName, placeName, type Loaded } from './loaded.ts';
import {
  hexOf,
  idOf,
  integerOf,
  integerOrNull,
  tenantOf,
  textOf,
  textOrNull,
  type Row,
} from './rows.ts';
import type { Wanted } from './wanted.ts';

/** In this order: leases are read behind the locks of their proposals, which claims take too. */
export function loadQueries(within: Within, wanted: Wanted, loaded: Loaded): readonly LoadQuery[] {
  return [
    ...proposalQueries(within, wanted, loaded),
    entryQuery(within, wanted, loaded),
    ...keyQueries(within, wanted, loaded),
    ...budgetQueries(within, wanted, loaded),
    ...baselineQueries(within, wanted, loaded),
    ...switchQueries(within, wanted, loaded),
    ...leaseQueries(within, wanted, loaded),
  ];
}

function entryQuery({ schema }: Within, wanted: Wanted, loaded: Loaded): LoadQuery {
  return {
    text: `
      SELECT w.tenant, w.act, w.type, e.step, e.leaf_hash
      FROM unnest($1::text[], $2::text[], $3::text[]) AS w (tenant, act, type)
      CROSS JOIN LATERAL (
        SELECT step, leaf_hash FROM ${schema}.entries AS e
        WHERE e.tenant = w.tenant AND e.act = w.act AND (w.type = '' OR e.type = w.type)
        ORDER BY step DESC LIMIT 1) AS e`,
    values: [
      texts(wanted.entries.map(({ tenant }) => tenant)),
      texts(wanted.entries.map(({ act }) => act)),
      texts(wanted.entries.map(({ type }) => type)),
    ],
    take(row) {
      const [tenant, act, type] = [tenantOf(row), textOf(row, 'act'), textOf(row, 'type')];
      loaded.hashes.set(hashName(tenant, act, type), hexOf(row, 'leaf_hash'));
      if (type === '') loaded.steps.set(placeName(tenant, act), integerOf(row, 'step'));
    },
  };
}

function keyQueries({ schema }: Within, wanted: Wanted, loaded: Loaded): readonly LoadQuery[] {
  const { derived, supplied } = wanted;
  return [
    ...(derived.length === 0
      ? []
      : [
          {
            text: `
              SELECT w.tenant, w.key, k.proposal, p.state, p.settled_at
              FROM unnest($1::text[], $2::text[]) AS w (tenant, key)
              JOIN ${schema}.derived_keys AS k ON k.tenant = w.tenant AND k.key = w.key
              JOIN ${schema}.proposals AS p ON p.tenant = k.tenant AND p.id = k.proposal`,
            values: [
              texts(derived.map(({ tenant }) => tenant)),
              texts(derived.map(({ key }) => key)),
            ],
            take(row: Row) {
              const [tenant, key, id] = [tenantOf(row), textOf(row, 'key'), idOf(row)];
              loaded.derived.set(placeName(tenant, key), { tenant, key, proposal: id });
              const settledAt = integerOrNull(row, 'settled_at');
              loaded.standings.set(placeName(tenant, id), { id, state: stateOf(row), settledAt });
            },
          },
        ]),
    ...(supplied.length === 0
      ? []
      : [
          {
            text: `
              SELECT w.tenant, w.agent, w.key, k.proposal
              FROM unnest($1::text[], $2::text[], $3::text[]) AS w (tenant, agent, key)
              JOIN ${schema}.supplied_keys AS k
                ON k.tenant = w.tenant AND k.agent = w.agent AND k.key = w.key`,
            values: [
              texts(supplied.map(({ tenant }) => tenant)),
              texts(supplied.map(({ agent }) => agent)),
              texts(supplied.map(({ key }) => key)),
            ],
            take(row: Row) {
              const [tenant, agent, key] = [
                tenantOf(row),
                textOf(row, 'agent'),
                textOf(row, 'key'),
              ];
              const taken = { tenant, agent, key, proposal: idOf(row) };
              loaded.supplied.set(listName(tenant, agent, key), taken);
            },
          },
        ]),
  ];
}

function baselineQueries({ schema }: Within, wanted: Wanted, loaded: Loaded): readonly LoadQuery[] {
  const { subjects, proposals } = wanted;
  if (subjects.length === 0 && proposals.length === 0) return [];
  return [
    {
      text: `
        SELECT b.tenant, b.agent, b.target, b.operation, b.record
        FROM unnest($1::text[], $2::text[], $3::text[], $4::text[])
          AS w (tenant, agent, target, operation)
        JOIN ${schema}.baselines AS b ON b.tenant = w.tenant AND b.agent = w.agent
          AND b.target = w.target AND b.operation = w.operation
        UNION
        SELECT b.tenant, b.agent, b.target, b.operation, b.record
        FROM unnest($5::text[], $6::text[]) AS w (tenant, id)
        JOIN ${schema}.proposals AS p ON p.tenant = w.tenant AND p.id = w.id
        CROSS JOIN LATERAL jsonb_array_elements(p.subjects) AS s
        JOIN ${schema}.baselines AS b ON b.tenant = p.tenant AND b.agent = p.agent
          AND b.target = s ->> 0 AND b.operation = s ->> 1`,
      values: [
        texts(subjects.map(({ tenant }) => tenant)),
        texts(subjects.map(({ agent }) => agent)),
        texts(subjects.map(({ target }) => target)),
        texts(subjects.map(({ operation }) => operation)),
        texts(proposals.map(({ tenant }) => tenant)),
        texts(proposals.map(({ id }) => id)),
      ],
      take(row) {
        const [agent, target] = [textOf(row, 'agent'), textOf(row, 'target')];
        const subject = { agent, target, operation: textOf(row, 'operation') };
        const tenant = tenantOf(row);
        // Written by a commit and by nothing else.
        const baseline = JSON.parse(textOf(row, 'record')) as Baseline;
        const name = listName(tenant, agent, target, subject.operation);
        loaded.baselines.set(name, { tenant, subject, baseline });
      },
    },
  ];
}

function switchQueries({ schema }: Within, wanted: Wanted, loaded: Loaded): readonly LoadQuery[] {
  const { guarded, freezes, credentials } = wanted;
  return [
    ...(guarded.length === 0 && freezes.length === 0
      ? []
      : [
          {
            // Those that are on for the guarded, and those that somebody speaks about.
            text: `
              SELECT f.tenant, f.record FROM ${schema}.freezes AS f
              WHERE f.tenant = ANY ($1::text[]) AND f.released_at IS NULL
              UNION
              SELECT f.tenant, f.record FROM ${schema}.freezes AS f
              WHERE f.scope = 'all' AND f.released_at IS NULL AND cardinality($1::text[]) > 0
              UNION
              SELECT f.tenant, f.record FROM unnest($2::text[], $3::text[]) AS w (tenant, id)
              JOIN ${schema}.freezes AS f ON f.tenant = w.tenant AND f.id = w.id`,
            values: [
              texts(guarded),
              texts(freezes.map(({ tenant }) => tenant)),
              texts(freezes.map(({ id }) => id)),
            ],
            take(row: Row) {
              const [tenant, freeze] = [tenantOf(row), parseFreeze(textOf(row, 'record'))];
              loaded.freezes.set(placeName(tenant, freeze.id), { tenant, freeze });
            },
          },
        ]),
    ...(credentials.length === 0
      ? []
      : [
          {
            text: `SELECT tenant, record FROM ${schema}.credentials WHERE id = ANY ($1::text[])`,
            values: [texts(credentials)],
            take(row: Row) {
              const credential = parseCredential(textOf(row, 'record'));
              loaded.credentials.set(credential.id, { tenant: tenantOf(row), credential });
            },
          },
        ]),
  ];
}

function leaseQueries(
  { schema }: Within,
  { leases }: Wanted,
  loaded: Loaded,
): readonly LoadQuery[] {
  if (leases.length === 0) return [];
  return [
    {
      // A row at least, for the clock.
      text: `
        SELECT clock.now, found.* FROM (SELECT ${schema}.now_ms() AS now) AS clock
        LEFT JOIN (
          SELECT l.tenant, l.proposal, l.epoch, l.holder, l.until
          FROM unnest($1::text[], $2::text[]) AS w (tenant, id)
          JOIN ${schema}.leases AS l ON l.tenant = w.tenant AND l.proposal = w.id) AS found ON true`,
      values: [texts(leases.map(({ tenant }) => tenant)), texts(leases.map(({ id }) => id))],
      take(row) {
        loaded.now = integerOf(row, 'now');
        if (row['tenant'] === null) return;
        const [tenant, id] = [tenantOf(row), idOf(row)];
        const lease = {
          epoch: integerOf(row, 'epoch'),
          holder: textOrNull(row, 'holder'),
          until: integerOf(row, 'until'),
        };
        loaded.leases.set(placeName(tenant, id), { tenant, id, lease });
      },
    },
  ];
}
