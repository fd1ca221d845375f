/** What only the commit knows, of several steps in one transaction. */
import { Faults } from './at-step.ts';
import type { Catalog, Table } from '../catalog/catalog.ts';
import { checkAmountsKnown } from './conclude.ts';
import { checkHidesNothing, Masks, masksOfStatement, type Described } from './masks.ts';
import type { Preparing } from './prepare.ts';
import type { Write } from './teacher.ts';

export interface StepsMasks {
  /** Of all steps: what is masked in one is masked in each. */
  readonly masks: Masks;
  /** The columns of a table that the step, from 0, may give values which only the commit knows. */
  filledBy(step: number, table: Table): ReadonlySet<string>;
}

/** Reads off the steps what is only known at the commit; no other step may give such a column a value. */
export async function masksOfSteps(
  { steps }: Extract<Write, { kind: 'steps' }>,
  catalogs: readonly Catalog[],
  { context: { settings }, teacher }: Preparing,
): Promise<StepsMasks> {
  const faults = new Faults();
  const described = steps.flatMap(({ statement }, at): readonly Described[] => {
    const catalog = catalogs[at];
    return catalog === undefined ? [] : [{ statement, catalog }];
  });
  const own: Masks[] = [];
  for (const [at, { statement, catalog }] of described.entries()) {
    await faults.check(at, () => {
      own.push(masksOfStatement(statement, catalog));
    });
  }
  faults.throwAny();
  const all = Masks.all(own);
  for (const [at, each] of described.entries()) {
    await faults.check(at, () => {
      for (const { target } of catalogs) checkHidesNothing(all.of(target), target, each);
    });
  }
  faults.throwAny();
  const masks = teacher.masksOf(all);
  for (const [at, catalog] of catalogs.entries()) {
    await faults.check(at, () => checkAmountsKnown(catalog, masks, settings));
  }
  faults.throwAny();
  return {
    masks,
    filledBy(step, table) {
      const stated = all.of(table);
      const learnt = [...masks.of(table)].filter((column) => !stated.has(column));
      return new Set([...(own[step]?.of(table) ?? []), ...learnt]);
    },
  };
}
