/** Uploads: files that an agent sends ahead of a write that takes its rows from one. */
import { Readable } from 'node:stream';
import type { UploadAnswer } from '../../model/api.ts';
import { Problem } from '../../model/problem.ts';
import { UPLOAD_ANSWER } from '../shapes/upload-answers.ts';
import type { Route } from './route.ts';

/** Where uploads are kept; `store/uploads.ts` is the gateway's. */
export interface UploadPort {
  /** Durable when it resolves; nothing is left where it rejects. */
  put(owner: string, content: AsyncIterable<Uint8Array>): Promise<UploadAnswer>;
}

const MEDIA_TYPES = ['text/csv', 'application/x-ndjson'] as const;

export function uploadRoutes(uploads: UploadPort | undefined): readonly Route[] {
  if (uploads === undefined) return [];
  return [
    {
      method: 'POST',
      path: '/v1/uploads',
      operationId: 'upload',
      summary: 'Send a file of rows, kept for a day; a write names it by the `id` in the answer',
      access: 'holder',
      query: null,
      body: null,
      stream: MEDIA_TYPES,
      status: 201,
      answer: UPLOAD_ANSWER,
      take: ({ principal, body }) => take(uploads, `${principal.kind}:${principal.name}`, body),
    },
  ];
}

async function take(uploads: UploadPort, owner: string, body: unknown): Promise<UploadAnswer> {
  if (!(body instanceof Readable)) {
    throw new Problem(
      'request-invalid',
      'send the file as body, `text/csv` or `application/x-ndjson`',
    );
  }
  try {
    // Ended early, the iterator would cut the connection before the answer is on it.
    return await uploads.put(owner, body.iterator({ destroyOnReturn: false }));
  } finally {
    body.resume();
  }
}
