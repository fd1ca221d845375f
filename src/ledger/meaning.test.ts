import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import {
  assessmentOf,
  decided,
  intended,
  outcome,
  planOf,
  proposed,
} from '../../test/support/ledger-stories.ts';
import { AT, MemoryLog, ORIGIN, seededRandom } from '../../test/support/ledger.ts';
import { newProposalId } from '../model/ids.ts';
import { openEntry } from './entry.ts';
import { Findings } from './findings.ts';
import { parseLeaf } from './leaf.ts';
import { Meaning } from './meaning.ts';

const ACTS = 1_000;
/** Of each act, the facts alone; a draft of the size below, or five leaves, would be over it. */
const BYTES_PER_ACT_MAX = 1_800;
const DRAFT_CHARACTERS = 6_000;

test('what is held of an act that was checked does not grow with what was in it', () => {
  const findings = new Findings();
  const meaning = new Meaning(findings, ORIGIN);
  // What is loaded and compiled at the first entries is not of the acts.
  for (let act = 0; act < 200; act += 1) checkAct(meaning, act);
  const before = heapUsed();
  for (let act = 200; act < 200 + ACTS; act += 1) checkAct(meaning, act);
  const bytes = (heapUsed() - before) / ACTS;
  assert.equal(meaning.figures().states.applied, 200 + ACTS);
  assert.deepEqual(
    findings.all().filter(({ code }) => code !== 'genesis-misplaced'),
    [],
  );
  assert(bytes < BYTES_PER_ACT_MAX, `${Math.round(bytes)} bytes are held of each act`);
});

/** An applied write, from its draft to its outcome, as the log has it. */
function checkAct(meaning: Meaning, number: number): void {
  const random = seededRandom(String(number));
  const log = new MemoryLog(random);
  const act = newProposalId(AT, random.bytes(10));
  const assessment = assessmentOf(planOf(random));
  const draft = proposed();
  assert(draft.type === 'proposal');
  const statement = String(number).padEnd(DRAFT_CHARACTERS, 'x');
  const bodies = [
    { ...draft, draft: { ...draft.draft, arguments: { statement } } },
    { type: 'preview', assessment } as const,
    decided('allow', assessment.planDigest),
    intended(assessment.planDigest),
    outcome('applied', assessment.planDigest),
  ];
  for (const each of bodies) {
    const { leaf, leafHash, payloads } = log.append(act, each);
    const parsed = parseLeaf(leaf);
    assert(parsed.kind === 'leaf');
    const body = openEntry(leaf, payloads);
    meaning.check({ index: 1, hash: leafHash, leaf: parsed.leaf, body });
  }
}

function heapUsed(): number {
  setFlagsFromString('--expose-gc');
  runInNewContext('gc()');
  return process.memoryUsage().heapUsed;
}
