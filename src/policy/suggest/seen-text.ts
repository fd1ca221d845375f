import type { SeenAgent } from '../../model/suggest.ts';
import { count, list } from '../stages/sentences.ts';

const DAY_MS = 86_400_000;

/** What was seen of an agent, in sentences for a comment. */
export function seenText({
  writes,
  spanMs,
  records,
  denied,
  unnamed,
}: SeenAgent): readonly string[] {
  if (writes === 0) {
    return [
      'nothing was seen of it that was let through: it proposes nothing here',
      ...deniedText(denied),
    ];
  }
  const days = Math.max(Math.ceil(spanMs / DAY_MS), 1);
  return [
    `seen ${count(writes, 'write')} over ${count(days, 'day')}, p99 ${count(records.p99, 'record')}, most ${count(records.max)}`,
    ...deniedText(denied),
    ...(unnamed === 0
      ? []
      : [`${count(unnamed, 'resource')} with a name that no line can have: left out`]),
  ];
}

function deniedText(denied: SeenAgent['denied']): readonly string[] {
  if (denied.length === 0) return [];
  const codes = denied.map(({ code, proposals }) => `${count(proposals)} ${code}`);
  return [`not in these lines, since it was not let through: ${list(codes)}`];
}
