import { Refused } from '../../connector.ts';
import type { Catalog } from '../catalog/catalog.ts';
import type { CarryContext } from './carry.ts';

/**
 * A preview shows rows, and a count tells of them: so nothing is carried out on, or with, a table that is
 * not the proposer's. Throws `not-permitted`.
 */
export function checkPermitted(
  { target, written, reads }: Catalog,
  permits: CarryContext['permits'],
): void {
  const closed = [target, ...written, ...reads].find(
    ({ resource, partOf }) => ![resource, ...partOf].some(permits),
  )?.resource;
  if (closed === undefined) return;
  throw new Refused(
    'not-permitted',
    `the agent holds no permission on \`${closed}\`, so its rows are not shown; ` +
      'ask the operator for one',
  );
}
