/** What is usual for an agent, for the people who watch it. */
import type { BaselinePage, BaselineView } from '../model/api.ts';
import type { AgentBaseline, Store } from '../model/ports.ts';
import { usualOf } from '../model/measure.ts';
import type { Policy } from '../model/policy.ts';
import type { PersonPrincipal } from '../model/principal.ts';
import { sensitivityOf } from '../policy/stages/anomaly.ts';
import { unusualAbove } from '../policy/stages/unusual.ts';
import { requireKnown } from './known-agent.ts';

/** Lists what is usual for one agent, by target and operation, and above what a figure is unusual. */
export async function baselinePage(
  { store, policy }: { readonly store: Store; readonly policy: () => Policy },
  { tenant, environment }: PersonPrincipal,
  agent: string,
): Promise<BaselinePage> {
  const baselines = await store.baselines(tenant, agent);
  if (baselines.length === 0) requireKnown(agent, policy());
  return { items: baselines.map((each) => viewOf(policy(), environment, each)) };
}

function viewOf(policy: Policy, environment: string, known: AgentBaseline): BaselineView {
  const { agent, target, operation, baseline } = known;
  const sensitivity = sensitivityOf(policy, { agent, target, operation, environment });
  const { warmUp } = policy.anomaly;
  return {
    agent,
    target,
    operation,
    since: baseline.since,
    applied: baseline.applied,
    warmUp,
    sensitivity,
    figures: Object.entries(baseline.measures).map(([measure, met]) => {
      const { low, high } = usualOf(met);
      return { measure, low, high, unusualAbove: unusualAbove(measure, met, sensitivity) };
    }),
    hours: baseline.hours.flatMap((times, hour) => (times > 0 ? [hour] : [])),
    resources: baseline.resources.map(([name]) => name),
    isCrowded: baseline.isCrowded,
  };
}
