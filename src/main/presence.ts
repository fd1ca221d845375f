/**
 * Which gateways are there, by what each says of itself in the store they share. Nothing that is decided
 * relies on it: people are shown it, no two gateways have one name, and a stop that a file made is not
 * lifted by people while the gateway of that file is there to say so.
 */
import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';
import type { Clock } from '../model/ports.ts';
import { Problem } from '../model/problem.ts';
import type { Log } from '../server/problem.ts';
import {
  isAlive,
  type GatewayCard,
  type OpenedParts,
  type SeenGateway,
  type Shared,
} from '../store/shared.ts';
import type { GatewayName } from './gateway-name.ts';
import { differingParts } from './opened-parts.ts';
import { VERSION } from './version.ts';

export interface Presence {
  /** This gateway and the others, as they were seen at the last beat. */
  gateways(): readonly SeenGateway[];
  /** Whether one of this name was. */
  isThere(id: string): boolean;
  /** From now on it answers there, with what it opened. */
  answersAt(url: string, opened: OpenedParts): Promise<void>;
  /** In what the settings of a gateway differ from those that this one opened. */
  differs(from: SeenGateway): readonly string[];
  /** Says that it is there, and looks who else is. Call it every `BEAT_MS`. */
  beat(): Promise<void>;
  /** Takes its leave; idempotent. */
  leave(): Promise<void>;
}

export interface PresencePorts {
  readonly shared: Shared;
  readonly gateway: GatewayName;
  readonly clock: Clock;
  readonly log: Log;
  /** What tells machines apart; tests hand in their own. */
  readonly host?: string;
  /** Whether a process of this machine runs; tests hand in their own. */
  readonly isRunning?: (pid: number) => boolean;
}

/** How often a gateway of the same name is looked for, before it counts as gone. */
const LOOK_MS = 1_000;

/**
 * Enters under the gateway's name. One that was left by a crash is taken over: at once where its process
 * is known to have ended, else when it was not seen for `ALIVE_MS`. Problem `store-locked` where a
 * gateway of that name is there.
 */
export async function enter(ports: PresencePorts): Promise<Presence> {
  const { shared, gateway, clock, log, host = hostKey() } = ports;
  let card: GatewayCard = {
    ...gateway,
    version: VERSION,
    url: null,
    host,
    pid: process.pid,
    startedAt: clock.now(),
    opened: {},
  };
  await takeName(ports, card);
  let seen = await shared.gateways();
  let isTaken = false;
  /** What was said of others, by name. */
  let told: ReadonlyMap<string, string> = new Map();

  async function beat(): Promise<void> {
    const isOwn = await shared.beat(card);
    if (!isOwn && !isTaken) log(takenText(card), undefined);
    isTaken = !isOwn;
    seen = await shared.gateways();
    tellOthers();
  }

  function differs(from: SeenGateway): readonly string[] {
    return differingParts(card.opened, from.opened);
  }

  /** Each time that another begins to run with other settings, or with others than before. */
  function tellOthers(): void {
    const now = new Map<string, string>();
    for (const each of seen.filter(isAlive)) {
      const parts = differs(each).map((part) => `\`${part}\``);
      if (parts.length === 0) continue;
      const text = differsText(each, parts.join(', '));
      now.set(each.id, text);
      if (told.get(each.id) !== text) log(text, undefined);
    }
    told = now;
  }

  return {
    gateways: () => seen.filter(isAlive),
    isThere: (id) => seen.some((each) => each.id === id && isAlive(each)),
    differs,
    answersAt: (url, opened) => {
      card = { ...card, url, opened };
      return beat();
    },
    beat,
    leave: () => shared.leave(card),
  };
}

/**
 * The gateways that are there, as somebody sees it who is none of them: one that ended without leaving
 * is gone at once where it ran on this machine, else when it was not seen for `ALIVE_MS`.
 */
export async function gatewaysThere(shared: Shared): Promise<readonly SeenGateway[]> {
  const own = { host: hostKey(), pid: process.pid };
  return (await shared.gateways()).filter((each) => !isGone(each, own, runs));
}

async function takeName(ports: PresencePorts, card: GatewayCard): Promise<void> {
  const { shared, clock, isRunning = runs } = ports;
  let known: SeenGateway | undefined;
  for (;;) {
    const found = (await shared.gateways()).find(({ id }) => id === card.id);
    if (found === undefined || isGone(found, card, isRunning)) {
      if (await shared.join(card, found?.holder ?? null)) return;
      continue;
    }
    // It said that it is there since the look before.
    const isBeating =
      known !== undefined && (known.holder !== found.holder || found.seenAgoMs < known.seenAgoMs);
    if (isBeating) throw taken(found);
    known = found;
    await clock.sleep(LOOK_MS);
  }
}

function isGone(
  found: SeenGateway,
  own: Pick<GatewayCard, 'host' | 'pid'>,
  isRunning: (pid: number) => boolean,
): boolean {
  if (!isAlive(found)) return true;
  if (found.host !== own.host) return false;
  // This process itself may hold it; one that had its number before it began does not.
  if (found.pid === own.pid) return found.startedAt < performance.timeOrigin;
  return !isRunning(found.pid);
}

function runs(pid: number): boolean {
  try {
    // Signal 0 only asks.
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return !(error instanceof Error && 'code' in error && error.code === 'ESRCH');
  }
}

/** The machine, and within it what counts processes by itself, as containers do. */
function hostKey(): string {
  const read = (look: () => string): string => {
    try {
      return look().trim();
    } catch {
      // Not on this system.
      return '';
    }
  };
  const boot = read(() => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8'));
  const processes = read(() => readlinkSync('/proc/self/ns/pid'));
  return [hostname(), boot, processes].filter((part) => part !== '').join(' ');
}

function taken({ id, url, pid, host }: SeenGateway): Problem {
  const where = url === null ? `as process ${pid} of ${host.split(' ')[0]}` : `at ${url}`;
  return new Problem(
    'store-locked',
    `a gateway called \`${id}\` is there already, ${where}; give this one a data folder of its own, or another name with --name`,
  );
}

function takenText({ id }: GatewayCard): string {
  return `warning: another gateway took the name \`${id}\`; give each a data folder of its own, or another name with --name`;
}

function differsText({ id }: SeenGateway, parts: string): string {
  return `warning: gateway \`${id}\` runs with other settings than this one: ${parts} differ; give both the same file and restart the one that has an older`;
}
