/** Work that takes longer than an answer should: how far it is, line by line, and then the answer. */
import type { ProblemDocument } from './problem.ts';

export type Step<Answer> =
  | { readonly kind: 'progress'; readonly done: number; readonly of: number }
  | { readonly kind: 'done'; readonly answer: Answer }
  /** It broke off, and nothing was changed by it. */
  | { readonly kind: 'problem'; readonly problem: ProblemDocument };
