/**
 * Bulk insert: an uploaded file streamed into one table by COPY, in the session's open transaction.
 * Triggers and constraints take part as in any insert; rules do not. What it did is measured like any
 * write, by who calls.
 */
import { createHash } from 'node:crypto';
import { pipeline } from 'node:stream/promises';
import pg from 'pg';
import copyStreams from 'pg-copy-streams';
import type { Upload, Uploads } from '../../../model/ports.ts';
import { Refused } from '../../connector.ts';
import type { Table } from '../catalog/catalog.ts';
import { checkedCsv, csvColumns, withoutHead } from './copy-csv.ts';
import { ndjsonColumns, textOfNdjson } from './copy-ndjson.ts';
import { asRefusal, sqlState } from '../session/refusals.ts';
import type { Session } from '../session/session.ts';
import type { Statement } from '../text/statement.ts';
import type { ImportRequest } from './structured.ts';
import type { RelationName } from '../text/tree.ts';

/** An import with its file at hand: what a `Write` of kind `copy` carries. */
export interface CopyWrite {
  readonly request: ImportRequest;
  readonly upload: Upload;
  /** The columns that the file's fields are for, in their order. */
  readonly columns: readonly string[];
}

/**
 * Finds the file of an import and reads which columns it has. Throws `upload-unknown` where the
 * proposer has no such file, or not any more, and `arguments-invalid` where its head says nothing.
 */
export async function openCopy(
  request: ImportRequest,
  uploads: Uploads | undefined,
  proposer: string | undefined,
): Promise<CopyWrite> {
  const upload = proposer === undefined ? undefined : await uploads?.open(request.upload, proposer);
  if (upload === undefined) throw unknownUpload();
  if (request.columns !== null) return { request, upload, columns: request.columns };
  const columnsOf = request.format === 'csv' ? csvColumns : ndjsonColumns;
  return { request, upload, columns: await columnsOf(hashed(upload)) };
}

/**
 * Copies the file into `table` and returns how many rows the server took. Throws `upload-unknown`
 * where the content is not what the upload's hash says: it is the last thing read, so the transaction
 * must be taken back. An error of the server says the line and column, and never a value.
 */
export async function runCopy(
  session: Pick<Session, 'client'>,
  table: Table,
  write: CopyWrite,
): Promise<number> {
  checkColumns(table, write);
  const columns = write.columns.map((name) => pg.escapeIdentifier(name)).join(', ');
  const format = write.request.format === 'csv' ? 'csv' : 'text';
  const into = session.client.query(
    copyStreams.from(`COPY ${table.sql} (${columns}) FROM STDIN WITH (FORMAT ${format})`),
  );
  try {
    await pipeline(linesOf(write), into);
  } catch (error) {
    throw told(error, table, write);
  }
  return into.rowCount;
}

/**
 * What an import says, in the form of a statement: an INSERT of its columns that returns nothing, which
 * the look-ups, masks and guards take like any other. `runCopy` carries it out, not its text.
 */
export function statementOfCopy(write: CopyWrite): Statement {
  const { table } = write.request;
  const dot = table.indexOf('.');
  const target: RelationName = {
    schema: dot < 0 ? null : table.slice(0, dot),
    name: table.slice(dot + 1),
    at: 0,
  };
  const inserted = write.columns.map((column, position) => {
    return { column, position, changing: false, byDefault: false, plain: true };
  });
  return {
    // Masks are remembered by it, so it says what could matter to them.
    text: `COPY ${JSON.stringify([table, write.columns])} FROM STDIN`,
    kind: 'insert',
    target,
    alias: target.name,
    written: [target],
    writes: [
      {
        kind: 'insert',
        relation: target,
        inserted,
        updated: [],
        looks: false,
        isUnfiltered: false,
      },
    ],
    isPlain: false,
    fixed: [],
    computed: [],
    inserted,
    updated: [],
    reads: [],
    functions: [],
    operators: [],
    fields: [],
    attributes: [],
    types: [],
    parameters: 0,
    countQuery: null,
    rewritten: null,
    warnings: [],
  };
}

async function* linesOf({ request, upload, columns }: CopyWrite): AsyncGenerator<Uint8Array> {
  const checked = hashed(upload);
  if (request.format === 'ndjson') {
    yield* textOfNdjson(checked, columns);
    return;
  }
  yield* checkedCsv(request.columns === null ? withoutHead(checked) : checked);
}

async function* hashed(upload: Upload): AsyncGenerator<Uint8Array> {
  const digest = createHash('sha256');
  try {
    for await (const chunk of upload.stream()) {
      digest.update(chunk);
      yield chunk;
    }
  } catch (error) {
    // Swept, or removed by hand, between the look and the read.
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') throw unknownUpload();
    throw error;
  }
  if (digest.digest('hex') !== upload.sha256) throw unknownUpload();
}

function checkColumns(table: Table, { columns }: CopyWrite): void {
  for (const [index, name] of columns.entries()) {
    const found = table.columns.find((column) => column.name === name);
    if (found === undefined || found.isGenerated) {
      const why = found === undefined ? 'has no column' : 'fills by itself its column';
      throw new Refused(
        'arguments-invalid',
        `\`${table.resource}\` ${why} \`${name.slice(0, 100)}\`, which field ${index + 1} of the ` +
          'file is for; name the columns in `columns`, or mend the file',
      );
    }
    if (columns.indexOf(name) !== index) {
      throw new Refused('arguments-invalid', `the file has the column \`${name}\` twice`);
    }
  }
}

const NOT_SUPPORTED = '0A000';

/** `COPY things, line 3, column qty: "…"`: the value after it is not told. */
const WHERE = /^COPY [^\n]*?, line (\d{1,20})/;

function told(error: unknown, table: Table, write: CopyWrite): Error {
  if (error instanceof Refused) return error;
  if (sqlState(error) === NOT_SUPPORTED && table.rowSecurity !== 'off') {
    return new Refused(
      'statement-unsupported',
      `\`${table.resource}\` has row security, with which no file can be imported into it; propose ` +
        '`insert` with the rows',
    );
  }
  const { code, reason, permanent } = asRefusal(error);
  const line = error instanceof pg.DatabaseError ? WHERE.exec(error.where ?? '')?.[1] : undefined;
  // The server does not see the line with the names.
  const isHeaded = write.request.format === 'csv' && write.request.columns === null;
  const place = line === undefined ? '' : ` at line ${BigInt(line) + (isHeaded ? 1n : 0n)}`;
  return new Refused(code, `${reason}${place}${place === '' ? '' : ' of the file'}`, { permanent });
}

function unknownUpload(): Refused {
  return new Refused(
    'upload-unknown',
    'there is no upload of that id, or it is not as it was sent; send the file again and propose ' +
      'with the `id` that it is answered with',
  );
}
