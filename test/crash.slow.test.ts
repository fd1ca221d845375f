// Every step that `crash.test.ts` leaves out.
import { after, before, describe, test } from 'node:test';
import { CHOSEN, CrashGround, SCENARIOS, STEPS } from './support/crash-cases.ts';

let ground: CrashGround;
before(async () => {
  ground = await CrashGround.open();
});
after(() => ground?.close());

describe('G1, G3, L1: a gateway that is killed', { concurrency: 2 }, () => {
  for (const scenario of SCENARIOS) {
    for (const killAt of STEPS[scenario].filter((step) => !CHOSEN[scenario].includes(step))) {
      test(`in the ${scenario} journey ${killAt} leaves what a restart ends rightly`, async () => {
        await ground.assertSurvives(scenario, killAt);
      });
    }
  }
});
