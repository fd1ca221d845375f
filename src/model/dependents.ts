/** What relies on what this gateway writes to, as the operator declares it. */

/** How much it matters that the dependent goes on working; the order is the order of weight. */
export const CRITICALITIES = ['low', 'medium', 'high', 'critical'] as const;
export type Criticality = (typeof CRITICALITIES)[number];

/** One line of `dependents`: something that relies on resources, on other dependents, or on both. */
export interface DependentLine {
  readonly name: string;
  /** Patterns, as in a match; absent: on any target, or on nothing of a target. */
  readonly target?: readonly string[];
  readonly resource?: readonly string[];
  /** Names of other lines that it relies on in turn. */
  readonly dependsOn: readonly string[];
  readonly criticality: Criticality;
  /** In the operator's words: `reads it at start-up`. */
  readonly how: string | null;
}

/** A dependent of some resources. */
export interface Dependent {
  readonly name: string;
  readonly criticality: Criticality;
  readonly how: string | null;
  /** 1 where it relies on the resource itself, one more for each dependent in between. */
  readonly depth: number;
  /** The dependent that it relies on; null at depth 1. */
  readonly via: string | null;
}

/** What a target itself knows to depend on a resource, with what depends on that. */
export interface StructureNode {
  /** `foreign key`, `view`, `materialized view`, `trigger`, `function`. */
  readonly kind: string;
  readonly name: string;
  /** What it leads to: the table of a foreign key, the view itself; null where it ends here. */
  readonly resource: string | null;
  readonly nodes: readonly StructureNode[];
}

/** Answer of `GET /v1/dependents`: what depends on one resource. */
export interface DependentsView {
  readonly target: string;
  readonly resource: string;
  /** Null where the target cannot say. */
  readonly structure: readonly StructureNode[] | null;
  /** Nearest first. */
  readonly dependents: readonly Dependent[];
  /** What the dependents alone make of the coupling, 0 to 1; what a write changes along with it is added then. */
  readonly coupling: number;
}
