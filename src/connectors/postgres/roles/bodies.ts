/** What functions may do, as far as their language, their extension and their text tell. */
import type { Ask, Verb } from '../session/ask.ts';

export interface FunctionFacts {
  readonly oid: number;
  /** `schema.function`. */
  readonly name: string;
  readonly language: string;
  readonly isTrusted: boolean;
  /** Runs with its owner's rights. */
  readonly isDefiner: boolean;
  readonly owner: string;
  readonly extension: string | null;
  readonly source: string;
  /** Functions of this database that its text or its declaration names, by oid. */
  readonly calls: readonly number[];
  /** Why it may reach out of the transaction; null where nothing says so. */
  readonly reachesOut: string | null;
  /** Builds statements out of text, so what it touches cannot be read. */
  readonly isDynamic: boolean;
}

/**
 * Extensions whose C code computes values, or writes through the same transaction. A function in C
 * of any other is taken for one that can do anything.
 */
const CALM_EXTENSIONS = new Set(
  (
    'autoinc bloom btree_gin btree_gist citext cube dict_int dict_xsyn earthdistance fuzzystrmatch ' +
    'hstore insert_username intarray isn lo ltree moddatetime pg_trgm pgcrypto plpgsql postgis ' +
    'refint seg tablefunc tsm_system_rows unaccent uuid-ossp vector xml2'
  ).split(' '),
);

/** Extensions that are made to speak with something else. */
const LOUD_EXTENSIONS = new Set(
  'dblink http pg_net plproxy pg_cron pg_background aws_lambda aws_s3 file_fdw adminpack'.split(
    ' ',
  ),
);

