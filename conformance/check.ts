/** One attack on the gateway, or one promise of it that is held against the target. */

/** What was counted; shown beside the verdict. */
export type Figures = Readonly<Record<string, number | string>>;

/** Requirements of AG-302, section 4. */
export const REQUIREMENTS = [
  '4.1',
  '4.2',
  '4.3',
  '4.4',
  '4.5',
  '4.6',
  '4.7',
  '4.8',
  '4.9',
] as const;
export type Requirement = (typeof REQUIREMENTS)[number];

/** Tests of AG-302, section 8. */
export const TESTS = ['8.1', '8.2', '8.3', '8.4', '8.5', '8.6', '8.7'] as const;
export type Test = (typeof TESTS)[number];

export interface Check<World> {
  /** Null for a requirement that the standard names no test for. */
  readonly test: Test | null;
  /** The requirement that the test is for. */
  readonly requirement: Requirement;
  readonly name: string;
  /** Throws where the gateway does not hold. */
  run(world: World): Promise<Figures>;
}

export interface CheckResult {
  readonly test: Test | null;
  readonly requirement: Requirement;
  readonly name: string;
  readonly passed: boolean;
  readonly figures: Figures;
  /** Why it did not pass; null where it did. */
  readonly failure: string | null;
}

/** Runs a check; one that does not pass says why and stops no other. */
export async function outcome<World>(check: Check<World>, world: World): Promise<CheckResult> {
  const { test, requirement, name } = check;
  const about = { test, requirement, name };
  try {
    return { ...about, passed: true, figures: await check.run(world), failure: null };
  } catch (error) {
    const failure = error instanceof Error ? error.message : String(error);
    return { ...about, passed: false, figures: {}, failure };
  }
}
