/** Every way to break the product that the simulation must notice. */
import { EFFECTS_MUTANTS } from './mutants/effects.ts';
import type { Mutant } from './mutants/mutant.ts';
import { PEOPLE_MUTANTS } from './mutants/people.ts';
import { STORE_MUTANTS } from './mutants/store.ts';

export const MUTANTS: readonly Mutant[] = [...EFFECTS_MUTANTS, ...STORE_MUTANTS, ...PEOPLE_MUTANTS];
