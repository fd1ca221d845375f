/** What the budgets of the policy have in use, for those who watch them. */
import type { BudgetPage, BudgetView } from '../model/api.ts';
import type { BudgetUse } from '../model/budget.ts';
import type { BudgetRule, Policy } from '../model/policy.ts';
import type { Clock, Store } from '../model/ports.ts';
import type { Principal } from '../model/principal.ts';
import { scopePart } from '../policy/evaluate.ts';
import { requireKnown } from './known-agent.ts';

/** Budgets that one look at the store goes through. */
const USES_MAX = 1_000;

/**
 * Lists the budgets in force with what is reserved, spent and left of each. People see those of the
 * tenant, or of one agent; an agent sees those that are its own alone.
 */
export async function budgetPage(
  {
    store,
    clock,
    policy,
  }: { readonly store: Store; readonly clock: Clock; readonly policy: () => Policy },
  principal: Principal,
  asked: string | undefined,
): Promise<BudgetPage> {
  const agent = principal.kind === 'agent' ? principal.name : asked;
  const uses = await store.budgetUses(principal.tenant, clock.now(), USES_MAX);
  if (principal.kind !== 'agent' && agent !== undefined) {
    const own = scopePart('agent', agent);
    const hasUses = uses.some(({ scope }) => scope.split(',').includes(own));
    if (!hasUses) requireKnown(agent, policy());
  }
  const items = policy().budgets.flatMap((rule) => viewsOf(rule, uses, agent));
  return { items, isCut: uses.length === USES_MAX };
}

function viewsOf(
  rule: BudgetRule,
  uses: readonly BudgetUse[],
  agent: string | undefined,
): readonly BudgetView[] {
  const own = agent === undefined ? undefined : scopePart('agent', agent);
  const views = uses
    .filter(
      ({ budget, measure, window, scope }) =>
        budget === `budgets.${rule.name}` &&
        measure === rule.measure &&
        window === rule.window &&
        (own === undefined || scope.split(',').includes(own)),
    )
    .map((use) => viewOf(rule, use));
  const unused = unusedScope(rule, own);
  if (views.length > 0 || unused === undefined) return views;
  return [viewOf(rule, { scope: unused, spent: 0, inFlight: 0, freesAt: null })];
}

function viewOf(
  { name, measure, window, max }: BudgetRule,
  { scope, spent, inFlight, freesAt }: Pick<BudgetUse, 'scope' | 'spent' | 'inFlight' | 'freesAt'>,
): BudgetView {
  const left = Math.max(max - spent - inFlight, 0);
  return { budget: name, scope, measure, window, max, spent, inFlight, left, freesAt };
}

/** What a budget that has nothing in use would be shown as, where that can be told. */
function unusedScope({ per }: BudgetRule, own: string | undefined): string | undefined {
  if (per.length === 0) return own === undefined ? 'tenant' : undefined;
  return per.length === 1 && per[0] === 'agent' ? own : undefined;
}
