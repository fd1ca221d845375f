/** Installations side by side, each through its rounds. */
import type { Wrong } from './audit/audit.ts';
import { closingWrongs } from './audit/closing.ts';
import type { FaultName } from './faults/fault.ts';
import { openInstallation, type Installation } from './installation.ts';
import { openLane, type Lane } from './lane.ts';
import { playRound, type RoundReport } from './round.ts';
import { roundsOf, ROUNDS_EACH, type Plan } from './schedule.ts';

/** How much is played: so many rounds, beside the faults between them, or so many kills at least. */
export type Amount = { readonly rounds: number } | { readonly kills: number };

export interface CrashOptions extends Plan {
  readonly amount: Amount;
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

/** Plays all of it; what is wrong in one installation ends that one and no other. */
export async function runCrash(
  options: CrashOptions,
  told: Told,
  stop: AbortSignal,
): Promise<void> {
  const share = new Share(options);
  const lanes = Array.from({ length: share.lanes }, async (_lane, number) => {
    const lane = await openLane(number + 1, options);
    try {
      for (let work = share.next(); work !== undefined; work = share.next()) {
        if (stop.aborted) return;
        await playInstallation(options, { work, lane, told, stop, share });
      }
    } finally {
      await lane.close();
    }
  });
  await Promise.all(lanes);
}

/** What is to be played, shared out to lanes: installation by installation. */
class Share {
  readonly lanes: number;
  readonly #amount: Amount;
  readonly #seed: number;
  #installations = 0;
  #kills = 0;

  constructor({ amount, seed, lanes }: CrashOptions) {
    this.#amount = amount;
    this.#seed = seed;
    this.lanes =
      'rounds' in amount ? Math.min(lanes, Math.ceil(amount.rounds / ROUNDS_EACH)) : lanes;
  }

  /** The next installation; undefined where all of them are played, or being played. */
  next(): Work | undefined {
    const begun = this.#installations * ROUNDS_EACH;
    const left = 'rounds' in this.#amount ? this.#amount.rounds - begun : ROUNDS_EACH;
    if (left <= 0 || this.isEnough) return undefined;
    this.#installations += 1;
    return {
      seed: this.#seed + this.#installations - 1,
      rounds: Math.min(left, ROUNDS_EACH),
    };
  }

  /** Whether no further round is needed, however many an installation has left. */
  get isEnough(): boolean {
    return 'kills' in this.#amount && this.#kills >= this.#amount.kills;
  }

  played({ kills }: RoundReport): void {
    this.#kills += kills;
  }
}

async function playInstallation(
  options: CrashOptions,
  at: {
    readonly work: Work;
    readonly lane: Lane;
    readonly told: Told;
    readonly stop: AbortSignal;
    readonly share: Share;
  },
): Promise<void> {
  const { work, lane, told, stop, share } = at;
  const installation = await openInstallation(lane);
  let isWrong = false;
  try {
    let last: RoundReport | undefined;
    for (const round of roundsOf(work.seed, work.rounds, options)) {
      if (stop.aborted || share.isEnough) break;
      last = await playRound(installation, round);
      share.played(last);
      told.onRound(last);
      isWrong = last.wrongs.length > 0;
      if (isWrong) break;
    }
    if (last === undefined || stop.aborted) return;
    const wrongs = isWrong ? last.wrongs : await closingWrongs(installation);
    isWrong = wrongs.length > 0;
    if (isWrong) told.onFailure(failureOf(options, { work, last, wrongs, installation }));
  } catch (error) {
    isWrong = true;
    const { folder } = installation;
    const what = error instanceof Error ? error.message : String(error);
    const about = `the installation of seed ${work.seed} broke: ${what}; kept: ${folder}`;
    throw new Error(about, { cause: error });
  } finally {
    await installation.close(isWrong);
  }
}

function failureOf(
  options: CrashOptions,
  at: {
    readonly work: Work;
    readonly last: RoundReport;
    readonly wrongs: readonly Wrong[];
    readonly installation: Installation;
  },
): Failure {
  const { work, last, wrongs, installation } = at;
  const { fault, number } = last.round;
  return {
    fault,
    seed: work.seed,
    command: commandOf(options, work.seed, number),
    wrongs,
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
