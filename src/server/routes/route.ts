/** A route as a row: `app.ts` serves the rows, `openapi.ts` documents the same ones. */
import type { Principal } from '../../model/principal.ts';
import type { Access } from '../auth.ts';
import type { JsonSchema } from '../shapes/shape.ts';

export interface Route {
  readonly method: 'GET' | 'POST';
  /** As OpenAPI writes it: `/v1/proposals/{id}`; one parameter fills one segment. */
  readonly path: string;
  readonly operationId: string;
  readonly summary: string;
  readonly access: Access;
  /** Null: there may be none. */
  readonly query: JsonSchema | null;
  readonly body: JsonSchema | null;
  /** How large the body may be, in bytes; absent: as everywhere. */
  readonly bodyBytesMax?: number;
  /** Media types of a body that is handed on as a stream; then `body` is null. */
  readonly stream?: readonly string[];
  readonly headers?: Readonly<Record<string, JsonSchema>>;
  /** Where one parameter takes the rest of the path, slashes and all. */
  readonly rest?: string;
  readonly status: 200 | 201 | 204;
  /** Null: no content; a text: its media type. */
  readonly answer: JsonSchema | string | null;
  /** Where the thing that was made can be read; for the `Location` header. */
  readonly location?: (answer: unknown) => string | null;
  take(call: Call): unknown;
}

/** One call of a route, authenticated as `access` asks. Query and body are as they came. */
export interface Call {
  /** Only where `access` is not `public`. */
  readonly principal: Principal;
  readonly query: unknown;
  readonly body: unknown;
  param(name: string): string;
  header(name: string): string | undefined;
  /** Aborts when the caller goes away or the gateway stops: waits end, nothing else does. */
  readonly signal: AbortSignal;
}
