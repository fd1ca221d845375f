/** What is asked of the past. The interfaces are in `model/replay.ts`. */
import type { ReplayBody } from '../../model/replay.ts';
import { closed, described } from './schema.ts';
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
