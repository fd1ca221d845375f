/** Returns the same object with some of its members in place of its own; all others are untouched. */
export function replacing<Port extends object>(port: Port, members: Partial<Port>): Port {
  return new Proxy(port, {
    get(target, name) {
      if (Object.hasOwn(members, name)) return Reflect.get(members, name);
      const member: unknown = Reflect.get(target, name, target);
      if (typeof member !== 'function') return member;
      return (...given: unknown[]): unknown => Reflect.apply(member, target, given);
    },
  });
}

/** What is done around a call: it gets the name, what was given, and the call itself. */
export type Around = (
  name: string,
  given: readonly unknown[],
  call: () => Promise<unknown>,
) => Promise<unknown>;

/**
 * Returns the same object with every call of the named asynchronous methods handed to `wrap`, which
 * makes it and gives its answer back. Methods that are not there stay away; all others are untouched.
 */
export function around<Port extends object>(
  port: Port,
  names: readonly (keyof Port & string)[],
  wrap: Around,
): Port {
  const wrapped: ReadonlySet<string | symbol> = new Set(names);
  return new Proxy(port, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name, target);
      if (typeof member !== 'function') return member;
      const call = (...given: unknown[]): unknown => Reflect.apply(member, target, given);
      if (!wrapped.has(name)) return call;
      return (...given: unknown[]) => wrap(String(name), given, async () => call(...given));
    },
  });
}
