/** What can be said of a store from outside, while gateways run on it or none does; changes nothing. */
import type { Configuration } from '../model/policy.ts';
import { Problem } from '../model/problem.ts';
import { openPool, placeOf, quoted } from '../store/postgres/connect.ts';
import { storageProblem } from '../store/postgres/problem.ts';
import { postgresShared } from '../store/shared-postgres.ts';
import { isAlive, type SeenGateway } from '../store/shared.ts';
import { exists, type DataFolder } from './folder.ts';
import { readMove } from './moved.ts';
import { differingParts } from './opened-parts.ts';
import { chooseStore, type StoreChoice, type StoreWish } from './store-choice.ts';

export interface StoreReport {
  readonly kind: StoreChoice['kind'];
  /** A path, or host and database; holds no secret. */
  readonly where: string;
  /** Whether a gateway ever ran on it. */
  readonly isBegun: boolean;
  /** Why no gateway can start on it; null where one can. */
  readonly problem: string | null;
  readonly gateways: readonly StoreGateway[];
}

export interface StoreGateway {
  readonly name: string;
  readonly url: string | null;
  readonly version: string;
  readonly startedAt: number;
  /** Whether it was seen lately; a crash leaves one that was not. */
  readonly isThere: boolean;
  /** Parts of the configuration that it opened otherwise than the first that is there. */
  readonly differs: readonly string[];
}

/** Looks at the store that a gateway would choose. Problems of the choice itself are thrown. */
export async function examineStore(
  wish: StoreWish,
  configuration: Configuration,
  folder: DataFolder,
): Promise<StoreReport> {
  const choice = await chooseStore(wish, configuration, folder);
  if (choice.kind === 'postgres') return examineCommon(choice, configuration.tenant);
  const { kind, where } = choice;
  const move = await readMove(folder);
  const problem = move === undefined ? null : `it was moved to ${move.to}; use that with --store`;
  return { kind, where, isBegun: await exists(choice.path), problem, gateways: [] };
}

async function examineCommon(
  choice: StoreChoice & { kind: 'postgres' },
  tenant: string,
): Promise<StoreReport> {
  const { kind, where } = choice;
  const place = placeOf(choice);
  const pool = openPool(place, 1);
  try {
    const schema = quoted(place);
    const { rows } = await pool.query<{ found: boolean }>(
      'SELECT to_regclass($1) IS NOT NULL AS found',
      [`${schema}.gateways`],
    );
    const isBegun = rows[0]?.found === true;
    const shared = postgresShared({ pool, schema, tenant });
    const gateways = isBegun ? await shared.gateways() : [];
    const first = gateways.find(isAlive);
    const views = gateways.map((each) => shown(each, first));
    return { kind, where, isBegun, problem: null, gateways: views };
  } catch (error) {
    const told = storageProblem(error);
    if (!(told instanceof Problem)) throw error;
    return { kind, where, isBegun: false, problem: told.message, gateways: [] };
  } finally {
    await pool.end();
  }
}

function shown(each: SeenGateway, first: SeenGateway | undefined): StoreGateway {
  const { id, url, version, startedAt, opened } = each;
  const isThere = isAlive(each);
  const differs = isThere && first ? differingParts(first.opened, opened) : [];
  return { name: id, url, version, startedAt, isThere, differs };
}
