import type { Pack } from './pack.ts';
import { POSTGRES } from './postgres.ts';

/** Every kind of target that `init` knows; the default first. */
export const PACKS: readonly Pack[] = [POSTGRES];
