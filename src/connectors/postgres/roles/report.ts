/** What there is to know of every table before an agent may write to it. */
import type { Reversibility } from '../../../model/plan.ts';
import type { FunctionFacts } from './bodies.ts';
import type { RoleCheck } from './findings.ts';
import type { Reach, TableFacts } from './reach.ts';
import type { PostgresSettings } from '../settings.ts';
import type { UndoLack } from '../undo/undo-lacks.ts';

export interface FunctionReport {
  readonly name: string;
  /** What leads to it: `trigger audit`, `default of id`. */
  readonly via: string;
  readonly language: string;
  readonly isTrusted: boolean;
  /** Runs with the rights of `owner`, not of the writer. */
  readonly isDefiner: boolean;
  readonly owner: string;
  readonly reachesOut: string | null;
  /** Builds statements out of text, so only a preview tells what it touches. */
  readonly isDynamic: boolean;
}

export interface TriggerReport {
  readonly name: string;
  readonly timing: 'before' | 'after' | 'instead';
  readonly events: readonly string[];
  readonly function: string;
  readonly language: string;
  readonly isDefiner: boolean;
  readonly owner: string;
  /** Columns of the row itself that its text assigns. */
  readonly columns: readonly string[];
}

export interface TableReport {
  readonly table: string;
  readonly kind: 'table' | 'partitioned' | 'foreign';
  readonly isGoverned: boolean;
  readonly key: readonly string[];
  readonly generated: readonly string[];
  readonly triggers: readonly TriggerReport[];
  readonly cascades: TableFacts['cascades'];
  readonly rules: readonly string[];
  readonly rowSecurity: TableFacts['rowSecurity'];
  readonly policies: readonly string[];
  readonly partOf: readonly string[];
  readonly parts: number;
  readonly functions: readonly FunctionReport[];
  /** What may be proved of a write here; each write's own proof is made by its preview. */
  readonly reversibility: Reversibility;
}

/** Something that the target can or cannot do as it is set up, in a sentence. */
export interface Ability {
  readonly name: 'pooling' | 'reads' | 'evidence' | 'compensation' | 'receipts' | 'attribution';
  readonly isThere: boolean;
  readonly text: string;
}

const KINDS: Readonly<Record<string, TableReport['kind']>> = { p: 'partitioned', f: 'foreign' };

/** Reports every table that is governed or reached, governed ones first. */
export function reportTables(check: RoleCheck): readonly TableReport[] {
  const { reach } = check;
  const rows = reach.tables.map((table) => ({
    table: table.resource,
    kind: KINDS[table.kind] ?? 'table',
    isGoverned: table.isGoverned,
    key: table.key,
    generated: table.generated,
    triggers: triggersOf(table, reach),
    cascades: table.cascades,
    rules: table.rules,
    rowSecurity: table.rowSecurity,
    policies: table.policies,
    partOf: table.parents,
    parts: table.children,
    functions: (reach.runs.get(table.oid) ?? []).map(({ function: called, via }) =>
      functionReport(called, via),
    ),
    reversibility: reversibilityOf(table, check),
  }));
  return rows.toSorted((a, b) => Number(b.isGoverned) - Number(a.isGoverned));
}

function functionReport(called: FunctionFacts, via: string): FunctionReport {
  const { name, language, isTrusted, isDefiner, owner, reachesOut, isDynamic } = called;
  return { name, via, language, isTrusted, isDefiner, owner, reachesOut, isDynamic };
}

function triggersOf(table: TableFacts, { functions }: Reach): readonly TriggerReport[] {
  return table.triggers.map((trigger) => {
    const called = functions.get(trigger.function);
    return {
      name: trigger.name,
      timing: trigger.timing,
      events: trigger.events,
      function: called?.name ?? 'unknown',
      language: called?.language ?? 'unknown',
      isDefiner: called?.isDefiner ?? false,
      owner: called?.owner ?? 'unknown',
      columns: trigger.timing === 'before' && trigger.perRow ? assigned(called?.source ?? '') : [],
    };
  });
}

/** `NEW.column :=`, and `=` where a statement begins with it. */
function assigned(source: string): readonly string[] {
  const found = source.matchAll(/(?:^|;|\bbegin\b|\bthen\b|\belse\b)\s*new\."?(\w+)"?\s*:?=/gi);
  return [...new Set([...found].map(([, column = '']) => column))];
}

