/** What `GET /v1/dependents` takes and gives. */
import { CRITICALITIES } from '../../model/dependents.ts';
import { closed, described, list, object, oneOf, TEXT, TEXT_OR_NULL, WHOLE } from './schema.ts';
import { queryShape, type JsonSchema, type Shape } from './shape.ts';

export interface DependentsQuery {
  readonly resource: string;
  readonly target?: string;
}

export const DEPENDENTS_QUERY: Shape<DependentsQuery> = queryShape(
  closed(
    {
      resource: { ...TEXT, minLength: 1, maxLength: 256, description: 'such as `public.invoices`' },
      target: described(TEXT, 'name of a target; left out, the only one there is'),
    },
    ['target'],
  ),
);

const NODE: JsonSchema = object({
  kind: TEXT,
  name: TEXT,
  resource: TEXT_OR_NULL,
  nodes: { type: 'array', items: { type: 'object' }, description: 'the same again, further out' },
});

export const DEPENDENTS_VIEW: JsonSchema = object({
  target: TEXT,
  resource: TEXT,
  structure: described(
    { type: ['array', 'null'], items: NODE },
    'what the target itself knows; null where it knows nothing',
  ),
  dependents: list(
    object({
      name: TEXT,
      criticality: oneOf(...CRITICALITIES),
      how: TEXT_OR_NULL,
      depth: WHOLE,
      via: TEXT_OR_NULL,
    }),
  ),
  coupling: { type: 'number', minimum: 0, maximum: 1 },
});
