/** What an agent proposes to a `postgres` target, checked: its own SQL, or a structured write. */
import { z } from 'zod';
import type { Json, JsonObject } from '../../../lib/json.ts';
import type { PlanRequest, Uploads } from '../../../model/ports.ts';
import { Refused } from '../../connector.ts';
import { below } from './binding.ts';
import { openCopy, statementOfCopy, type CopyWrite } from './copy.ts';
import { canonicalForm } from '../text/canonical.ts';
import type { Parser } from '../text/parse.ts';
import type { Parameter } from '../session/rows.ts';
import type { PostgresSettings } from '../settings.ts';
import type { Statement } from '../text/statement.ts';
import { compileAll } from './structured-faults.ts';
import { compile, isStructured, STRUCTURED_OPERATIONS } from './structured.ts';

/** The operations of a `postgres` target. */
export const OPERATIONS: readonly string[] = ['sql', ...STRUCTURED_OPERATIONS];

const PARAMETERS_MAX = 1_000;

const argumentsSchema = z.strictObject({
  statement: z.string().min(1),
  parameters: z
    .array(z.union([z.string(), z.number(), z.boolean(), z.null()]))
    .max(PARAMETERS_MAX)
    .default([]),
});

export interface ProposedContext {
  readonly parser: Parser;
  readonly settings: PostgresSettings;
  readonly uploads: Uploads | undefined;
}

/** A write that passed text and syntax. */
export interface ProposedWrite {
  readonly statement: Statement;
  readonly parameters: readonly Parameter[];
  /** Where each parameter stood in the arguments of a structured write, as a JSON pointer. */
  readonly fields?: readonly string[] | undefined;
  /** Where the rows come from a file: `runCopy` carries it out, and the statement only describes it. */
  readonly copy?: CopyWrite;
}

/** Reads what is proposed; throws `Refused` for what may not be, before any connection is touched. */
export async function proposedWrite(
  { parser, settings, uploads }: ProposedContext,
  request: Pick<PlanRequest, 'operation' | 'arguments' | 'proposer'>,
): Promise<ProposedWrite> {
  const { operation } = request;
  if (!isStructured(operation)) return parsed(parser, settings, sqlOf(request.arguments));
  const compiled = compileAll(operation, request.arguments);
  if (compiled.kind === 'statement') return parsed(parser, settings, compiled);
  const copy = await openCopy(compiled, uploads, request.proposer);
  return { statement: statementOfCopy(copy), parameters: [], copy };
}

/**
 * The canonical form of what is proposed: equal for two writes that surely do the same, whether as SQL
 * or as JSON. Throws `Refused` as `proposedWrite` does; null where there is none.
 */
export async function canonicalWrite(
  { parser, settings }: Pick<ProposedContext, 'parser' | 'settings'>,
  { operation, arguments: args }: Pick<PlanRequest, 'operation' | 'arguments'>,
): Promise<Json> {
  const { schemas } = settings;
  const compiled = isStructured(operation) ? compile(operation, args) : null;
  if (compiled?.kind === 'import') {
    const { table, upload, format, columns } = compiled;
    const own = schemas.length === 1 ? `${schemas[0] ?? ''}.` : '';
    const name = own !== '' && table.startsWith(own) ? table.slice(own.length) : table;
    return { import: name, upload, format, columns };
  }
  const { text, parameters } = compiled ?? sqlOf(args);
  const tree = await parser.tree(text, settings);
  return tree === null ? null : { sql: canonicalForm(tree, parameters, schemas) };
}

interface Sql {
  readonly text: string;
  readonly parameters: readonly Parameter[];
  readonly fields?: readonly string[];
}

async function parsed(
  parser: Parser,
  settings: PostgresSettings,
  sql: Sql,
): Promise<ProposedWrite> {
  const { text, parameters, fields } = sql;
  const statement = await parser.parse(text, settings);
  if (statement.parameters !== parameters.length) {
    throw new Refused(
      'arguments-invalid',
      `the statement uses ${statement.parameters} parameters and ${parameters.length} were given`,
    );
  }
  return { statement, parameters, fields };
}

function sqlOf(args: JsonObject): Sql {
  const read = argumentsSchema.safeParse(args);
  if (!read.success) {
    const issue = read.error.issues[0];
    const at = (issue?.path ?? []).reduce<string>((place, key) => below(place, String(key)), '');
    throw new Refused(
      'arguments-invalid',
      `the arguments are wrong at \`${at === '' ? '/' : at}\`: ${issue?.message ?? 'unexpected'}; ` +
        'expected `statement`, a text, and optionally `parameters`, a list of plain values',
    );
  }
  const { statement: text, parameters } = read.data;
  for (const [index, value] of parameters.entries()) {
    if (typeof value === 'string' && (value.includes('\0') || !value.isWellFormed())) {
      throw new Refused(
        'arguments-invalid',
        `parameter ${index + 1} holds a NUL or half a character, which no text of the database can`,
      );
    }
  }
  return { text, parameters };
}
