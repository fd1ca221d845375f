/** How often what a simulation is about was reached: `kind:name` and a count. */
export class Coverage {
  readonly counts = new Map<string, number>();

  reach(kind: string, name: string, times = 1): void {
    const key = `${kind}:${name}`;
    this.counts.set(key, (this.counts.get(key) ?? 0) + times);
  }

  add(others: Iterable<readonly [string, number]>): void {
    for (const [key, count] of others) this.counts.set(key, (this.counts.get(key) ?? 0) + count);
  }
}
