/**
 * What a statement may contain: default deny. A name is on a list because it was looked at, not because
 * it is not known to be bad.
 */

function words(text: string): ReadonlySet<string> {
  return new Set(text.trim().split(/\s+/));
}

/** Node kinds of the syntax tree that the walker knows how to judge. */
export const NODES: ReadonlySet<string> = words(`
  SelectStmt RangeVar RangeSubselect RangeFunction RangeTableSample JoinExpr ColumnDef
  ResTarget MultiAssignRef SetToDefault InferClause IndexElem WithClause
  CommonTableExpr CTESearchClause CTECycleClause Alias NamedArgExpr String Integer Float Boolean BitString List ColumnRef A_Star ParamRef
  A_Const A_Expr BoolExpr NullTest BooleanTest CaseExpr CaseWhen CoalesceExpr MinMaxExpr
  SQLValueFunction FuncCall TypeCast TypeName SubLink A_ArrayExpr A_Indirection A_Indices RowExpr
  SortBy WindowDef CollateClause GroupingSet GroupingFunc
  JsonIsPredicate JsonValueExpr JsonFormat JsonOutput JsonReturning JsonBehavior JsonFuncExpr
  JsonKeyValue JsonArgument JsonObjectConstructor JsonArrayConstructor JsonArrayQueryConstructor
  JsonObjectAgg JsonArrayAgg JsonAggConstructor JsonParseExpr JsonScalarExpr JsonSerializeExpr
  JsonTable JsonTableColumn JsonTablePathSpec
`);

/** Ways to take a random sample of a table, in reads alone. */
export const SAMPLE_METHODS: ReadonlySet<string> = words('bernoulli system');

/** Built-in functions that are immutable or stable, touch no table, file, session or server state. */
export const FUNCTIONS: ReadonlySet<string> = words(`
  abs acos acosd asin asind atan atan2 atan2d atand cbrt ceil ceiling cos cosd cosh cot cotd degrees
  div erf erfc exp factorial floor gcd lcm ln log log10 min_scale mod pi power pow radians round scale
  sign sin sind sinh sqrt tan tand tanh trim_scale trunc width_bucket
  ascii bit_length btrim char_length character_length chr concat concat_ws format initcap left length
  lower lpad ltrim md5 normalize is_normalized octet_length overlay position quote_ident quote_literal
  quote_nullable regexp_count regexp_instr regexp_like regexp_match regexp_matches regexp_replace
  regexp_split_to_array regexp_split_to_table regexp_substr repeat replace reverse right rpad rtrim
  split_part starts_with string_to_array string_to_table strpos substr substring text to_ascii to_hex
  translate upper casefold unistr like notlike like_escape similar_to_escape
  bit_count decode encode get_bit get_byte set_bit set_byte sha224 sha256 sha384 sha512 crc32 crc32c
  to_char to_date to_number to_timestamp age date_bin date_part date_trunc extract isfinite justify_days
  justify_hours justify_interval make_date make_interval make_time make_timestamp make_timestamptz
  overlaps timezone date timestamp timestamptz time interval
  array_append array_cat array_dims array_fill array_length array_lower array_ndims array_position
  array_positions array_prepend array_remove array_replace array_to_string array_upper cardinality
  trim_array unnest generate_subscripts generate_series array_sort array_reverse
  to_json to_jsonb array_to_json row_to_json json_build_array json_build_object jsonb_build_array
  jsonb_build_object json_object jsonb_object json_array_elements json_array_elements_text
  json_array_length json_each json_each_text json_extract_path json_extract_path_text
  json_object_keys json_strip_nulls json_typeof jsonb_array_elements jsonb_array_elements_text
  jsonb_array_length jsonb_each jsonb_each_text jsonb_extract_path jsonb_extract_path_text jsonb_insert
  jsonb_object_keys jsonb_path_exists jsonb_path_match jsonb_path_query jsonb_path_query_array
  jsonb_path_query_first jsonb_pretty jsonb_set jsonb_set_lax jsonb_strip_nulls jsonb_typeof
  count sum avg min max bool_and bool_or every bit_and bit_or bit_xor string_agg array_agg json_agg
  jsonb_agg json_object_agg jsonb_object_agg stddev stddev_pop stddev_samp variance var_pop var_samp
  corr covar_pop covar_samp mode percentile_cont percentile_disc
  row_number rank dense_rank percent_rank cume_dist ntile lag lead first_value last_value nth_value
  lower_inc upper_inc lower_inf upper_inf isempty range_merge int4range int8range numrange daterange
  tsrange tstzrange num_nulls num_nonnulls
  host family masklen netmask network broadcast abbrev inet_same_family
  to_tsquery to_tsvector plainto_tsquery phraseto_tsquery websearch_to_tsquery ts_rank ts_rank_cd
  ts_headline ts_delete ts_filter setweight strip numnode querytree tsvector_to_array array_to_tsvector
  tsquery_phrase json_to_tsvector jsonb_to_tsvector
  json_to_record json_to_recordset jsonb_to_record jsonb_to_recordset jsonb_path_exists_tz
  jsonb_path_match_tz jsonb_path_query_tz jsonb_path_query_array_tz jsonb_path_query_first_tz
  any_value range_agg range_intersect_agg regr_avgx regr_avgy regr_count regr_intercept regr_r2
  regr_slope regr_sxx regr_sxy regr_syy
  int4multirange int8multirange nummultirange datemultirange tsmultirange tstzmultirange multirange
  int2 int4 int8 float4 float8 numeric bool varchar convert_from convert_to parse_ident to_bin to_oct
  date_add date_subtract uuid_extract_timestamp uuid_extract_version hostmask set_masklen
  point box circle lseg line path polygon area center diameter height width radius isclosed isopen
  npoints slope
`);

