import { outcome, type Check, type CheckResult } from './check.ts';
import { evidenceChecks } from './evidence/checks.ts';
import { openWorld } from './evidence/world.ts';
import { SCOPE_CHECKS } from './scope/checks.ts';
import { openScopeWorld } from './scope/world.ts';

export interface RunOptions {
  /** Lines about what is being done. */
  readonly progress: (line: string) => void;
  /** Told of each check as it ends. */
  readonly onResult: (result: CheckResult) => void;
}

/** What is attacked together, against a gateway of its own. */
export type Suite = 'scope' | 'evidence';

/** Runs every check of the suites in order; one that does not pass stops none. */
export async function runConformance(
  suites: readonly Suite[],
  options: RunOptions,
): Promise<readonly CheckResult[]> {
  const results: CheckResult[] = [];
  for (const suite of suites) {
    switch (suite) {
      case 'scope': {
        const world = await openScopeWorld(options.progress);
        results.push(...(await runAll(SCOPE_CHECKS, world, options)));
        break;
      }
      case 'evidence': {
        const world = await openWorld(options.progress);
        results.push(...(await runAll(await evidenceChecks(world), world, options)));
        break;
      }
    }
  }
  return results;
}

async function runAll<World extends { close(): Promise<void> }>(
  checks: readonly Check<World>[],
  world: World,
  { onResult }: RunOptions,
): Promise<readonly CheckResult[]> {
  try {
    const results: CheckResult[] = [];
    for (const check of checks) {
      const result = await outcome(check, world);
      results.push(result);
      onResult(result);
    }
    return results;
  } finally {
    await world.close();
  }
}
