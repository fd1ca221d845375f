/**
 * The emergency switch in the configuration file, `writes: { enabled: false }`.
 *
 * 1. Off binds at the first look, whatever else is wrong with the file: one key is read leniently.
 * 2. On counts only of a file that loads whole and was the same at two looks: a file that is being
 *    written, cut short or broken otherwise lifts nothing. One that is gone changes nothing.
 * 3. The stop itself is in the store, so it binds in the transaction of each intent and survives a
 *    restart. What a look could not write, the next one does.
 */
import type { FileSwitch } from '../gate/freeze.ts';
import type { TenantId } from '../model/ids.ts';
import { Problem } from '../model/problem.ts';
import { parseConfiguration } from '../policy/parse.ts';
import { saysStop } from '../policy/load/switch.ts';
import { readText } from './folder.ts';

export interface EmergencySwitch {
  /** Whether the file stops all writes, as far as it was looked at. */
  isOff(): boolean;
  /** Looks at the file and makes the store agree with it. Looks wait for each other. */
  look(): Promise<void>;
}

export interface SwitchPorts {
  readonly path: string;
  readonly tenant: TenantId;
  /** The name of this gateway. */
  readonly gateway: string;
  readonly obey: (file: FileSwitch) => Promise<void>;
  /** Told when the switch is turned. */
  readonly onChange: (line: string) => void;
}

/** Keeps the switch in view; nothing is looked at before the first `look`. */
export function keepSwitch(ports: SwitchPorts): EmergencySwitch {
  const { path, tenant, gateway, obey, onChange } = ports;
  let state: 'unknown' | 'off' | 'on' = 'unknown';
  let seen: { readonly text: string; readonly says: 'off' | 'on' | 'nothing' } | undefined;
  let turn: Promise<void> = Promise.resolve();

  async function look(): Promise<void> {
    const text = await readText(path).catch(() => undefined);
    if (text !== undefined) {
      const isSeenBefore = seen?.text === text;
      const says = seen?.text === text ? seen.says : saidBy(text, path);
      seen = { text, says };
      if (says === 'off') turnTo('off');
      else if (says === 'on' && isSeenBefore) turnTo('on');
    }
    if (state !== 'unknown') await obey({ tenant, gateway, isOff: state === 'off' });
  }

  function turnTo(next: 'off' | 'on'): void {
    if (state === next) return;
    if (next === 'off') onChange('the file stops all writes: `writes: { enabled: false }`');
    else if (state === 'off') onChange('the file stops writes no longer');
    state = next;
  }

  return {
    isOff: () => state === 'off',
    look: () => {
      turn = turn.catch(() => {}).then(look);
      return turn;
    },
  };
}

function saidBy(text: string, path: string): 'off' | 'on' | 'nothing' {
  if (saysStop(text)) return 'off';
  try {
    parseConfiguration(text, path);
    return 'on';
  } catch (error) {
    if (error instanceof Problem) return 'nothing';
    throw error;
  }
}
