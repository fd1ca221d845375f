/** What the HTTP API gives about itself: stops, credentials, status, problems. */
import { FREEZE_SCOPES } from '../../model/freeze.ts';
import { ROLES } from '../../model/principal.ts';
import { SENSITIVITIES } from '../../model/policy.ts';
import { PROBLEMS } from '../../model/problem.ts';
import {
  AT,
  AT_OR_NULL,
  described,
  list,
  object,
  oneOf,
  TEXT,
  TEXT_OR_NULL,
  WHOLE,
  WHOLE_OR_NULL,
  YES_NO,
} from './schema.ts';
import type { JsonSchema } from './shape.ts';

const BY_FILE: JsonSchema = described(
  { type: 'string', const: 'file' },
  'absent where a person did',
);

export const FREEZE_VIEW: JsonSchema = object(
  {
    id: TEXT,
    scope: object({ kind: oneOf(...FREEZE_SCOPES), name: TEXT }, ['name']),
    reason: TEXT,
    by: described(TEXT, 'a person; the name of a gateway where its configuration file stopped'),
    source: BY_FILE,
    at: AT,
    releasedAt: AT_OR_NULL,
    voices: described(
      list(object({ by: TEXT, source: BY_FILE, at: AT }, ['source'])),
      'who spoke for the release, oldest first',
    ),
    release: object({
      quorum: described(WHOLE, 'how many distinct people release it'),
      spoken: WHOLE,
      missing: WHOLE,
    }),
  },
  ['source'],
);

export const FREEZE_PAGE: JsonSchema = object({ items: list(FREEZE_VIEW) });

const FIGURE = described(WHOLE, 'a count; minor units where value is measured');

export const BUDGET_PAGE: JsonSchema = object({
  items: list(
    object({
      budget: TEXT,
      scope: described(TEXT, 'what shares it: `tenant`, or names such as `agent=ledger-bot`'),
      measure: TEXT,
      window: oneOf('minute', 'hour', 'day'),
      max: FIGURE,
      spent: FIGURE,
      inFlight: FIGURE,
      left: FIGURE,
      freesAt: AT_OR_NULL,
    }),
  ),
  isCut: described(YES_NO, 'whether there are more than are shown'),
});

export const BASELINE_PAGE: JsonSchema = object({
  items: list(
    object({
      agent: TEXT,
      target: TEXT,
      operation: TEXT,
      since: AT,
      applied: WHOLE,
      warmUp: described(WHOLE, 'below so many applied writes nothing is unusual'),
      sensitivity: oneOf(...SENSITIVITIES),
      figures: list(
        object({
          measure: described(TEXT, '`minute`, `hour`, `day`, `records`, `value:GBP` …'),
          low: FIGURE,
          high: FIGURE,
          unusualAbove: described(WHOLE_OR_NULL, 'null where nothing is judged'),
        }),
      ),
      hours: described(list(WHOLE), 'of the day (UTC), in which it has written'),
      resources: list(TEXT),
      isCrowded: described(YES_NO, 'whether there were more resources than are kept'),
    }),
  ),
});

export const CREDENTIAL_VIEW: JsonSchema = object({
  id: TEXT,
  holder: object({
    kind: oneOf('agent', 'person'),
    name: TEXT,
    roles: list(oneOf(...ROLES)),
  }),
  secret: described(TEXT, 'the bearer token; shown this once'),
});

export const CREDENTIAL_PAGE: JsonSchema = object({
  items: list(
    object({
      id: TEXT,
      holder: object({ kind: oneOf('agent', 'person'), name: TEXT }),
      createdAt: AT,
      revokedAt: AT_OR_NULL,
    }),
  ),
});

export const GATEWAY_STATUS: JsonSchema = object({
  name: { type: 'string', const: 'writegate' },
  version: TEXT,
  policyDigest: TEXT,
  policyProblem: TEXT_OR_NULL,
  mode: oneOf('active', 'observe'),
  ledger: object({ origin: TEXT, vkey: TEXT, size: WHOLE }),
  targets: list(object({ name: TEXT, kind: TEXT, guarantee: TEXT, problem: TEXT_OR_NULL })),
  startedAt: AT,
  store: oneOf('sqlite', 'postgres'),
  gateway: TEXT,
  gateways: described(
    list(
      object({
        name: TEXT,
        version: TEXT,
        startedAt: AT,
        differs: described(
          list(TEXT),
          'parts of the configuration that it opened otherwise than this one',
        ),
      }),
    ),
    'those over the same store that were seen within the last 15 s, this one among them',
  ),
});

export const OPERATION_PAGE: JsonSchema = object({
  items: list(
    object({
      target: TEXT,
      kind: TEXT,
      operation: TEXT,
      schema: described(
        { type: ['object', 'null'] },
        'JSON Schema of the arguments; null where there is none to give',
      ),
    }),
  ),
});

export const RESOURCE_PAGE: JsonSchema = object({
  items: list(
    object({
      target: TEXT,
      resources: described(
        { type: ['array', 'null'], items: TEXT },
        'as plans name them; null where the target cannot list them now',
      ),
    }),
  ),
});

export const HEALTH: JsonSchema = object({ ok: YES_NO });

const CODE = oneOf(...Object.keys(PROBLEMS));
const ACTS = described(oneOf('caller', 'operator', 'nobody'), 'who can do something about it');

/** RFC 9457. */
export const PROBLEM_DOCUMENT: JsonSchema = object({
  type: { type: 'string', pattern: '^/v1/problems/[a-z-]+$' },
  title: TEXT,
  status: WHOLE,
  code: CODE,
  detail: TEXT,
  at: described(TEXT_OR_NULL, 'where in the input: a JSON pointer'),
  acts: ACTS,
  retryAfterMs: described(
    WHOLE_OR_NULL,
    'when the same call may be sent again, in ms; null where nothing but a change helps',
  ),
});

export const PROBLEM_ROW: JsonSchema = object({
  code: CODE,
  status: WHOLE,
  title: TEXT,
  acts: ACTS,
});
