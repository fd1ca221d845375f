/** What an upload is answered with. */
import { described, object, TEXT, WHOLE } from './schema.ts';
import type { JsonSchema } from './shape.ts';

export const UPLOAD_ANSWER: JsonSchema = object({
  id: described(TEXT, 'names the file in the arguments of a write; the same content has the same'),
  bytes: WHOLE,
  sha256: TEXT,
});
