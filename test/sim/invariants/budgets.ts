/** What budgets have in use, counted from entries alone (G7). */
import { BUDGET_WINDOWS_MS } from '../../../src/model/budget.ts';
import type { BudgetFigures, Figures } from '../policies.ts';
import { stepsOf, type Act } from './act.ts';
import { hold } from './violation.ts';

interface Line {
  /** Budget, scope, measure and window: another of these is another budget. */
  readonly name: string;
  readonly windowMs: number;
  readonly amount: number;
  readonly max: number;
}

export class Budgets {
  readonly #reserved = new Map<string, readonly Line[]>();
  /** What was reserved for what in the end was applied, by the time of its first effect. */
  readonly #applied = new Map<string, readonly Line[]>();
  readonly #loosest = new Map<string, number>();
  readonly #spent: (Pick<Line, 'name' | 'amount' | 'windowMs'> & { readonly at: number })[] = [];

  /** The proposals that hold a reservation. */
  get holders(): readonly string[] {
    return [...this.#reserved.keys()];
  }

  /** A decision let it through: what it takes must fit, and be what it says that it takes. */
  reserve(act: Act, figures: Figures, at: number): void {
    const lines = linesOf(act, figures);
    for (const line of lines) {
      const used = this.#used(line, at, act.id);
      hold(
        'G7',
        used + line.amount <= line.max,
        () =>
          `${act.id} takes ${line.amount} of ${line.name}, of which ${used} of ${line.max} are used`,
      );
    }
    this.#reserved.set(act.id, lines);
    for (const { name, max } of lines) {
      this.#loosest.set(name, Math.max(this.#loosest.get(name) ?? 0, max));
    }
  }

  /**
   * By the targets' own books: no stretch of a window's length has more in it than any policy let
   * through. Holds where all clocks were right.
   */
  checkBooks(effectAt: (id: string) => number | undefined): void {
    for (const [name, max] of this.#loosest) {
      const taken = [...this.#applied].flatMap(([id, lines]) => {
        const at = effectAt(id);
        return lines.flatMap((line) =>
          line.name === name && at !== undefined ? [{ ...line, at }] : [],
        );
      });
      for (const last of taken) {
        const within = taken.filter(({ at }) => at <= last.at && at > last.at - last.windowMs);
        const sum = within.reduce((total, { amount }) => total + amount, 0);
        hold(
          'G7',
          sum <= max,
          () => `${sum} of ${name} took effect within its window, at most ${max}`,
        );
      }
    }
  }

  /** What is in use now, as the store is to tell it: name, reserved, spent. */
  inUse(at: number): readonly string[] {
    const uses = new Map<string, { reserved: number; spent: number }>();
    const of = (name: string) => {
      const use = uses.get(name) ?? { reserved: 0, spent: 0 };
      uses.set(name, use);
      return use;
    };
    for (const lines of this.#reserved.values()) {
      for (const { name, amount } of lines) of(name).reserved += amount;
    }
    for (const { name, amount, at: spentAt, windowMs } of this.#spent) {
      if (spentAt > at - windowMs) of(name).spent += amount;
    }
    return [...uses]
      .map(([name, { reserved, spent }]) => `${name}: ${reserved} ${spent}`)
      .toSorted();
  }

  settle(act: Act, at: number): void {
    this.#applied.set(act.id, this.#reserved.get(act.id) ?? []);
    for (const { name, amount, windowMs } of this.#reserved.get(act.id) ?? []) {
      this.#spent.push({ name, amount, windowMs, at });
    }
    this.#reserved.delete(act.id);
  }

  release(act: Act): void {
    this.#reserved.delete(act.id);
  }

  #used({ name, windowMs }: Line, at: number, except: string): number {
    let used = 0;
    for (const [id, lines] of this.#reserved) {
      if (id === except) continue;
      for (const line of lines) if (line.name === name) used += line.amount;
    }
    for (const spent of this.#spent) {
      if (spent.name === name && spent.at > at - windowMs) used += spent.amount;
    }
    return used;
  }
}

/** One for each budget and scope; what takes something back is believed what its decision says. */
function linesOf(act: Act, figures: Figures): readonly Line[] {
  const { decision, draft } = act;
  const said = decision?.kind === 'allow' ? decision.reserve : [];
  const lines = new Map<string, Line>();
  for (const { budget, scope, measure, window, windowMs, amount, max } of said) {
    const name = `${budget} ${scope} ${measure} ${window}`;
    lines.set(name, { name, windowMs, amount, max });
  }
  if (draft.compensates !== undefined) return [...lines.values()];
  const counted = countedLines(act, figures);
  const text = (all: Iterable<Line>) => [...all].map((line) => JSON.stringify(line)).toSorted();
  hold('G7', text(lines.values()).join() === text(counted).join(), () => {
    return `${act.id} reserves ${text(lines.values()).join()}, and takes ${text(counted).join()}`;
  });
  return counted;
}

function countedLines(act: Act, { budgets }: Figures): readonly Line[] {
  const lines = new Map<string, Line>();
  for (const step of stepsOf(act)) {
    for (const budget of budgets) {
      const amount = amountOf(budget, step.plan);
      if (amount === 0) continue;
      const { per, measure, window, max } = budget;
      const scope = {
        agent: `agent=${act.proposer.name}`,
        tenant: 'tenant',
        target: `target=${step.target}`,
      };
      const name = `budgets.${budget.name} ${scope[per]} ${measure} ${window}`;
      const before = lines.get(name)?.amount ?? 0;
      lines.set(name, { name, windowMs: BUDGET_WINDOWS_MS[window], amount: before + amount, max });
    }
  }
  return [...lines.values()];
}

function amountOf({ measure }: BudgetFigures, plan: NonNullable<Act['plan']>): number {
  switch (measure) {
    case 'writes':
      return 1;
    case 'records':
      return plan.counts.reduce((sum, each) => sum + each.created + each.updated + each.deleted, 0);
    case 'value:GBP':
      return plan.value.reduce((sum, { amountMinor }) => sum + Number(amountMinor), 0);
  }
}
