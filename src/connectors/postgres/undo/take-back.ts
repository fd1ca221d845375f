/** A compensation as the full lane carries it out: the inverse of applied effects, measured as any write. */
import type { Effect, Plan } from '../../../model/plan.ts';
import type { Compensated, EvidenceReader } from '../../../model/ports.ts';
import { Refused } from '../../connector.ts';
import type { CarryContext } from '../measure/carry.ts';
import { readCatalog, type Catalog } from '../catalog/catalog.ts';
import { openImages } from './kept-images.ts';
import { Masks } from '../measure/masks.ts';
import { readEffects } from './proof.ts';
import type { Doing } from '../measure/run.ts';
import type { Role } from '../session/pins.ts';
import type { PostgresSettings } from '../settings.ts';
import type { Write } from '../measure/teacher.ts';
import type { RelationName } from '../text/tree.ts';
import { lackingFor } from './undo-rights.ts';
import { readUndoTables } from './undo-tables.ts';
import { takeBack } from './undo.ts';
import type { Lane } from '../measure/write.ts';

/**
 * Who carries a write out: an inverse goes by the undo role where there is one and it may do all of it
 * with triggers off; else by the writer, with triggers on, as its proof was made.
 */
export async function roleFor(
  write: Write,
  context: CarryContext,
  signal: AbortSignal,
): Promise<Role> {
  if (write.kind !== 'inverse' || !context.sessions.has('undo')) return 'writer';
  const { compensated } = write;
  checkImages(compensated);
  const reader = await openEvidence(compensated, context);
  try {
    const effects = reader ?? compensated.effects;
    const { partOf } = compensated.plan;
    const lacking = await context.sessions.write(
      signal,
      (session) => lackingFor(session, { effects, partOf }),
      'undo',
    );
    return lacking === null ? 'undo' : 'writer';
  } finally {
    await reader?.close();
  }
}

/** Checks that all images are there, and says how the inverse is run. */
export async function prepareInverse(
  lane: Lane,
  compensated: Compensated,
  { context, receipts }: { readonly context: CarryContext; readonly receipts: number },
): Promise<Doing> {
  const { plan } = compensated;
  checkImages(compensated);
  const { settings } = context;
  const target = relationOf(plan.resource, settings);
  const subject = { target, reads: [], functions: [], operators: [], fields: [] };
  const catalog = await readCatalog(lane.session, subject, settings);
  const replica = lane.session.role === 'undo';
  const ofTriggers = replica ? [] : await ownOfTriggers(lane.session, plan);
  const masks = masksOf(plan, [...plan.maskedColumns, ...ofTriggers], catalog);
  const resources = new Set([plan.resource, ...plan.counts.map(({ resource }) => resource)]);
  return {
    catalog,
    written: [...resources].map((resource) => relationOf(resource, settings)),
    async run(own) {
      const reader = await openEvidence(compensated, context);
      try {
        await takeBack(own.session, {
          effects: reader ?? compensated.effects,
          partOf: plan.partOf,
          except: plan.reversibility.except ?? [],
          replica,
          fresh: (query) => context.sessions.read(query, own.session.role),
          net: () => readEffects(own, context, receipts),
        });
      } finally {
        await reader?.close();
      }
      return null;
    },
    receipts,
    gathering: { catalog, masks, guarded: { kind: 'inverse' }, sampled: false },
    // The counts of several steps are sums: an update of one may be of a row that another created.
    inverseOf: plan.steps === undefined ? plan.counts : [],
  };
}

function relationOf(resource: string, settings: PostgresSettings): RelationName {
  const schema = settings.schemas.find((each) => resource.startsWith(`${each}.`));
  if (schema === undefined) {
    throw new Refused('rollback-impossible', `\`${resource}\` is no longer governed`);
  }
  return { schema, name: resource.slice(schema.length + 1), at: -1 };
}

/** Columns that triggers will fill: those that the proof named, and all of rows only an inverse adds. */
async function ownOfTriggers(session: Lane['session'], plan: Plan): Promise<readonly string[]> {
  const { except = [] } = plan.reversibility;
  const known = new Set([plan.resource, ...plan.counts.map(({ resource }) => resource)]);
  const isColumn = (name: string): boolean =>
    [...known].some((resource) => name.startsWith(`${resource}.`));
  const added = except.filter((name) => !known.has(name) && !isColumn(name));
  if (added.length === 0) return except.filter(isColumn);
  const tables = await readUndoTables(session, added, {});
  const columns = [...tables.values()].flatMap(({ resource, columns: each }) =>
    each.map(({ name }) => `${resource}.${name}`),
  );
  return [...except.filter(isColumn), ...columns];
}

/** Columns that the database fills by itself, and did in the write that is taken back. */
function masksOf(plan: Plan, names: readonly string[], catalog: Catalog): Masks {
  const own = new Set<string>();
  const others = new Map<string, Set<string>>();
  const except = plan.reversibility.except ?? [];
  const resources = [plan.resource, ...plan.counts.map((count) => count.resource), ...except];
  for (const name of names) {
    const resource = resources.find((each) => name.startsWith(`${each}.`));
    if (resource === undefined) continue;
    const column = name.slice(resource.length + 1);
    if (resource === plan.resource) own.add(column);
    else others.set(resource, (others.get(resource) ?? new Set()).add(column));
  }
  return Masks.over(catalog, own, others);
}

async function openEvidence(
  { evidence, effects, plan }: Compensated,
  context: CarryContext,
): Promise<EvidenceReader | null> {
  const rows = plan.effects.length + plan.effectsOmitted;
  if (evidence === null || effects.length >= Math.max(rows, 1)) return null;
  return openImages(context.evidence, evidence.id);
}

/** Of several steps more is counted than they leave, so that the numbers say nothing. */
function missingOf({ steps, reversibility }: Plan, counted: string): string {
  return steps === undefined ? counted : reversibility.reason;
}

/** Refuses where the effects do not say all that was changed. */
function checkImages({ plan, effects, evidence }: Compensated): void {
  const isWhole = effects.every(
    (effect: Effect) =>
      (effect.kind === 'create' || effect.before !== null) &&
      (effect.kind === 'delete' || effect.after !== null),
  );
  const counted = plan.counts.reduce(
    (sum, each) => sum + each.created + each.updated + each.deleted,
    0,
  );
  const known = effects.length + (evidence === null ? 0 : plan.effectsOmitted);
  const reason =
    evidence === null && plan.effectsOmitted > 0
      ? `${plan.effectsOmitted} of the changed rows have no images`
      : counted > known && plan.reversibility.kind === 'one-way'
        ? missingOf(plan, `${counted - known} of ${counted} counted changes have no images`)
        : isWhole
          ? null
          : 'some of the changed rows have no image before the write';
  if (reason !== null) throw new Refused('rollback-impossible', `${reason}; restore from a backup`);
  if (known > 0) return;
  throw new Refused('rollback-impossible', 'nothing was changed, so there is nothing to take back');
}
