/** Rows of a plan: what the statement does itself apart from what follows from it. */
import type { RowPage, RowQuery } from '../model/api.ts';
import { inert } from '../lib/terminal.ts';
import type { Attribution, Cause, Effect, Plan } from '../model/plan.ts';
import { counted, nextCommands, paragraph, shown, type Look } from './look.ts';
import { effectName } from './render-difference.ts';

/** Rows on one page of `show`. */
export const PAGE_ROWS = 25;

/** Which rows to print: one page, counted from 1, or all. */
export type RowsShown = { readonly kind: 'all' } | { readonly kind: 'page'; readonly page: number };

const HOW: Readonly<Record<Exclude<Attribution, 'direct'>, readonly [how: string, of: string]>> = {
  cascade: ['by cascade', 'of constraint'],
  trigger: ['by trigger', 'function'],
  rule: ['by rule', ''],
  indirect: ['indirectly', 'through'],
};

/** `by cascade of constraint orders_fk`. */
export function causeText({ attribution, via }: Cause): string {
  const [how, of] = HOW[attribution];
  if (via === null) return attribution === 'indirect' ? `${how}, by what is not known` : how;
  return [how, of, via].filter((part) => part !== '').join(' ');
}

/** Lays out the rows that the plan itself holds, and says where the others are. */
export function rowLines(plan: Plan, id: string, look: Look, rows: RowsShown): readonly string[] {
  if (plan.effects.length === 0 && plan.effectsOmitted === 0) return [];
  const effects = inReadingOrder(plan.effects);
  const from = rows.kind === 'all' ? 0 : (rows.page - 1) * PAGE_ROWS;
  const to = rows.kind === 'all' ? effects.length : Math.min(from + PAGE_ROWS, effects.length);
  const total = (effects.length + plan.effectsOmitted).toLocaleString('en-GB');
  const title =
    from >= to
      ? `Rows: none on this page, ${total} in all`
      : `Rows ${from + 1} to ${to} of ${total}`;
  return [
    '',
    look.paint.bold(title),
    ...apart(effects.slice(from, to), plan.maskedColumns, look),
    ...leftLines(plan, { id, to, page: rows.kind === 'page' ? rows.page : 0 }, look),
  ];
}

/** Direct ones first, and among them what is deleted; in a stable order otherwise. */
function inReadingOrder(effects: readonly Effect[]): readonly Effect[] {
  const rank = (effect: Effect): number =>
    (effect.by === undefined ? 0 : 2) + (effect.kind === 'delete' ? 0 : 1);
  return effects.toSorted((left, right) => rank(left) - rank(right));
}

/** The rows, with a line before those that follow from the others. */
function apart(
  effects: readonly Effect[],
  masked: readonly string[],
  look: Look,
): readonly string[] {
  const direct = effects.filter((effect) => effect.by === undefined);
  const indirect = effects.filter((effect) => effect.by !== undefined);
  const lines = (each: readonly Effect[]): readonly string[] =>
    each.flatMap((effect) => effectLines(effect, masked, look));
  return [
    ...lines(direct),
    ...(indirect.length === 0 ? [] : [look.paint.dim('  as a consequence'), ...lines(indirect)]),
  ];
}

function leftLines(
  plan: Plan,
  shownRows: { readonly id: string; readonly to: number; readonly page: number },
  look: Look,
): readonly string[] {
  const { id, to, page } = shownRows;
  const left = plan.effects.length - to;
  const yellow = { indent: '  ', paint: look.paint.yellow };
  const held = plan.effects.length.toLocaleString('en-GB');
  const total = (plan.effects.length + plan.effectsOmitted).toLocaleString('en-GB');
  return [
    ...(left <= 0
      ? []
      : paragraph(
          look,
          `${counted(left, 'more row')} here: writegate show ${id} --page ${page + 1}, or --all`,
          yellow,
        )),
    ...(plan.effectsOmitted === 0
      ? []
      : paragraph(
          look,
          plan.evidence === null
            ? `${counted(plan.effectsOmitted, 'row')} beyond these are counted and covered by the plan digest, but their images are not kept`
            : `${held} of ${total} rows can be shown here; writegate rows ${id} for the rest, page by page`,
          yellow,
        )),
  ];
}

/** Lays out one page of `writegate rows`. */
export function rowPageLines(
  page: RowPage,
  asked: RowQuery & { readonly id: string },
  look: Look,
): readonly string[] {
  const { items, from, total, left, missing } = page;
  const all = total.toLocaleString('en-GB');
  const title =
    items.length === 0
      ? `Rows: none from ${from.toLocaleString('en-GB')} on, ${all} in all`
      : `Rows ${from + 1} to ${from + items.length} of ${all}, as ${page.as}`;
  return [
    look.paint.bold(title),
    ...items.flatMap((effect) => effectLines(effect, page.maskedColumns, look)),
    ...(missing === null
      ? []
      : paragraph(look, `${counted(missing.rows, 'row')} cannot be shown: ${missing.reason}`, {
          indent: '  ',
          paint: look.paint.yellow,
        })),
    ...(left === 0
      ? []
      : [
          ...paragraph(look, `${counted(left, 'row')} after these`, { paint: look.paint.yellow }),
          ...nextCommands(look, [pageCommand(from + items.length, asked)]),
        ]),
    ...(items.length === 0 && total > 0 && from >= total
      ? nextCommands(look, [pageCommand(lastPage(total, asked.limit ?? 1), asked)])
      : []),
  ];
}

/** The first row of the last page, where pages are counted from row 0. */
function lastPage(total: number, limit: number): number {
  return Math.floor((total - 1) / limit) * limit;
}

function pageCommand(from: number, asked: RowQuery & { readonly id: string }): string {
  return [
    `writegate rows ${asked.id} --from ${from}`,
    ...(asked.limit === undefined ? [] : [`--limit ${asked.limit}`]),
    ...(asked.resource === undefined ? [] : [`--resource ${inert(asked.resource)}`]),
    ...(asked.kind === undefined ? [] : [`--kind ${asked.kind}`]),
  ].join(' ');
}

/** Lays out one row: its name, what made it change, and the columns that do. */
function effectLines(effect: Effect, masked: readonly string[], look: Look): readonly string[] {
  const hidden = new Set(masked);
  const isMasked = (column: string): boolean => hidden.has(`${effect.resource}.${column}`);
  const paint = effect.kind === 'delete' ? look.paint.red : undefined;
  const by = effect.by === undefined ? '' : `, ${causeText(effect.by)}`;
  const columns = Object.keys({ ...effect.before, ...effect.after }).filter(
    (column) =>
      effect.kind !== 'update' ||
      cell(effect.before, column) !== cell(effect.after, column) ||
      isMasked(column),
  );
  return [
    ...paragraph(look, `${effectName(effect)}${by}`, { indent: '  ', ...(paint && { paint }) }),
    ...columns.flatMap((column) => {
      const before = shown(cell(effect.before, column));
      const after =
        effect.after !== null && isMasked(column)
          ? '(known at commit)'
          : shown(cell(effect.after, column));
      const text = { update: `${before} → ${after}`, delete: before, create: after }[effect.kind];
      return paragraph(look, `${column}: ${text}`, { indent: '      ' });
    }),
  ];
}

/** A column may be called `constructor`: only what the image itself holds is its value. */
function cell(image: Effect['before'], column: string): string | null {
  return image !== null && Object.hasOwn(image, column) ? (image[column] ?? null) : null;
}
