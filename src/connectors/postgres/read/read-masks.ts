/** Masked columns of a read: their values are shown as null, and nothing may be told from them. Pure. */
import { Refused } from '../../connector.ts';
import type { OutputColumn } from './read-rows.ts';
import type { Reached } from './read-reach.ts';
import { qualified, type PostgresSettings } from '../settings.ts';
import type { ReadShape } from '../text/shape.ts';

/** Whether a column of the answer shows a masked column. */
export type IsMasked = (column: OutputColumn) => boolean;

/**
 * Judges a read before it runs: an error that comes up while it runs would tell values too. Throws
 * `statement-unsupported` where a masked column may be used for anything but to stand in the answer.
 */
export function openMasks(
  settings: PostgresSettings,
  reached: readonly Reached[],
  shape: ReadShape,
): IsMasked {
  const masked = maskedColumns(settings);
  const relations = reached
    .map((relation) => ({ relation, columns: columnsOf(relation, reached, masked) }))
    .filter(({ columns }) => columns.size > 0);
  if (relations.length === 0) return () => false;
  const below = relations.find(({ relation }) => relation.isBelow);
  if (below !== undefined) {
    throw refused(
      `a view shows rows of \`${resourceOf(below.relation)}\`, which has masked columns; read the table itself`,
    );
  }
  const names = new Set(relations.flatMap(({ columns }) => [...columns]));
  const used = shape.used.find((name) => names.has(name));
  if (used !== undefined) {
    throw refused(
      `\`${used}\` is masked: it may stand in the outermost list as it is, and nowhere else in the statement`,
    );
  }
  if (shape.isOpaque) {
    throw refused(
      'the statement uses whole rows, renamed columns or NATURAL beside masked columns ' +
        `(${[...names].map((name) => `\`${name}\``).join(', ')}); name the columns that it needs`,
    );
  }
  const shown = shape.outputs.some(({ name }) => name === null || names.has(name));
  if (shown && (shape.isCompared || shape.sortsByOutput)) {
    throw refused(
      'the statement compares or sorts what it shows, masked columns among it; leave them out of the list',
    );
  }
  return ({ table, place }) => {
    const found = relations.find(({ relation }) => relation.oid === table);
    const name = found?.relation.columns[place];
    return name !== undefined && found?.columns.has(name) === true;
  };
}

function maskedColumns(settings: PostgresSettings): ReadonlyMap<string, ReadonlySet<string>> {
  const masked = new Map<string, Set<string>>();
  for (const each of settings.masked) {
    const dot = each.lastIndexOf('.');
    const table = qualified(settings, each.slice(0, dot));
    masked.set(table, (masked.get(table) ?? new Set()).add(each.slice(dot + 1)));
  }
  return masked;
}

/** The masked columns of a relation: its own, those of what it is a part of, and those of its parts. */
function columnsOf(
  relation: Reached,
  reached: readonly Reached[],
  masked: ReadonlyMap<string, ReadonlySet<string>>,
): ReadonlySet<string> {
  const own = resourceOf(relation);
  const parts = reached.filter((each) => each.partOf.includes(own)).map(resourceOf);
  const there = new Set(Object.values(relation.columns));
  const columns = new Set<string>();
  for (const resource of [own, ...relation.partOf, ...parts]) {
    for (const name of masked.get(resource) ?? []) if (there.has(name)) columns.add(name);
  }
  return columns;
}

function resourceOf({ schema, name }: Reached): string {
  return `${schema}.${name}`;
}

function refused(reason: string): Refused {
  return new Refused('statement-unsupported', reason);
}
