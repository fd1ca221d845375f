/** What is asked of the past. The interfaces are in `model/replay.ts`, `suggest.ts` and `trace.ts`. */
import type { SuggestBody } from '../../model/suggest.ts';
import type { ReplayBody } from '../../model/replay.ts';
import { closed, described, list, object, WHOLE } from './schema.ts';
import { shape, type JsonSchema, type Shape } from './shape.ts';

const SINCE: JsonSchema = {
  type: 'integer',
  minimum: 0,
  maximum: Number.MAX_SAFE_INTEGER,
  description: 'ms since the epoch: proposals made at or after it',
};

export const REPLAY: Shape<ReplayBody> = shape(
  closed(
    {
      text: described(
        { type: 'string', maxLength: 1_048_576 },
        'the text of the candidate; left out, the policy in force',
      ),
      since: SINCE,
      mode: {
        type: 'string',
        const: 'active',
        description: 'as if the candidate had this mode, whatever it says',
      },
    },
    ['text', 'mode'],
  ),
  'request-invalid',
);

const LINE: JsonSchema = {
  type: 'object',
  required: ['run_id', 'step', 'at', 'proposal', 'tool', 'event'],
  properties: {
    run_id: { type: 'string' },
    step: { type: 'integer', minimum: 1 },
    at: { type: 'integer', description: 'ms since the epoch' },
    proposal: { type: 'string' },
    tool: { type: 'string', description: '`target.operation`' },
    event: { enum: ['tool_call', 'approval', 'effect', 'stop', 'compensated'] },
  },
  description: 'with more by its event: see docs/spec/signals.md',
};

export const TRACE_PAGE: JsonSchema = object({
  items: list(LINE),
  left: described(WHOLE, 'older proposals of the run that are not told; 0: the trace is whole'),
});
export const SUGGEST: Shape<SuggestBody> = shape(
  closed(
    {
      since: SINCE,
      agent: {
        type: 'string',
        minLength: 1,
        maxLength: 128,
        description: 'only the lines of this agent',
      },
    },
    ['agent'],
  ),
  'request-invalid',
);
