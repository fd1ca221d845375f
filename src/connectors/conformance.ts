/**
 * What every connector owes the gate, as tests. A connector's own test builds a `Stage`, a fake or
 * real system that it can look into and break, and hands it over. `docs/spec/connector.md` explains K1..K10.
 */
import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import type { JsonObject } from '../lib/json.ts';
import { newProposalId, type ProposalId } from '../model/ids.ts';
import { measure, planDigest, PLAN_BOUNDS, type Plan } from '../model/plan.ts';
import type { ApplyAnswer, ApplyRequest, Held, PlanRequest, Target } from '../model/ports.ts';

/** Where the connection to the system breaks, once, in the next `apply`. */
export type Break =
  /** In the middle of the work, before the target was asked to keep it. */
  | 'before-the-effect'
  /** The request to keep it is lost on the way. */
  | 'request-lost'
  /** It is kept, and the answer is lost: failed but persisted. */
  | 'reply-lost';

/** A system that the suite may look into and break. */
export interface Stage {
  /** A target that stays open until the suite ends. */
  readonly target: Target;
  /** Gives back the system as it is before every test. */
  reset(): Promise<void>;
  /** All that a write could change, as one text that can be compared. */
  state(): Promise<string>;
  /** A write that changes something, can be taken back, and gives the same plan while nothing moves. */
  readonly write: { readonly operation: string; readonly arguments: JsonObject };
  /** In place of `write` alone, where the target takes several in one transaction: all of them. */
  readonly steps?: PlanRequest['steps'];
  /** What that write changes, all counts together. */
  readonly records: number;
  /** Arguments that must be refused; of `steps`, for the last of them. */
  readonly refused: readonly JsonObject[];
  /** Changes the system so that the plan of `write` is another. */
  drift(): Promise<void>;
  /** Changes something that `write` has changed, so that it cannot simply be taken back. */
  interfere(): Promise<void>;
  break(where: Break): void;
  /** Texts that may stand in no answer and no error. */
  readonly secrets: readonly string[];
}

const TIMEOUT_MS = 30_000;