const OUTWARD: readonly (readonly [pattern: RegExp, what: string])[] = [
  [/\bdblink\w*\s*\(/i, 'opens a second connection (dblink)'],
  [/\bcopy\b[^;]*\b(?:to|from)\s+program\b/i, 'runs a program (COPY PROGRAM)'],
  [/\bcopy\b[^;]*\b(?:to|from)\s+'/i, "reads or writes the server's files (COPY)"],
  [/\b(?:http|http_\w+|net\.http_\w+|urlencode_http)\s*\(/i, 'calls out over HTTP'],
  [/\b(?:aws_lambda|aws_s3|aws_commons)\./i, 'calls a cloud service'],
  [/\bcron\.\w+\s*\(|\bpg_background_\w+\s*\(/i, 'starts work outside of the transaction'],
  [
    /\b(?:lo_import|lo_export|pg_read_file|pg_read_binary_file|pg_ls_dir|pg_file_\w+)\s*\(/i,
    "reads or writes the server's files",
  ],
  [/\bpg_logical_emit_message\s*\(\s*false/i, 'writes to the log outside of the transaction'],
  [/\bpg_(?:terminate|cancel)_backend\s*\(/i, 'ends other sessions'],
];

/** Reads the functions with these oids, and those that they may call. */
export async function readBodies(
  ask: Ask,
  roots: readonly number[],
): Promise<ReadonlyMap<number, FunctionFacts>> {
  if (roots.length === 0) return new Map();
  const rows = await ask(FUNCTIONS, [roots]);
  // The shape of `FUNCTIONS` below.
  const answers = rows.map(([json]) => json as FunctionAnswer);
  const byName = new Map<string, number[]>();
  for (const each of answers) {
    const short = each.name.slice(each.name.lastIndexOf('.') + 1).toLowerCase();
    byName.set(short, [...(byName.get(short) ?? []), each.oid]);
  }
  return new Map(answers.map((each) => [each.oid, factsOf(each, byName)]));
}

interface FunctionAnswer {
  readonly oid: number;
  readonly name: string;
  readonly language: string;
  readonly trusted: boolean;
  readonly definer: boolean;
  readonly owner: string;
  readonly extension: string | null;
  readonly source: string;
  readonly depends: readonly number[];
}

function factsOf(
  answer: FunctionAnswer,
  byName: ReadonlyMap<string, readonly number[]>,
): FunctionFacts {
  const code = withoutComments(answer.source);
  const named = [...code.matchAll(/([a-z_][a-z0-9_$]*)"?\s*\(/gi)].flatMap(
    ([, name = '']) => byName.get(name.toLowerCase()) ?? [],
  );
  const isBuiltIn = answer.language === 'internal';
  const isCalm = answer.extension !== null && CALM_EXTENSIONS.has(answer.extension);
  const isLoud = answer.extension !== null && LOUD_EXTENSIONS.has(answer.extension);
  const outward = OUTWARD.find(([pattern]) => pattern.test(code))?.[1] ?? null;
  return {
    oid: answer.oid,
    name: answer.name,
    language: answer.language,
    isTrusted: isBuiltIn || answer.trusted || isCalm,
    isDefiner: answer.definer,
    owner: answer.owner,
    extension: answer.extension,
    source: code,
    calls: [...new Set([...named, ...answer.depends])].filter((oid) => oid !== answer.oid),
    reachesOut: isLoud ? `belongs to the extension ${answer.extension}` : outward,
    isDynamic:
      answer.language === 'plpgsql' && /\bexecute\b(?!\s+(?:function|procedure))/i.test(code),
  };
}

function withoutComments(source: string): string {
  return source.replaceAll(/--[^\n]*/g, ' ').replaceAll(/\/\*[^]*?\*\//g, ' ');
}

const NAME = String.raw`((?:"?[a-z_][\w$]*"?\.)?"?[a-z_][\w$]*"?)`;
const TOUCHES: readonly (readonly [pattern: RegExp, verb: Verb | null])[] = [
  [new RegExp(String.raw`\binsert\s+into\s+${NAME}`, 'gi'), 'INSERT'],
  [new RegExp(String.raw`\bupdate\s+(?:only\s+)?${NAME}`, 'gi'), 'UPDATE'],
  [new RegExp(String.raw`\bdelete\s+from\s+(?:only\s+)?${NAME}`, 'gi'), 'DELETE'],
  [new RegExp(String.raw`\bmerge\s+into\s+(?:only\s+)?${NAME}`, 'gi'), 'UPDATE'],
  [new RegExp(String.raw`\b(?:from|join)\s+(?:only\s+)?${NAME}`, 'gi'), null],
];

/** The tables that a function's text names, as it spells them in lower case; the verb null for a read. */
export function touchedIn(
  called: FunctionFacts,
): readonly { readonly table: string; readonly verb: Verb | null }[] {
  if (!/^(?:plpgsql|sql)$/.test(called.language)) return [];
  return TOUCHES.flatMap(([pattern, verb]) =>
    [...called.source.matchAll(pattern)].map(([, name = '']) => ({
      table: name.includes('"') ? name.replaceAll('"', '') : name.toLowerCase(),
      verb,
    })),
  );
}

/**
 * The roots, and what they may call: every function of the database that is no built-in and no part of
 * a calm extension. Their text is short beside what a round trip for each call would cost.
 */
const FUNCTIONS = `
SELECT json_build_object(
  'oid', p.oid::int8, 'name', s.nspname || '.' || p.proname, 'language', l.lanname,
  'trusted', l.lanpltrusted, 'definer', p.prosecdef, 'owner', pg_get_userbyid(p.proowner),
  'extension', e.extname,
  'source', CASE WHEN l.lanname IN ('c', 'internal') THEN ''
    WHEN p.prosqlbody IS NOT NULL THEN pg_get_functiondef(p.oid) ELSE left(p.prosrc, 200000) END,
  'depends', coalesce((SELECT json_agg(d.refobjid::int8) FROM pg_depend d
    WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid
      AND d.refclassid = 'pg_proc'::regclass), '[]'))
FROM pg_proc p JOIN pg_namespace s ON s.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
  LEFT JOIN pg_depend x ON x.classid = 'pg_proc'::regclass AND x.objid = p.oid
    AND x.deptype = 'e' AND x.refclassid = 'pg_extension'::regclass
  LEFT JOIN pg_extension e ON e.oid = x.refobjid
WHERE p.oid = ANY ($1::int8[])
  OR (s.nspname <> 'pg_catalog' AND s.nspname <> 'information_schema' AND p.prokind IN ('f', 'p')
    AND (e.extname IS NULL OR e.extname IN (${[...LOUD_EXTENSIONS].map((name) => `'${name}'`).join(', ')})))`;
