/** One line of `npm run bench -- --json`. Ratios are subject ÷ peer, medians over interleaved rounds. */
export interface BenchRow {
  readonly bench: string;
  readonly subject: string;
  readonly peer: string;
  readonly clients: number;
  /** Operations of the subject that were timed. */
  readonly n: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly perSecond: number;
  readonly ratioP50: number;
  readonly ratioThroughput: number;
}

/** One operation; `turn` is different at every call. */
export type Operation = (turn: number) => Promise<void>;

interface Round {
  readonly latenciesMs: readonly number[];
  readonly perSecond: number;
}

/**
 * Times two operations in turn, round by round (the order alternates), so that a change in the
 * machine's speed meets both. One round before the first is not counted.
 */
export async function compare(
  subject: Operation,
  peer: Operation,
  size: { readonly clients: number; readonly rounds: number; readonly perRound: number },
): Promise<Omit<BenchRow, 'bench' | 'subject' | 'peer'>> {
  const subjectRounds: Round[] = [];
  const peerRounds: Round[] = [];
  let turn = 0;
  const timed = async (operation: Operation): Promise<Round> => {
    const latenciesMs: number[] = [];
    let left = size.perRound;
    const from = performance.now();
    const client = async (): Promise<void> => {
      while (left > 0) {
        left -= 1;
        turn += 1;
        const start = performance.now();
        await operation(turn);
        latenciesMs.push(performance.now() - start);
      }
    };
    await Promise.all(Array.from({ length: size.clients }, client));
    return { latenciesMs, perSecond: (size.perRound * 1_000) / (performance.now() - from) };
  };
  for (let round = -1; round < size.rounds; round += 1) {
    const isSubjectFirst = round % 2 === 0;
    const first = await timed(isSubjectFirst ? subject : peer);
    const second = await timed(isSubjectFirst ? peer : subject);
    if (round < 0) continue;
    subjectRounds.push(isSubjectFirst ? first : second);
    peerRounds.push(isSubjectFirst ? second : first);
  }
  const latencies = subjectRounds.flatMap((round) => round.latenciesMs);
  const ratio = (of: (round: Round) => number): number =>
    quantile(
      subjectRounds.map((round, at) => of(round) / of(peerRounds[at] ?? round)),
      0.5,
    );
  return {
    clients: size.clients,
    n: latencies.length,
    p50Ms: rounded(quantile(latencies, 0.5)),
    p99Ms: rounded(quantile(latencies, 0.99)),
    perSecond: Math.round(
      quantile(
        subjectRounds.map((round) => round.perSecond),
        0.5,
      ),
    ),
    ratioP50: rounded(ratio((round) => quantile(round.latenciesMs, 0.5))),
    ratioThroughput: rounded(ratio((round) => round.perSecond)),
  };
}

function quantile(values: readonly number[], at: number): number {
  const sorted = values.toSorted((left, right) => left - right);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * at))] ?? Number.NaN;
}

function rounded(value: number): number {
  return Math.round(value * 1_000) / 1_000;
}
