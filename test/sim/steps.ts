/** Kinds of calls to a port, without names: what can go wrong at each of them, and before and after it. */

const STORE_VERBS: readonly string[] = ['claim', 'renew', 'release', 'endLeases', 'putOff'];
const COMMITS: readonly string[] = ['decision', 'intent', 'outcome', 'freeze', 'release', 'policy'];
const MESSAGES: readonly string[] = ['plan', 'begin', 'keep', 'drop', 'write', 'ask', 'fence'];

/** All that a seed crashes at on purpose. */
export const STEPS: readonly string[] = [
  ...COMMITS.map((last) => `store commit ${last}`),
  ...['read', ...STORE_VERBS].map((verb) => `store ${verb}`),
  ...MESSAGES.map((verb) => `target ${verb}`),
  'notifier waiting',
  'signer sign',
];

/** Of a commit its last entry counts. */
export function stepOf({ port, what }: { readonly port: string; readonly what: string }): string {
  const [first = '', second = ''] = what.split(' ');
  if (port === 'target') return `target ${second}`;
  if (port !== 'store') return `${port} ${first}`;
  if (first === 'commit') return `store commit ${/(\w+)\]/.exec(what)?.[1] ?? ''}`;
  return `store ${STORE_VERBS.includes(first) ? first : 'read'}`;
}
