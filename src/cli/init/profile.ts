/** How tight a first `writegate.yaml` is; ordinary lines, to be read and changed. */
export interface Profile {
  readonly name: string;
  /** One sentence for the head of the file. */
  readonly says: string;
  readonly mode: 'active' | 'observe';
  /** Why this mode, in one comment. */
  readonly modeSays: string;
  readonly tier: 'confirm' | 'autonomous';
  readonly tierSays: string;
  readonly recordsMax: number;
  readonly recordsOver: number;
  /** In major units of GBP. */
  readonly valueMax: string;
  readonly valueOver: string;
  readonly perMinute: number;
  readonly perHour: number;
  readonly perDay: number;
  readonly duplicateWindow: string;
  readonly expiresAfter: string;
}

const BALANCED: Profile = {
  name: 'balanced',
  says: 'ordinary inserts and updates go through within hard bounds; people decide what is large',
  mode: 'active',
  modeSays: 'active decides and enforces; observe evaluates and records, and lets nothing through.',
  tier: 'autonomous',
  tierSays:
    'read-only is the default; confirm asks people first; autonomous writes within the bounds.',
  recordsMax: 1_000,
  recordsOver: 100,
  valueMax: '100000.00',
  valueOver: '10000.00',
  perMinute: 30,
  perHour: 2_000,
  perDay: 10_000,
  duplicateWindow: '24h',
  expiresAfter: '30m',
};

const OBSERVE_FIRST: Profile = {
  ...BALANCED,
  name: 'observe-first',
  says: 'nothing is let through yet: every write is measured, decided as balanced, and recorded',
  mode: 'observe',
  modeSays:
    'observe evaluates and records, and lets nothing through. `writegate policy suggest` drafts lines from what it saw; active enforces them.',
};

const STRICT: Profile = {
  ...BALANCED,
  name: 'strict',
  says: 'people decide every write, within bounds that are a tenth of balanced',
  tier: 'confirm',
  tierSays: 'read-only is the default; confirm asks people before every write.',
  recordsMax: 100,
  recordsOver: 10,
  valueMax: '10000.00',
  valueOver: '1000.00',
  perMinute: 10,
  perHour: 200,
  perDay: 1_000,
  duplicateWindow: '72h',
  expiresAfter: '15m',
};

/**
 * The default first. It enforces from the first write on, so that nobody relies on a gateway that only
 * looks; everything it lets through alone can be taken back, is small, and is bounded by the hour.
 */
export const PROFILES: readonly Profile[] = [BALANCED, OBSERVE_FIRST, STRICT];
