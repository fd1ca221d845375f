/** Returns the known name that the text is most likely a slip of, or undefined where none is near. */
export function nearest(text: string, known: readonly string[]): string | undefined {
  let best: string | undefined;
  let distanceMax = Math.max(1, Math.floor(text.length / 3));
  for (const name of known) {
    if (Math.abs(name.length - text.length) > distanceMax) continue;
    const distance = editDistance(text.toLowerCase(), name.toLowerCase());
    if (distance > distanceMax || (best !== undefined && distance === distanceMax)) continue;
    best = name;
    distanceMax = distance;
  }
  return best;
}

/** Levenshtein distance: how many letters to insert, delete or replace. */
function editDistance(left: string, right: string): number {
  let previous = Array.from({ length: right.length + 1 }, (_cell, column) => column);
  for (let row = 1; row <= left.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= right.length; column += 1) {
      const replaced = (previous[column - 1] ?? 0) + (left[row - 1] === right[column - 1] ? 0 : 1);
      const removed = (previous[column] ?? 0) + 1;
      const inserted = (current[column - 1] ?? 0) + 1;
      current.push(Math.min(replaced, removed, inserted));
    }
    previous = current;
  }
  return previous[right.length] ?? 0;
}
