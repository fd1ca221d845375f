/**
 * How far a chain came, as the references in its intents say: `segment-2` before the second segment
 * is tried, `back-1:target-refused` before the first is taken back and why, and behind a slash what
 * the target of a segment journaled itself.
 */
import type { ApplyRequest } from '../model/ports.ts';
import type { Segment } from './segments.ts';

export type Way = 'there' | 'back';

/** Whether it has begun to be taken back. */
export function isGoingBack(references: readonly string[]): boolean {
  return codeOfBack(references) !== undefined;
}

/** What the target of a segment journaled itself. */
export function ownReferences(
  references: readonly string[],
  { number }: Segment,
  way: Way,
): readonly string[] {
  const prefix = `${way === 'there' ? 'segment' : 'back'}-${number}/`;
  return references
    .filter((reference) => reference.startsWith(prefix))
    .map((reference) => reference.slice(prefix.length));
}

/** Whether a segment, or its way back, was begun by an earlier attempt. */
export function wasBegun(references: readonly string[], { number }: Segment, way: Way): boolean {
  const name = `${way === 'there' ? 'segment' : 'back'}-${number}`;
  return references.some((reference) => reference.split(/[:/]/, 1)[0] === name);
}

/** Why it is taken back, as its first step back says. */
export function codeOfBack(references: readonly string[]): string | undefined {
  return references.find(isBack)?.split(':')[1];
}

/** The number of the segment that is taken back first: the last that took effect. */
export function firstBack(references: readonly string[]): number | undefined {
  const number = references.find(isBack)?.split(/[-:/]/, 2)[1];
  return number === undefined ? undefined : Number(number);
}

function isBack(reference: string): boolean {
  return reference.startsWith('back-');
}

/** False where a stop is on, or another attempt has taken over: then nothing may be written. */
export async function journaled(request: ApplyRequest, reference: string): Promise<boolean> {
  try {
    await request.journal?.(reference);
    return request.journal !== undefined;
  } catch {
    return false;
  }
}

/** What the target of a segment journals, under the segment's name. */
export function journalOf(request: ApplyRequest, name: string): Pick<ApplyRequest, 'journal'> {
  const { journal } = request;
  if (journal === undefined) return {};
  return { journal: (reference) => journal(`${name}/${reference}`) };
}
