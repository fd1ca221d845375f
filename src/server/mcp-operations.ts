/** A tool for each structured write that the configured targets offer, beside the general ones. */
import { isJsonObject, type JsonObject } from '../lib/json.ts';
import { recordOf } from '../lib/record.ts';
import type { OperationView } from '../model/api.ts';
import { proposeDraft, type Tool } from './mcp-tools.ts';
import { RESULT_BRIEF } from './shapes/answers.ts';
import { DRAFT_MEMBERS, WAIT_MS } from './shapes/requests.ts';
import { closed } from './shapes/schema.ts';
import type { JsonSchema } from './shapes/shape.ts';

/** What an operation of this name does, in words; one that has none here is described by its name. */
const ABOUT: Readonly<Record<string, string>> = {
  insert: 'Proposes new rows of a table, given as JSON; `onConflict` makes it an upsert.',
  update: 'Proposes to set columns of the rows that `key`, `keys` or `filter` names.',
  delete: 'Proposes to delete the rows that `key`, `keys` or `filter` names.',
  import: 'Proposes the rows of a file that was uploaded before.',
};

/** Makes the tools; operations without a schema are proposed by `propose` alone. */
export function operationTools(operations: readonly OperationView[]): readonly Tool[] {
  const names = [...new Set(operations.map(({ operation }) => operation))];
  return names.flatMap((name) => {
    const offers = operations.filter(({ operation }) => operation === name);
    const given = offers.find(({ schema }) => schema !== null)?.schema;
    return given === undefined || given === null ? [] : [toolOf(name, offers, given)];
  });
}

function toolOf(name: string, offers: readonly OperationView[], given: JsonObject): Tool {
  const about = ABOUT[name] ?? `Proposes the operation \`${name}\`.`;
  return {
    name,
    title: `Propose: ${name}`,
    description: `${about} Measured, decided, held for people and committed once as \`propose\` does it; then do what \`next\` says.`,
    inputSchema: inputSchema(
      offers.map(({ target }) => target),
      given,
    ),
    outputSchema: RESULT_BRIEF,
    annotations: {
      readOnlyHint: false,
      destructiveHint: name !== 'insert',
      idempotentHint: true,
      openWorldHint: true,
    },
    call: (call) =>
      proposeDraft({ ...call, arguments: { ...recordOf(call.arguments), operation: name } }),
  };
}

/** Definitions stand at the root, where references in a schema lead; unions may not. */
function inputSchema(targets: readonly string[], given: JsonObject): JsonSchema {
  const { $defs, ...schema } = given;
  const { operation: _named, ...members } = DRAFT_MEMBERS;
  return {
    ...closed(
      {
        ...members,
        target: { type: 'string', enum: targets },
        arguments: schema,
        waitMs: WAIT_MS,
      },
      ['reason', 'idempotencyKey', 'run', 'waitMs'],
    ),
    ...(isJsonObject($defs) ? { $defs } : {}),
  };
}
