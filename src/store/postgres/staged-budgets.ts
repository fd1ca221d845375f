import { strict as assert } from 'node:assert';
import type { BudgetLine } from '../../model/budget.ts';
import type { ProposalId, TenantId } from '../../model/ids.ts';
import { nameOf, type BudgetRows, type Line, type Spending } from '../state/budgets.ts';
import {
  firstName,
  lineName,
  placeName,
  type Holding,
  type Loaded,
  type LoadedLine,
} from './loaded.ts';
import { StagedList, StagedMap, type Journal } from './staged.ts';

/** A line as the batch leaves it. */
export interface StagedLine extends LoadedLine {
  readonly tenant: TenantId;
  readonly line: Line;
  /** What the batch spends of it, in order. */
  readonly spent: readonly Spending[];
  /** What begins its sums anew, beside what it spends. */
  readonly rebased: { readonly until: number; readonly base: number } | null;
  /** The latest reservation: what was then allowed, of what was spent after `since`. */
  readonly granted: { readonly max: number; readonly since: number } | null;
}

/** A row of `reservations`. */
export interface Reservation {
  readonly tenant: TenantId;
  readonly id: ProposalId;
  readonly line: Line;
  readonly amount: number;
}

/** Budgets as a batch found them, and over that what it does. */
export class StagedBudgets implements BudgetRows {
  readonly #loaded: Loaded;
  readonly #held: StagedMap<Holding>;
  readonly #lines: StagedMap<StagedLine>;
  readonly #pruned: StagedList<{ readonly tenant: TenantId; readonly until: number }>;

  constructor(journal: Journal, loaded: Loaded) {
    this.#loaded = loaded;
    this.#held = new StagedMap(journal, loaded.held);
    this.#lines = new StagedMap(journal);
    this.#pruned = new StagedList(journal);
  }

  reserved(tenant: TenantId, line: Line, except: ProposalId | ''): number {
    const name = lineName(tenant, line);
    const own = except === '' ? [] : this.held(tenant, except);
    const excepted = own.find((each) => lineName(tenant, each.line) === name)?.amount ?? 0;
    return this.#line(tenant, line).reserved - excepted;
  }

  held(tenant: TenantId, proposal: ProposalId): Holding['held'] {
    return this.#held.get(placeName(tenant, proposal))?.held ?? [];
  }

  hold(tenant: TenantId, proposal: ProposalId, line: BudgetLine, now: number): void {
    const { amount, max, windowMs } = line;
    const staged = this.#line(tenant, line);
    const others = this.held(tenant, proposal).filter(
      (each) => lineName(tenant, each.line) !== lineName(tenant, line),
    );
    this.#set({
      ...staged,
      reserved: this.reserved(tenant, line, proposal) + amount,
      granted: { max, since: now - windowMs },
    });
    const held = [...others, { line: nameOf(line), amount }];
    this.#held.set(placeName(tenant, proposal), { tenant, id: proposal, held });
  }

  drop(tenant: TenantId, proposal: ProposalId): void {
    const held = this.held(tenant, proposal);
    if (held.length === 0) return;
    for (const { line, amount } of held) {
      const staged = this.#line(tenant, line);
      this.#set({ ...staged, reserved: staged.reserved - amount });
    }
    this.#held.set(placeName(tenant, proposal), { tenant, id: proposal, held: [] });
  }

  firstSpent(tenant: TenantId, line: Line, since: number): Spending | undefined {
    const { rebased, spent } = this.#line(tenant, line);
    const loaded = this.#loaded.firsts.get(firstName(lineName(tenant, line), since));
    assert(loaded !== undefined, 'a window was loaded');
    assert(
      rebased === null || rebased.until <= since,
      'no window goes back behind a new beginning',
    );
    if (loaded === null) return spent.find(({ settledAt }) => settledAt > since);
    return { ...loaded, sum: loaded.sum - (rebased?.base ?? 0) };
  }

  lastSum(tenant: TenantId, line: Line): number {
    const { lastSum, lastAt, rebased, spent } = this.#line(tenant, line);
    const last = spent.at(-1);
    if (last !== undefined) return last.sum;
    if (rebased === null) return lastSum;
    return lastAt <= rebased.until ? 0 : lastSum - rebased.base;
  }

  spend(tenant: TenantId, line: Line, spending: Spending): void {
    const staged = this.#line(tenant, line);
    this.#set({ ...staged, spent: [...staged.spent, spending] });
  }

  prune(tenant: TenantId, until: number): void {
    this.#pruned.push({ tenant, until });
  }

  rebase(tenant: TenantId, line: Line, until: number, base: number): void {
    const staged = this.#line(tenant, line);
    const earlier = staged.rebased?.base ?? 0;
    this.#set({
      ...staged,
      rebased: { until, base: earlier + base },
      spent: staged.spent
        .filter(({ settledAt }) => settledAt > until)
        .map(({ amount, sum, settledAt }) => ({ amount, sum: sum - base, settledAt })),
    });
  }

  /** What is to be written. */
  changes(): {
    readonly dropped: readonly Reservation[];
    readonly reserved: readonly Reservation[];
    readonly lines: readonly StagedLine[];
    readonly pruned: readonly { readonly tenant: TenantId; readonly until: number }[];
  } {
    return {
      dropped: this.#held.changed().flatMap(({ value, loaded }) => rowsOf(loaded, value, hasLine)),
      reserved: this.#held.changed().flatMap(({ value, loaded }) => rowsOf(value, loaded, hasRow)),
      lines: this.#lines.changed().map(({ value }) => value),
      pruned: this.#pruned.items,
    };
  }

  #line(tenant: TenantId, line: Line): StagedLine {
    const name = lineName(tenant, line);
    const staged = this.#lines.get(name);
    if (staged !== undefined) return staged;
    const loaded = this.#loaded.lines.get(name);
    assert(loaded !== undefined, 'a line was loaded');
    return { ...loaded, tenant, line: nameOf(line), spent: [], rebased: null, granted: null };
  }

  #set(line: StagedLine): void {
    this.#lines.set(lineName(line.tenant, line.line), line);
  }
}

type Held = Holding['held'][number];

/** The rows of one holding that another does not have. */
function rowsOf(
  of: Holding | undefined,
  other: Holding | undefined,
  has: (held: Holding['held'], row: Held) => boolean,
): readonly Reservation[] {
  if (of === undefined) return [];
  const { tenant, id, held } = of;
  return held
    .filter((row) => !has(other?.held ?? [], row))
    .map(({ line, amount }) => ({ tenant, id, line, amount }));
}

function hasLine(held: Holding['held'], { line }: Held): boolean {
  return held.some((each) => isSame(each.line, line));
}

function hasRow(held: Holding['held'], { line, amount }: Held): boolean {
  return held.some((each) => isSame(each.line, line) && each.amount === amount);
}

function isSame(left: Line, right: Line): boolean {
  return (['budget', 'scope', 'measure', 'window'] as const).every(
    (part) => left[part] === right[part],
  );
}