/** Stable clocks: the same all through a statement, another at the next. */
export const CLOCK_FUNCTIONS: ReadonlySet<string> = words(
  'now transaction_timestamp statement_timestamp',
);

/**
 * Volatile ones without side effects: a read may use them. A write would differ at the commit: there it may
 * give a column one of `GIVEN_FUNCTIONS` as its whole value, which is then known at the commit alone.
 */
export const VOLATILE_FUNCTIONS: ReadonlySet<string> = words(
  'random random_normal gen_random_uuid uuidv4 uuidv7 clock_timestamp timeofday',
);

/** Volatile ones whose result is new at every call, and nothing but that. */
export const GIVEN_FUNCTIONS: ReadonlySet<string> = words(
  'random gen_random_uuid uuidv4 uuidv7 clock_timestamp',
);

/** Those of sequences: a number once taken is gone, whatever becomes of the transaction. */
export const SEQUENCE_FUNCTIONS: ReadonlySet<string> = words('nextval currval lastval setval');

/** `CURRENT_TIMESTAMP` and its like, by the parser's name. */
export const CLOCK_VALUES: ReadonlySet<string> = words(`
  SVFOP_CURRENT_DATE SVFOP_CURRENT_TIME SVFOP_CURRENT_TIME_N SVFOP_CURRENT_TIMESTAMP
  SVFOP_CURRENT_TIMESTAMP_N SVFOP_LOCALTIME SVFOP_LOCALTIME_N SVFOP_LOCALTIMESTAMP
  SVFOP_LOCALTIMESTAMP_N
`);

/**
 * Built-in types that a cast may name, as the catalog spells them: the parser turns `integer` into `int4`,
 * and a quoted `"integer"` would be somebody's own.
 */
export const TYPES: ReadonlySet<string> = words(`
  bool int2 int4 int8 numeric float4 float8 text varchar
  bpchar char name bytea uuid date time timetz timestamp timestamptz interval json jsonb jsonpath inet
  cidr macaddr macaddr8 bit varbit money point line lseg box path polygon circle tsvector tsquery
  int4range int8range numrange daterange tsrange tstzrange int4multirange int8multirange nummultirange
  datemultirange tsmultirange tstzmultirange oid
`);

/** Operators of the server itself; one of the same name in a governed schema refuses the statement. */
export const OPERATORS: ReadonlySet<string> = words(`
  + - * / % ^ |/ ||/ @ & | # ~ << >> = <> != < > <= >= || ~~ !~~ ~~* !~~* ~* !~ !~* ^@
  @> <@ && -|- -> ->> #> #>> ? ?| ?& @? @@ #- &< &> <<= >>= <-> |>> <<| BETWEEN
`);

export const SYSTEM_COLUMNS: ReadonlySet<string> = words('ctid xmin xmax cmin cmax tableoid');
