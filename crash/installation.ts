/** A fresh Writegate on a lane's servers: its data, its gateways, and who may call them. */
import { chmod, copyFile, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createClient, type Client } from '../src/client/index.ts';
import { Gateway } from './gateway.ts';
import type { Lane } from './lane.ts';
import type { CallerName, Door } from './load.ts';

export interface Installation {
  readonly lane: Lane;
  readonly gateways: readonly Gateway[];
  /** Where all of its files are, and what the gateways say. */
  readonly folder: string;
  /** The data folder of each gateway. */
  readonly data: readonly string[];
  /** The folders of the published log, one of each gateway. */
  readonly logs: readonly string[];
  /** The gateways as their callers see them. */
  readonly doors: readonly Door[];
  /** Ends it. `keeps`: what it leaves on disk stays, for whoever wants to look. */
  close(keeps: boolean): Promise<void>;
}

const AGENTS = ['bot', 'clerk', 'spender'] as const;
/** A client of the SDK waits a quarter of this before it asks again. */
const SDK_PATIENCE = 0.25;

/** Makes it and starts its gateways. What was started is ended where a step throws. */
export async function openInstallation(lane: Lane): Promise<Installation> {
  await lane.empty();
  const folder = await mkdtemp(join(tmpdir(), 'writegate-crash-'));
  const gateways: Gateway[] = [];
  const close = async (keeps: boolean): Promise<void> => {
    await Promise.all(gateways.map((gateway) => gateway.kill()));
    if (!keeps) await rm(folder, { recursive: true, force: true });
  };
  try {
    await chmod(folder, 0o700);
    const config = join(folder, 'writegate.yaml');
    await copyFile(join(import.meta.dirname, 'writegate.yaml'), config);
    const data = lane.ways.map((_ways, index) => join(folder, `data-${index + 1}`));
    for (const [index, ways] of lane.ways.entries()) {
      const own = join(folder, `data-${index + 1}`);
      await mkdir(own, { mode: 0o700 });
      if (index > 0) await copyKeys(join(folder, 'data-1'), own);
      const gateway = new Gateway({
        number: index + 1,
        arguments: ['--config', config, '--dir', own],
        environment: lane.environment(ways),
        cache: lane.cache,
        logPath: join(folder, `gateway-${index + 1}.log`),
      });
      gateways.push(gateway);
      await gateway.start();
    }
    const tokens = await openTokens(
      gateways[0]?.url ?? '',
      join(folder, 'data-1', 'operator.token'),
    );
    return {
      lane,
      gateways,
      folder,
      data,
      logs: data.map((own) => join(own, 'ledger')),
      doors: gateways.map((gateway) => doorOf(gateway, tokens)),
      close,
    };
  } catch (error) {
    await close(false);
    throw error;
  }
}

/** As the guide says of each gateway after the first. */
async function copyKeys(from: string, to: string): Promise<void> {
  for (const key of ['ledger.key', 'evidence.key']) await copyFile(join(from, key), join(to, key));
}

function doorOf(gateway: Gateway, tokens: ReadonlyMap<CallerName, string>): Door {
  const clients = new Map<CallerName, Client>();
  return {
    get isUp() {
      return gateway.isUp;
    },
    up: () => gateway.up(),
    client: (caller) => {
      const client = clients.get(caller) ?? clientOf(gateway.url, tokens.get(caller) ?? '');
      clients.set(caller, client);
      return client;
    },
  };
}

function clientOf(url: string, token: string): Client {
  return createClient({ url, token, sleep: sleepLess });
}

/** As the SDK sleeps between its tries, only shorter. */
function sleepLess(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(wake, ms * SDK_PATIENCE);
    function wake(): void {
      clearTimeout(timer);
      signal?.removeEventListener('abort', wake);
      resolve();
    }
    signal?.addEventListener('abort', wake);
  });
}

async function openTokens(
  url: string,
  operatorTokenFile: string,
): Promise<ReadonlyMap<CallerName, string>> {
  const olga = (await readFile(operatorTokenFile, 'utf8')).trim();
  const operator = clientOf(url, olga);
  const tokens = new Map<CallerName, string>([['olga', olga]]);
  for (const name of AGENTS) {
    tokens.set(name, (await operator.issueCredential({ kind: 'agent', name })).secret);
  }
  tokens.set('ann', (await operator.issueCredential({ kind: 'person', name: 'ann' })).secret);
  return tokens;
}