function reversibilityOf(
  table: TableFacts,
  { reach, roles, findings, undoLacks }: RoleCheck,
): Reversibility {
  const oneWay = (reason: string): Reversibility => ({ kind: 'one-way', reason });
  const conditional = (reason: string): Reversibility => ({ kind: 'conditional', reason });
  if (table.kind === 'f') return oneWay('a foreign table: its effects cannot be counted');
  const outside = (reach.runs.get(table.oid) ?? []).find(
    ({ function: called }) => called.reachesOut !== null || !called.isTrusted,
  );
  if (outside !== undefined) {
    const { function: called } = outside;
    const why = called.reachesOut ?? `is written in ${called.language}`;
    return oneWay(`${outside.via} runs \`${called.name}\`, which ${why}: that is not taken back`);
  }
  if (table.key.length === 0) return oneWay('no primary key: a row cannot be found again');
  const { evidence, undo } = roles;
  if (table.rowSecurity !== 'off' && evidence?.bypassesRowSecurity !== true) {
    return conditional('row security may hide rows from the evidence');
  }
  if (table.rules.length > 0) {
    return conditional(`rules (${table.rules.join(', ')}) act on the inverse as well`);
  }
  if (table.triggers.length > 0) {
    const names = table.triggers.map(({ name }) => name).join(', ');
    const again = `triggers (${names}) run again when`;
    if (undo === undefined) {
      return conditional(`${again} it is taken back, without an undo role`);
    }
    if (!canReplicate(findings)) {
      return conditional(`${again} it is taken back: \`${undo.role}\` may not turn triggers off`);
    }
    const lack = undoLacks.find((each) => each.table === table.oid);
    if (lack !== undefined) return conditional(`${again} ${LACKS[lack.kind](undo.role, lack)}`);
  }
  return {
    kind: 'proved',
    reason:
      table.triggers.length > 0
        ? 'the inverse is tried in every preview, with triggers off'
        : 'the inverse is tried in every preview',
  };
}

const LACKS: Readonly<Record<UndoLack['kind'], (role: string, lack: UndoLack) => string>> = {
  own: (role) => `it is taken back: \`${role}\` lacks rights on it`,
  parent: (role, { resource }) =>
    'a row that was deleted, or given another foreign key, is taken back: ' +
    `\`${role}\` may not lock rows of \`${resource}\``,
  child: (role, { resource }) =>
    `a row that was inserted is taken back: \`${role}\` may not read \`${resource}\``,
};

function canReplicate(findings: RoleCheck['findings']): boolean {
  return !lacks(findings, 'session_replication_role');
}

/** Says what the set-up gives and what it takes away. */
export function abilitiesOf(
  { roles, findings, reach }: Pick<RoleCheck, 'roles' | 'findings' | 'reach'>,
  settings: PostgresSettings,
): readonly Ability[] {
  const { reader, evidence, undo } = roles;
  const codes = new Set(findings.map(({ code }) => code));
  const hidesRows = reach.tables.some(({ rowSecurity }) => rowSecurity !== 'off');
  const seesAll = !hidesRows || evidence?.bypassesRowSecurity === true;
  return [
    codes.has('pooler-transaction')
      ? ability('pooling', false, 'a pooler of transactions: no write is measured or committed')
      : ability(
          'pooling',
          true,
          'direct, or a pool that keeps sessions: every part works; a pool that hands out transactions would be refused',
        ),
    reader === undefined
      ? ability('reads', false, 'no `reader`: agents cannot read from this target')
      : ability('reads', true, `agents read as \`${reader.role}\`, in read-only transactions`),
    evidenceAbility(evidence?.role, seesAll),
    undo === undefined
      ? ability(
          'compensation',
          false,
          'no `undo`: writes are taken back with triggers on, so what triggers own may stay',
        )
      : canReplicate(findings)
        ? ability('compensation', true, `\`${undo.role}\` takes back exactly, with triggers off`)
        : ability(
            'compensation',
            false,
            `\`${undo.role}\` may not turn triggers off, so what triggers own may stay`,
          ),
    settings.receipts === null
      ? ability(
          'receipts',
          false,
          'no receipt table: the transaction id tells whether a write was applied, which is not known after a failover that lost the commit, nor once the id is too old',
        )
      : ability(
          'receipts',
          true,
          `in the schema \`${settings.receipts}\`: a retry cannot apply twice`,
        ),
  ];
}

function lacks(findings: RoleCheck['findings'], object: string): boolean {
  return findings.some((each) => each.code === 'missing-grant' && each.object === object);
}

function ability(name: Ability['name'], isThere: boolean, text: string): Ability {
  return { name, isThere, text };
}

function evidenceAbility(role: string | undefined, seesAll: boolean): Ability {
  if (!seesAll) {
    return ability(
      'evidence',
      false,
      'row security hides rows from it: what a write changes there is counted, not shown, and needs a person',
    );
  }
  return role === undefined
    ? ability(
        'evidence',
        false,
        'no `evidence`: rows that triggers change are read as the writer, in its own transaction alone',
      )
    : ability('evidence', true, `\`${role}\` reads every row that a write changes`);
}
