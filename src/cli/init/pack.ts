/** What a kind of target brings to a first `writegate.yaml`. A new kind is one file beside this one. */
export interface Pack {
  /** As under `kind` of a target, and after `--pack`. */
  readonly kind: string;
  /** The name that the target gets. */
  readonly target: string;
  /** Where its URL comes from unless it is given. */
  readonly urlVariable: string;
  readonly urlExample: string;
  /** The lines below `targets:`. */
  readonly settings: (urlReference: string) => string;
  /** Lines of `never` and of `rules`, each with the reason beside it. */
  readonly never: string;
  readonly rules: string;
  /** An ordinary resource, for the cases. */
  readonly resource: string;
  /** Cases about the lines above; each begins with `  - name:`. */
  readonly cases: (agent: string) => string;
}
