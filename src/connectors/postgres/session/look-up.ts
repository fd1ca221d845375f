/** Look-ups of our own in the catalog: planned once for a connection, since planning costs most of them. */
import { strict as assert } from 'node:assert';
import { runPipeline } from './pipeline.ts';
import type { TextRow } from './rows.ts';
import type { Session } from './session.ts';

/**
 * Asks in the session's transaction, in one round trip. The planner's own setting is back afterwards:
 * what the agent's statement and its triggers run is planned as anywhere.
 */
export async function lookUp(
  session: Session,
  text: string,
  values: readonly (readonly string[])[],
): Promise<readonly TextRow[]> {
  const answers = await runPipeline(session.client, [
    { name: 'plan once', text: 'SET LOCAL plan_cache_mode = force_generic_plan' },
    { name: 'look up', text, values: values.map(arrayText) },
    { name: 'plan anew', text: 'SET LOCAL plan_cache_mode = auto' },
  ]);
  const found = answers[1];
  assert(found !== undefined && !found.hasMore, 'a look-up gives all of its rows');
  return found.rows;
}

/** A list in the server's text form for arrays. */
function arrayText(items: readonly string[]): string {
  const quoted = items.map((item) => `"${item.replaceAll(/["\\]/g, '\\$&')}"`);
  return `{${quoted.join(',')}}`;
}
