/** How a store, and a gateway as a whole, are shown. */
import type { StoreReport } from '../main/store-report.ts';
import type { GatewayStatus } from '../model/api.ts';
import { field, heading, instant, span, whole, type Look } from './look.ts';

/** What `doctor` says of the store. */
export function storeLines(store: StoreReport, look: Look, now: number): readonly string[] {
  const { kind, where, isBegun, problem, gateways } = store;
  const isThere = gateways.filter((each) => each.isThere);
  const gone = gateways.filter((each) => !each.isThere);
  return [
    ...heading(look, [
      ['store', look.paint.bold],
      problem === null ? ['fine', look.paint.green] : ['not usable', look.paint.red],
    ]),
    ...field(look, kind, where),
    ...(problem === null ? [] : field(look, 'problem', problem, look.paint.red)),
    ...(isBegun || problem !== null ? [] : field(look, 'state', 'new: no gateway ran on it yet')),
    ...isThere.flatMap(({ name, url, version, startedAt }) =>
      field(
        look,
        'gateway',
        `${name} at ${url ?? 'no address yet'}, version ${version}, for ${span(now - startedAt)}`,
      ),
    ),
    ...isThere.flatMap(({ name, differs }) =>
      differs.length === 0
        ? []
        : field(look, 'warning', otherwise(name, differs), look.paint.yellow),
    ),
    ...gone.flatMap(({ name }) =>
      field(look, 'gone', `${name} was not seen for a while and did not take its leave`),
    ),
    '',
  ];
}

const STORES: Readonly<Record<GatewayStatus['store'], string>> = {
  sqlite: 'of its own, in the data folder',
  postgres: 'shared, in PostgreSQL',
};

/** What `status` says of the gateway itself. */
export function gatewayLines(status: GatewayStatus, look: Look): readonly string[] {
  const { version, mode, policyDigest, policyProblem, ledger, targets, startedAt } = status;
  const others = status.gateways.map(({ name }) => name).filter((name) => name !== status.gateway);
  return [
    ...heading(look, [
      [`Writegate ${version}`, look.paint.bold],
      [`since ${instant(startedAt)}`, look.paint.dim],
    ]),
    ...field(look, 'mode', mode),
    ...whole(look, 'policy', policyDigest),
    ...(policyProblem === null
      ? []
      : field(
          look,
          'warning',
          `writegate.yaml is not in force: ${policyProblem}`,
          look.paint.yellow,
        )),
    ...field(look, 'store', STORES[status.store]),
    ...field(look, 'gateway', status.gateway),
    ...(others.length === 0 ? [] : field(look, 'beside it', others.join(', '))),
    ...status.gateways.flatMap(({ name, differs }) =>
      differs.length === 0
        ? []
        : field(look, 'warning', otherwise(name, differs), look.paint.yellow),
    ),
    ...field(look, 'ledger', `${ledger.size.toLocaleString('en-GB')} entries`),
    ...whole(look, 'ledger key', ledger.vkey),
    ...targets.flatMap(({ name, problem }) =>
      problem === null
        ? field(look, 'target', name)
        : field(look, 'target', `${name} cannot be used: ${problem}`, look.paint.yellow),
    ),
  ];
}

function otherwise(name: string, differs: readonly string[]): string {
  return `${name} runs with other settings: ${differs.join(', ')}; give all the same file, and restart the one with an older`;
}
