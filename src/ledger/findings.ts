/** What a verification can find; `docs/spec/ledger.md` says what each code means. */
export const LEDGER_FINDINGS = [
  'vkey-malformed',
  'vkey-mismatch',
  'file-unexpected',
  'file-unreadable',
  'checkpoint-missing',
  'checkpoint-refused',
  'checkpoint-behind',
  'checkpoint-inconsistent',
  'kept-checkpoint-refused',
  'log-truncated',
  'bundle-missing',
  'bundle-malformed',
  'bundle-mismatch',
  'tile-missing',
  'tile-mismatch',
  'leaf-not-canonical',
  'leaf-malformed',
  'payload-malformed',
  'payload-missing',
  'payload-mismatch',
  'payload-disagrees',
  'genesis-misplaced',
  'entry-misplaced',
  'id-repeated',
  'step-mismatch',
  'prev-mismatch',
  'binds-mismatch',
  'lifecycle-broken',
  'plan-digest-mismatch',
  'decision-unbound',
  'approval-unbound',
  'approval-by-proposer',
  'allow-without-approval',
  'intent-without-allow',
  'intent-under-stop',
  'outcome-without-intent',
  'outcome-mismatch',
  'applied-twice',
  'rollback-unlinked',
  'release-unlawful',
  'policy-unasked',
  'findings-omitted',
] as const;
export type LedgerFindingCode = (typeof LEDGER_FINDINGS)[number];

/** One thing that is not as it must be. `index` is the entry's, where it is about one. */
export interface LedgerFinding {
  readonly code: LedgerFindingCode;
  readonly index: number | null;
  readonly message: string;
}

const FINDINGS_MAX = 1_000;

/** Collects findings, at most `FINDINGS_MAX` and then one that says how many are left out. */
export class Findings {
  readonly #kept: LedgerFinding[] = [];
  #omitted = 0;

  add(code: LedgerFindingCode, index: number | null, message: string): void {
    if (this.#kept.length < FINDINGS_MAX) this.#kept.push({ code, index, message });
    else this.#omitted += 1;
  }

  all(): readonly LedgerFinding[] {
    if (this.#omitted === 0) return this.#kept;
    const message = `${this.#omitted} more findings are left out`;
    return [...this.#kept, { code: 'findings-omitted', index: null, message }];
  }
}
