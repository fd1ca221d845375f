import type { Story } from '../story.ts';
import { cascade } from './cascade.ts';
import { correction } from './correction.ts';
import { journalLoop } from './journal-loop.ts';
import { massUpdate } from './mass-update.ts';
import { movedRow } from './moved-row.ts';
import { retries } from './retries.ts';
import { stopAndResume } from './stop.ts';
import { tamper } from './tamper.ts';

/** The stories in the order in which they are told; the last one reads what the others left. */
export const STORIES: readonly Story[] = [
  massUpdate,
  correction,
  movedRow,
  retries,
  cascade,
  journalLoop,
  stopAndResume,
  tamper,
];
