/** Holds what a transaction changed against what it should have, row image by row image. */
import { hash } from 'node:crypto';
import type { Effect, Image } from '../../../model/plan.ts';
import { inBatches, type EffectSource } from './undo-source.ts';

/** Rows whose images are kept while they differ, to say in what; a digest is kept of every other. */
const SAMPLES_MAX = 5_000;

/** One way in which the state differs from what it should be. */
export type Residue =
  | { readonly kind: 'column'; readonly resource: string; readonly column: string }
  /** Rows that are there and should not be, or are not there and should be. */
  | { readonly kind: 'added' | 'gone'; readonly resource: string };

export interface Compared {
  /** `resource.column` that are not compared. */
  readonly exempt: ReadonlySet<string>;
  /** Names what a partition is a part of; any other resource is its own. */
  readonly wholeOf: (resource: string) => string;
  /** The columns that tell rows apart; an effect's own key may be of the other image. */
  readonly keyOf: (resource: string) => readonly string[];
}

/**
 * What is left of changes that should cancel each other out; empty where they do. Sources are read
 * once more for every round in which only a sample of the rows told which columns differ.
 */
export async function residueOf(
  sources: readonly (readonly Effect[] | EffectSource)[],
  compared: Compared,
): Promise<readonly Residue[]> {
  const columns = new Map<string, Residue>();
  for (;;) {
    const exempt = new Set([...compared.exempt, ...columns.keys()]);
    const net = new Net({ ...compared, exempt });
    for (const source of sources) {
      for await (const batch of inBatches(source)) for (const effect of batch) net.add(effect);
    }
    const found = net.residue();
    const fresh = found.filter((each) => each.kind === 'column');
    if (fresh.length === 0) return [...columns.values(), ...found];
    for (const each of fresh) columns.set(`${each.resource}.${each.column}`, each);
  }
}

interface Row {
  count: number;
  readonly resource: string;
  readonly key: readonly (string | null)[];
  readonly image: Image | null;
}

/**
 * A multiset of row images with signs. Pairs of images play no part: an update is a row that went and
 * one that came, so that a changed key, a moved row and a delete with an insert compare alike.
 */
class Net {
  readonly #compared: Compared;
  readonly #rows = new Map<string, Row>();

  constructor(compared: Compared) {
    this.#compared = compared;
  }

  add(effect: Effect): void {
    this.#image(effect, effect.before, -1);
    this.#image(effect, effect.after, 1);
  }

  /** Differing columns where there are any; rows only where no column tells it. */
  residue(): readonly Residue[] {
    const places = new Map<string, { added: Row[]; gone: Row[] }>();
    for (const [name, row] of this.#rows) {
      const { resource, key } = row;
      const id = [this.#compared.wholeOf(resource), key.length > 0 ? key : name];
      const place = places.get(JSON.stringify(id)) ?? { added: [], gone: [] };
      (row.count > 0 ? place.added : place.gone).push(row);
      places.set(JSON.stringify(id), place);
    }
    const columns = new Map<string, Residue>();
    const rows = new Map<string, Residue>();
    for (const { added, gone } of places.values()) {
      const differing = columnsOf(added, gone).filter(
        ({ resource, column }) => !this.#compared.exempt.has(`${resource}.${column}`),
      );
      for (const each of differing) columns.set(JSON.stringify(each), each);
      if (differing.length > 0) continue;
      for (const { resource, count } of [...added, ...gone]) {
        const residue: Residue = { kind: count > 0 ? 'added' : 'gone', resource };
        rows.set(JSON.stringify(residue), residue);
      }
    }
    return [...columns.values(), ...rows.values()];
  }

  #image(effect: Effect, image: Image | null, sign: 1 | -1): void {
    if (image === null) return;
    const { resource } = effect;
    const name = this.#nameOf(resource, image);
    const row = this.#rows.get(name);
    if (row === undefined) {
      const isKept = this.#rows.size < SAMPLES_MAX;
      const key = this.#compared.keyOf(resource).map((column) => image[column] ?? null);
      this.#rows.set(name, { count: sign, resource, key, image: isKept ? image : null });
      return;
    }
    row.count += sign;
    if (row.count === 0) this.#rows.delete(name);
  }

  #nameOf(resource: string, image: Image): string {
    const columns = Object.keys(image)
      .filter((column) => !this.#compared.exempt.has(`${resource}.${column}`))
      .toSorted();
    const whole = this.#compared.wholeOf(resource);
    const text = JSON.stringify([whole, columns, columns.map((each) => image[each] ?? null)]);
    return hash('sha256', text, 'base64');
  }
}

/** The columns in which a row as it is differs from the row as it should be. */
function columnsOf(
  added: readonly Row[],
  gone: readonly Row[],
): readonly (Residue & { kind: 'column' })[] {
  const [now, should] = [added[0], gone[0]];
  if (added.length !== 1 || gone.length !== 1 || !now?.image || !should?.image) return [];
  const { image, resource } = now;
  const names = new Set([...Object.keys(image), ...Object.keys(should.image)]);
  return [...names]
    .filter((column) => image[column] !== should.image?.[column])
    .map((column) => ({ kind: 'column', resource, column }));
}

/** How a residue is named in `reversibility.except`; rows that are gone may never be excepted. */
export function exceptionOf(residue: Residue): string | null {
  if (residue.kind === 'gone') return null;
  return residue.kind === 'column' ? `${residue.resource}.${residue.column}` : residue.resource;
}

/** The residue in words. */
export function describeResidue(residue: readonly Residue[]): string {
  const parts = residue.map((each) => {
    if (each.kind === 'column') return `\`${each.resource}.${each.column}\``;
    return `rows ${each.kind === 'added' ? 'added to' : 'gone from'} \`${each.resource}\``;
  });
  return parts.toSorted().join(', ');
}
