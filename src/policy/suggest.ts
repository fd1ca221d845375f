/**
 * Drafts a policy from what was seen. Pure.
 *
 * The draft is the file in force with, for each agent, the permissions that it used in place of those
 * that it has, and with further limits, thresholds and budgets; everything else of the file stays. So
 * it lets nothing through that the file does not: a permission is drafted only where the file has it,
 * at no stronger tier, by full names.
 */
import { Document, isSeq, parseDocument, YAMLSeq, type Node } from 'yaml';
import { quote } from '../lib/quote.ts';
import type { Configuration } from '../model/policy.ts';
import { boundsOf, type DraftLine } from './suggest/suggest-bounds.ts';
import { permissionsOf } from './suggest/suggest-permissions.ts';
import type { SeenWrite } from './suggest/seen.ts';

export interface Drafting {
  readonly configuration: Configuration;
  readonly writes: readonly SeenWrite[];
  /** Those whose lines are drafted. */
  readonly agents: readonly string[];
  /** Sentences about an agent, for the comment above it. */
  readonly about: (agent: string) => readonly string[];
}

/** How many writes make a bound; of fewer, what is usual is not known. */
export const SEEN_MIN = 20;

/** Writes the draft's text; it loads wherever the configuration does. */
export function suggest(drafting: Drafting): string {
  const { text } = drafting.configuration;
  try {
    return drafted(parseDocument(text, { schema: 'core' }), drafting);
  } catch {
    // An alias to what is replaced, or a file in braces: written anew, without its comments.
    return drafted(new Document(parseDocument(text, { schema: 'core' }).toJS() ?? {}), drafting);
  }
}

function drafted(document: Document, drafting: Drafting): string {
  const { configuration, writes, agents, about } = drafting;
  document.commentBefore = null;
  document.set('mode', 'active');
  for (const agent of agents) {
    const own = writes.filter((write) => write.agent === agent);
    const { lines } = permissionsOf(configuration.policy, agent, own);
    const list = listOf(document, lines);
    list.commentBefore = about(agent).map(comment).join('\n');
    document.setIn(['agents', agent, 'permissions'], list);
    if (own.length < SEEN_MIN) continue;
    const bounds = boundsOf(configuration.policy, agent, own);
    append(document, 'limits', bounds.limits);
    append(document, 'thresholds', bounds.thresholds);
    append(document, 'budgets', bounds.budgets);
  }
  const body = document.toString({ lineWidth: 100 });
  return `${HEAD}${body}`;
}

const HEAD = `# A draft from what was really proposed: read it, hold it against cases (\`writegate policy test\`) and
# the past (\`writegate policy replay\`), change it, and bring it into force yourself. Its lines let
# nothing through that those in force do not. Tables that an agent only looks things up in are not seen
# here: name them at tier read-only.
`;

function append(document: Document, section: string, lines: readonly DraftLine[]): void {
  if (lines.length === 0) return;
  const there: unknown = document.get(section, true);
  if (isSeq(there)) {
    for (const line of lines) there.add(nodeOf(document, line));
    return;
  }
  document.set(section, listOf(document, lines));
}

function listOf(document: Document, lines: readonly DraftLine[]): YAMLSeq {
  const list = new YAMLSeq(document.schema);
  for (const line of lines) list.add(nodeOf(document, line));
  if (lines.length === 0) list.flow = true;
  return list;
}

function nodeOf(document: Document, { value, seen }: DraftLine): Node {
  const node = document.createNode(value, { flow: true });
  node.commentBefore = comment(seen);
  return node;
}

/** One line, whatever names are in it. */
function comment(text: string): string {
  return ` ${text
    .split('`')
    .map((part, index) => (index % 2 === 0 ? part : quote(part)))
    .join('')}`;
}
