/** What a gateway is called, beside others over the same store. */
import type { Random } from '../model/ports.ts';
import { Problem } from '../model/problem.ts';
import { readText, writePrivate, type DataFolder } from './folder.ts';

export interface GatewayName {
  /**
   * The same over its restarts: in the leaves that it makes, and on the stops that its file makes,
   * which it alone lifts.
   */
  readonly id: string;
  /** One run of it, `id/…`: what holds leases. */
  readonly holder: string;
}

/** A store of one gateway at a time needs no name to tell it from others. */
export const LONE_GATEWAY = 'gateway-1';

const FORM = /^[a-z0-9][a-z0-9-]{0,62}$/;
const RUN_BYTES = 6;

/**
 * Returns the name that was given, else that of the data folder, else a new one, which the folder then
 * has. Problem `configuration-invalid` where one was given that cannot be one.
 */
export async function nameGateway(
  folder: DataFolder,
  random: Random,
  { given, isLone }: { readonly given: string | undefined; readonly isLone: boolean },
): Promise<GatewayName> {
  const id = given === undefined ? await ownId(folder, random, isLone) : checked(given, '--name');
  return { id, holder: `${id}/${hex(random, RUN_BYTES)}` };
}

async function ownId(folder: DataFolder, random: Random, isLone: boolean): Promise<string> {
  const text = await readText(folder.gatewayId);
  if (text !== undefined) return checked(text.trim(), folder.gatewayId);
  if (isLone) return LONE_GATEWAY;
  const id = `gateway-${hex(random, RUN_BYTES)}`;
  await writePrivate(folder.gatewayId, `${id}\n`);
  return id;
}

function hex(random: Random, count: number): string {
  return Buffer.from(random.bytes(count)).toString('hex');
}

function checked(id: string, from: string): string {
  if (FORM.test(id)) return id;
  throw new Problem(
    'configuration-invalid',
    `expected a name of up to 63 lower-case letters, digits and hyphens for the gateway, found \`${id}\` in \`${from}\`; change it`,
  );
}
