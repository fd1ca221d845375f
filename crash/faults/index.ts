import { commitLost, killInCommit } from './commit.ts';
import { storeFull, storeReadOnly } from './disk.ts';
import type { Fault, FaultName } from './fault.ts';
import { freeze } from './freeze.ts';
import { kill } from './kill.ts';
import { cutOff, storeCut, storeKilled, targetCut, targetKilled } from './servers.ts';

export const FAULTS: Readonly<Record<FaultName, Fault>> = {
  kill,
  'kill-in-commit': killInCommit,
  'commit-lost': commitLost,
  freeze,
  'target-killed': targetKilled,
  'target-cut': targetCut,
  'store-full': storeFull,
  'store-read-only': storeReadOnly,
  'store-killed': storeKilled,
  'store-cut': storeCut,
  'cut-off': cutOff,
};
