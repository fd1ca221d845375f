/** One line of `npm run bench -- --json`. Ratios are subject ÷ peer, medians over interleaved rounds. */
export interface BenchRow {
  readonly bench: string;
  readonly subject: string;
  readonly peer: string;
  readonly clients: number;
  /** Rules of the policy, where the bench is of a policy. */
  readonly rules?: number;
  /** Operations of the subject that were timed. */
  readonly n: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly perSecond: number;
  readonly peerPerSecond: number;
  readonly ratioP50: number;
  readonly ratioThroughput: number;
  /** Lowest and highest of the rounds, where they are few. */
  readonly ratioRange?: readonly [number, number];
  /** Of the gateway's process, where it has one of its own. */
  readonly peakResidentMb?: number;
}

/** One operation; `turn` is different at every call. */
export type Operation = (turn: number) => Promise<void>;

interface Round {
  readonly latenciesMs: readonly number[];
  readonly perSecond: number;
}

export interface Size {
  readonly clients: number;
  readonly rounds: number;
  readonly perRound: number;
}

export type Figures = Omit<BenchRow, 'bench' | 'subject' | 'peer'>;

/**
 * Times some operations and their peer in turn, round by round (each round begins with another),
 * so that a change in the machine's speed meets all. One round before the first is not counted.
 */
export async function compareAll(
  subjects: readonly Operation[],
  peer: Operation,
  size: Size,
): Promise<readonly Figures[]> {
  const figures = await compareEach(subjects, [peer], size);
  return figures.flat();
}

/** As `compareAll`, of one subject. */
export async function compareOne(
  subject: Operation,
  peer: Operation,
  size: Size,
): Promise<Figures> {
  const [figures] = await compareAll([subject], peer, size);
  if (figures === undefined) throw new Error('a comparison of one subject gave none');
  return figures;
}

/** As `compareAll`; for each subject its figures beside each of the peers. */
export async function compareEach(
  subjects: readonly Operation[],
  peers: readonly Operation[],
  size: Size,
): Promise<readonly (readonly Figures[])[]> {
  const operations = [...peers, ...subjects];
  const rounds: Round[][] = operations.map(() => []);
  const counter = { turn: 0 };
  for (let round = -1; round < size.rounds; round += 1) {
    for (let place = 0; place < operations.length; place += 1) {
      const which = (place + round + 1) % operations.length;
      const operation = operations[which];
      if (operation === undefined) continue;
      const timed = await time(operation, size, counter);
      if (round >= 0) rounds[which]?.push(timed);
    }
  }
  return rounds
    .slice(peers.length)
    .map((each) => rounds.slice(0, peers.length).map((peer) => figuresOf(each, peer, size)));
}

async function time(operation: Operation, size: Size, counter: { turn: number }): Promise<Round> {
  const latenciesMs: number[] = [];
  let left = size.perRound;
  const from = performance.now();
  const client = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      counter.turn += 1;
      const start = performance.now();
      await operation(counter.turn);
      latenciesMs.push(performance.now() - start);
    }
  };
  await Promise.all(Array.from({ length: size.clients }, client));
  return { latenciesMs, perSecond: (size.perRound * 1_000) / (performance.now() - from) };
}

function figuresOf(rounds: readonly Round[], peers: readonly Round[], size: Size): Figures {
  const latencies = rounds.flatMap((round) => round.latenciesMs);
  const ratio = (of: (round: Round) => number): number =>
    quantile(
      rounds.map((round, at) => of(round) / of(peers[at] ?? round)),
      0.5,
    );
  return {
    clients: size.clients,
    n: latencies.length,
    p50Ms: rounded(quantile(latencies, 0.5)),
    p99Ms: rounded(quantile(latencies, 0.99)),
    perSecond: medianPerSecond(rounds),
    peerPerSecond: medianPerSecond(peers),
    ratioP50: rounded(ratio((round) => quantile(round.latenciesMs, 0.5))),
    ratioThroughput: rounded(ratio((round) => round.perSecond)),
  };
}

function medianPerSecond(rounds: readonly Round[]): number {
  return Math.round(
    quantile(
      rounds.map((round) => round.perSecond),
      0.5,
    ),
  );
}

export function quantile(values: readonly number[], at: number): number {
  const sorted = values.toSorted((left, right) => left - right);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * at))] ?? Number.NaN;
}

export function rounded(value: number): number {
  return Math.round(value * 1_000) / 1_000;
}
