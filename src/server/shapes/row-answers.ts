/** What the HTTP API and MCP give of rows: those of a proposal, and those that a read found. */
import { EFFECT } from './answers.ts';
import {
  described,
  list,
  nullable,
  object,
  oneOf,
  TEXT,
  TEXT_OR_NULL,
  WHOLE,
  WHOLE_OR_NULL,
  YES_NO,
} from './schema.ts';
import type { JsonSchema } from './shape.ts';

export const ROW_PAGE: JsonSchema = object({
  items: list(EFFECT),
  from: WHOLE,
  total: described(WHOLE, 'rows of those asked for'),
  left: described(WHOLE, 'of them, rows that come after these; go on at `from` + the items given'),
  as: oneOf('planned', 'applied'),
  maskedColumns: described(
    list(TEXT),
    'columns whose value after is only known at the commit, null in planned rows',
  ),
  missing: described(
    nullable(object({ rows: WHOLE, reason: TEXT })),
    'rows of the write that cannot be shown, and why; null where there are none',
  ),
});

const REFUSED = described(
  nullable(object({ from: WHOLE, to: WHOLE })),
  'the offending part of the statement, in UTF-16 code units; null where there is none',
);

export const READ_RESULT: JsonSchema = {
  ...object({
    state: oneOf('read', 'refused'),
    code: described(TEXT, 'stable; `read`, or why not'),
    reason: TEXT,
    next: described(
      oneOf('wait', 'none', 'narrow', 'fix-arguments', 'ask-human'),
      'what to do next',
    ),
    retryAfterMs: WHOLE_OR_NULL,
  }),
  oneOf: [
    object({
      state: { type: 'string', const: 'read' },
      columns: list(object({ name: TEXT, isMasked: YES_NO })),
      rows: described(
        list(list(TEXT_OR_NULL)),
        'in the text form of the target; masked values are null',
      ),
      resources: list(TEXT),
      bytes: WHOLE,
    }),
    object({ state: { type: 'string', const: 'refused' }, span: REFUSED }),
  ],
};
