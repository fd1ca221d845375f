/** Installations side by side, each through its rounds. */
import type { Wrong } from './audit/audit.ts';
import type { FaultName } from './faults/fault.ts';
import { openInstallation, type Installation } from './installation.ts';
import { openLane, type Lane } from './lane.ts';
import { playRound, type RoundReport } from './round.ts';
import { roundsOf, ROUNDS_EACH, type Plan } from './schedule.ts';

export interface CrashOptions extends Plan {
  /** How many rounds, beside the faults between them. */
  readonly rounds: number;
  /** Of the first installation; each after it has the next. */
  readonly seed: number;
  /** How many installations live at the same time. */
  readonly lanes: number;
}

/** A round after which not everything was right. */
export interface Failure {
  readonly fault: FaultName;
  /** Of its installation. */
  readonly seed: number;
  /** What repeats the choices that led to it. */
  readonly command: string;
  readonly wrongs: readonly Wrong[];
  /** Where its data and what its gateways said are kept. */
  readonly folder: string | null;
}

export interface Told {
  readonly onRound: (report: RoundReport) => void;
  readonly onFailure: (failure: Failure) => void;
}

interface Work {
  readonly seed: number;
  readonly rounds: number;
}

/** Runs all rounds; what is wrong in one installation ends that one and no other. */
export async function runCrash(
  options: CrashOptions,
  told: Told,
  stop: AbortSignal,
): Promise<void> {
  const works: Work[] = [];
  for (let left = options.rounds; left > 0; left -= ROUNDS_EACH) {
    works.push({ seed: options.seed + works.length, rounds: Math.min(left, ROUNDS_EACH) });
  }
  const count = Math.min(options.lanes, works.length);
  const lanes = Array.from({ length: count }, async (_lane, number) => {
    const lane = await openLane(number + 1, options);
    try {
      for (let work = works.shift(); work !== undefined; work = works.shift()) {
        if (stop.aborted) return;
        await playInstallation(options, { work, lane, told, stop });
      }
    } finally {
      await lane.close();
    }
  });
  await Promise.all(lanes);
}

async function playInstallation(
  options: CrashOptions,
  at: { readonly work: Work; readonly lane: Lane; readonly told: Told; readonly stop: AbortSignal },
): Promise<void> {
  const { work, lane, told, stop } = at;
  const installation = await openInstallation(lane);
  let isWrong = false;
  try {
    for (const round of roundsOf(work.seed, work.rounds, options)) {
      if (stop.aborted) break;
      const report = await playRound(installation, round);
      told.onRound(report);
      isWrong = report.wrongs.length > 0;
      if (!isWrong) continue;
      told.onFailure(failureOf(options, { work, report, installation }));
      break;
    }
  } finally {
    await installation.close(isWrong);
  }
}

function failureOf(
  options: CrashOptions,
  at: { readonly work: Work; readonly report: RoundReport; readonly installation: Installation },
): Failure {
  const { work, report, installation } = at;
  return {
    fault: report.round.fault,
    seed: work.seed,
    command: commandOf(options, work.seed, report.round.number),
    wrongs: report.wrongs,
    folder: installation.folder,
  };
}

/** The command that plays an installation again, up to round `number`. */
function commandOf(options: CrashOptions, seed: number, number: number): string {
  const { gateways, store, only } = options;
  let rounds = 1;
  while (roundsOf(seed, rounds, options).length <= number) rounds += 1;
  const faults = only.map((name) => ` --only ${name}`).join('');
  return `npm run crash -- --rounds ${rounds} --seed ${seed} --gateways ${gateways} --store ${store}${faults}`;
}