/** Registers the contract's tests. `stage` is called once, in the first of them. */
export function testConnector(kind: string, open: () => Promise<Stage>): void {
  let opened: Promise<Stage> | undefined;
  let proposals = 0;
  const said: string[] = [];

  const check = (title: string, body: (stage: Stage) => Promise<void>): void => {
    test(`${kind} · ${title}`, async () => {
      opened ??= open();
      const stage = await opened;
      await stage.reset();
      await body(stage);
    });
  };
  const request = (stage: Stage, args: JsonObject = stage.write.arguments): PlanRequest => {
    proposals += 1;
    const proposalId = newProposalId(proposals, new Uint8Array(10));
    return {
      proposalId,
      operation: stage.write.operation,
      arguments: args,
      permits: () => true,
      ...stepsOf(stage, args),
      compensated: null,
    };
  };
  const plan = async (stage: Stage, asked: PlanRequest): Promise<Plan> => {
    const answer = await stage.target.plan(asked, AbortSignal.timeout(TIMEOUT_MS));
    said.push(JSON.stringify(answer));
    assert.equal(answer.kind, 'planned', JSON.stringify(answer));
    return answer.kind === 'planned' ? answer.plan : assert.fail();
  };
  const apply = async (stage: Stage, asked: PlanRequest, shown: Plan): Promise<ApplyAnswer> => {
    const answer = await stage.target.apply(
      toApply(asked, shown, stage),
      AbortSignal.timeout(TIMEOUT_MS),
    );
    said.push(JSON.stringify(answer));
    return answer;
  };
  const probe = (stage: Stage, key: ProposalId, fence = false) =>
    stage.target.probe({ key, fence }, AbortSignal.timeout(TIMEOUT_MS));
  const takeBack = (asked: PlanRequest, shown: Plan, answer: ApplyAnswer): PlanRequest => {
    assert(answer.kind === 'applied');
    proposals += 1;
    const effects = answer.effects ?? shown.effects;
    const compensated = {
      proposalId: asked.proposalId,
      plan: shown,
      effects,
      evidence: answer.evidence ?? shown.evidence,
    };
    return { ...asked, proposalId: newProposalId(proposals, new Uint8Array(10)), compensated };
  };

  check('K1 planning leaves nothing', async (stage) => {
    const before = await stage.state();
    await plan(stage, request(stage));
    assert.equal(await stage.state(), before);
  });

  check('K2 planning twice agrees', async (stage) => {
    const first = await plan(stage, request(stage));
    const second = await plan(stage, request(stage));
    assert.equal(digest(stage, first), digest(stage, second));
    assert.equal(measure(first).records, stage.records);
  });

  check('K3 apply does exactly the plan', async (stage) => {
    const asked = request(stage);
    const before = await stage.state();
    const answer = await apply(stage, asked, await plan(stage, asked));
    assert.equal(answer.kind, 'applied', JSON.stringify(answer));
    assert.notEqual(await stage.state(), before);
  });

  check('K3 a held write is the plan, gone by release and kept by commit', async (stage) => {
    const { target } = stage;
    if (target.hold === undefined) return;
    const hold = async (): Promise<{ key: ProposalId; held: Held }> => {
      const asked = request(stage);
      const held = await target.hold?.(
        { ...asked, key: asked.proposalId },
        AbortSignal.timeout(TIMEOUT_MS),
      );
      assert(held?.kind === 'held', JSON.stringify(held));
      return { key: asked.proposalId, held };
    };
    const before = await stage.state();
    const shown = await plan(stage, request(stage));
    const letGo = await hold();
    assert.equal(await stage.state(), before);
    await letGo.held.release();
    assert.equal(await stage.state(), before);
    assert.deepEqual(await probe(stage, letGo.key), { kind: 'absent', fenced: false });
    const kept = await hold();
    assert.equal(digest(stage, kept.held.plan), digest(stage, shown));
    const answer = await kept.held.commit();
    said.push(JSON.stringify(answer));
    assert(answer.kind === 'applied' && !answer.earlier, JSON.stringify(answer));
    assert.notEqual(await stage.state(), before);
    assert.equal((await probe(stage, kept.key)).kind, 'applied');
  });

  check('K4 the same key has one effect', async (stage) => {
    const asked = request(stage);
    const shown = await plan(stage, asked);
    const first = await apply(stage, asked, shown);
    const after = await stage.state();
    const second = await apply(stage, asked, shown);
    assert(first.kind === 'applied' && second.kind === 'applied');
    assert.deepEqual({ ...second, earlier: false }, { ...first, earlier: false });
    assert.equal(second.earlier, true);
    assert.equal(await stage.state(), after);
  });

  check('K4 the same key at the same time has one effect', async (stage) => {
    const asked = request(stage);
    const shown = await plan(stage, asked);
    const answers = await Promise.allSettled([1, 2, 3, 4].map(() => apply(stage, asked, shown)));
    const fresh = answers.filter(
      (each) => each.status === 'fulfilled' && each.value.kind === 'applied' && !each.value.earlier,
    );
    assert.equal(fresh.length, 1, JSON.stringify(answers));
    for (const each of answers) {
      // Another attempt that holds the key may leave this one in doubt; it may not be a refusal.
      assert(each.status === 'rejected' || each.value.kind === 'applied', JSON.stringify(each));
    }
  });

  check('K5 what breaks before the effect is refused, and nothing happened', async (stage) => {
    const asked = request(stage);
    const shown = await plan(stage, asked);
    const before = await stage.state();
    stage.break('before-the-effect');
    const answer = await apply(stage, asked, shown);
    assert.equal(answer.kind, 'refused', JSON.stringify(answer));
    assert.equal(await stage.state(), before);
    assert.equal((await apply(stage, asked, shown)).kind, 'applied');
  });

  check('K5 a lost request throws; fenced, it never takes effect', async (stage) => {
    const asked = request(stage);
    const shown = await plan(stage, asked);
    const before = await stage.state();
    stage.break('request-lost');
    await assert.rejects(apply(stage, asked, shown));
    assert.deepEqual(await probe(stage, asked.proposalId, true), { kind: 'absent', fenced: true });
    assert.equal((await apply(stage, asked, shown)).kind, 'refused');
    assert.equal(await stage.state(), before);
  });

  check('K5 a lost reply throws; the probe and the next try find the one effect', async (stage) => {
    const asked = request(stage);
    const shown = await plan(stage, asked);
    stage.break('reply-lost');
    await assert.rejects(apply(stage, asked, shown));
    const found = await probe(stage, asked.proposalId);
    assert.equal(found.kind, 'applied', JSON.stringify(found));
    const after = await stage.state();
    const again = await apply(stage, asked, shown);
    assert(again.kind === 'applied' && again.earlier, JSON.stringify(again));
    assert.equal(await stage.state(), after);
  });

  check('K6 a probe tells the truth', async (stage) => {
    const asked = request(stage);
    const shown = await plan(stage, asked);
    assert.deepEqual(await probe(stage, asked.proposalId), { kind: 'absent', fenced: false });
    const answer = await apply(stage, asked, shown);
    const found = await probe(stage, asked.proposalId, true);
    assert(answer.kind === 'applied' && found.kind === 'applied');
    assert.equal(found.reference, answer.reference);
  });

  check('K7 drift is refused, and the new plan comes with it', async (stage) => {
    const asked = request(stage);
    const shown = await plan(stage, asked);
    await stage.drift();
    const before = await stage.state();
    const answer = await apply(stage, asked, shown);
    assert(answer.kind === 'drifted', JSON.stringify(answer));
    assert.notEqual(digest(stage, answer.plan), digest(stage, shown));
    assert.equal(await stage.state(), before);
    assert.equal((await apply(stage, asked, answer.plan)).kind, 'applied');
  });

  check('K8 compensation restores, once and repeated', async (stage) => {
    const before = await stage.state();
    const asked = request(stage);
    const shown = await plan(stage, asked);
    const inverse = takeBack(asked, shown, await apply(stage, asked, shown));
    const inversePlan = await plan(stage, inverse);
    assert.equal((await apply(stage, inverse, inversePlan)).kind, 'applied');
    assert.equal(await stage.state(), before);
    const again = await apply(stage, inverse, inversePlan);
    assert(again.kind === 'applied' && again.earlier);
    assert.equal(await stage.state(), before);
  });

  check('K8 compensation over a later change is a conflict and changes nothing', async (stage) => {
    const asked = request(stage);
    const shown = await plan(stage, asked);
    const inverse = takeBack(asked, shown, await apply(stage, asked, shown));
    await stage.interfere();
    const before = await stage.state();
    const answer = await stage.target.plan(inverse, AbortSignal.timeout(TIMEOUT_MS));
    assert(
      answer.kind === 'refused' && answer.code === 'rollback-conflict',
      JSON.stringify(answer),
    );
    assert(answer.conflicts.length > 0);
    assert.equal(await stage.state(), before);
  });

  check('K10 what is out of bounds is refused with a code, and nothing happened', async (stage) => {
    const before = await stage.state();
    for (const args of stage.refused) {
      const answer = await stage.target.plan(request(stage, args), AbortSignal.timeout(TIMEOUT_MS));
      said.push(JSON.stringify(answer));
      assert.equal(answer.kind, 'refused', JSON.stringify(args));
    }
    const shown = await plan(stage, request(stage));
    assert(shown.effects.length <= PLAN_BOUNDS.effectsMax);
    assert.equal(await stage.state(), before);
  });

  check('K9 no secret is in anything that was said', async (stage) => {
    for (const secret of stage.secrets) {
      assert.equal(
        said.some((text) => text.includes(secret)),
        false,
      );
    }
    assert(said.length > 0);
  });
}

function stepsOf({ steps, write }: Stage, args: JsonObject): Pick<PlanRequest, 'steps'> {
  const last = steps?.at(-1);
  if (steps === undefined || last === undefined) return {};
  if (args === write.arguments) return { steps };
  return { steps: [...steps.slice(0, -1), { ...last, arguments: args }] };
}

function digest(stage: Stage, plan: Plan): ReturnType<typeof planDigest> {
  return planDigest(stage.target.name, stage.write.operation, plan);
}

function toApply(asked: PlanRequest, shown: Plan, stage: Stage): ApplyRequest {
  return {
    ...asked,
    key: asked.proposalId,
    planDigest: digest(stage, shown),
    digest: (plan) => digest(stage, plan),
  };
}
