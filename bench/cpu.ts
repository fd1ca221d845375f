/** What processes have cost so far, as Linux counts it; NaN where it is not told. */
import { readdirSync, readFileSync } from 'node:fs';

/** Linux counts in hundredths of a second, whatever the machine. */
const TICK_MS = 10;

interface Stat {
  readonly parent: number;
  readonly ownMs: number;
  /** Of children that ended and were waited for. */
  readonly endedMs: number;
}

export function cpuMsOf(pid: number | undefined): number {
  return statOf(pid)?.ownMs ?? Number.NaN;
}

/** A process and all of its children, those too that have ended. */
export function cpuMsOfFamily(pid: number | undefined): number {
  const parent = statOf(pid);
  if (parent === undefined) return Number.NaN;
  const children = readdirSync('/proc').flatMap((name) => {
    const stat = /^\d+$/.test(name) ? statOf(Number(name)) : undefined;
    return stat !== undefined && stat.parent === pid ? [stat] : [];
  });
  return children.reduce((sum, child) => sum + child.ownMs, parent.ownMs + parent.endedMs);
}

export function parentOf(pid: number | undefined): number | undefined {
  return statOf(pid)?.parent;
}

/** What is resident, in megabytes. */
export function residentMbOf(pid: number | undefined): number {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) / 1_024;
  } catch {
    return Number.NaN;
  }
}

function statOf(pid: number | undefined): Stat | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name in brackets may have anything in it.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    const [user, system, endedUser, endedSystem] = fields.slice(11, 15).map(Number);
    return {
      parent: Number(fields[1]),
      ownMs: ((user ?? 0) + (system ?? 0)) * TICK_MS,
      endedMs: ((endedUser ?? 0) + (endedSystem ?? 0)) * TICK_MS,
    };
  } catch {
    return undefined;
  }
}
