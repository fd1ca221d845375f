/**
 * The two keys of an installation: the ledger's, and that of the evidence. Each is a file of the data
 * folder, and the same on every gateway over one store; the store says which.
 *
 * A crash between the file and the note leaves a key that nothing was signed or sealed with; the next
 * start notes it.
 */
import { rm } from 'node:fs/promises';
import { createKeyFile, openSigner, originOf } from '../ledger/signer.ts';
import type { TenantId } from '../model/ids.ts';
import type { Random, Signer } from '../model/ports.ts';
import { Problem } from '../model/problem.ts';
import { keyIdOf } from '../store/evidence-format.ts';
import { createEvidenceKey, readEvidenceKey } from '../store/evidence-key.ts';
import type { Shared } from '../store/shared.ts';
import { exists, type DataFolder } from './folder.ts';

export const LEDGER_KEY_NOTE = 'ledger.key';
export const EVIDENCE_KEY_NOTE = 'evidence.key';

export interface KeyPorts {
  readonly folder: DataFolder;
  readonly tenant: TenantId;
  readonly random: Random;
  readonly shared: Shared;
  /** Where the store is, for people. */
  readonly where: string;
}

/**
 * Opens the ledger's key, made where there is none anywhere. Problem `key-differs` where the store has a
 * log of another key.
 */
export async function openLedgerKey(ports: KeyPorts): Promise<Signer> {
  const { folder, tenant, random, shared } = ports;
  const path = folder.ledgerKey;
  const noted = await shared.noted(LEDGER_KEY_NOTE);
  const isNew = !(await exists(path));
  if (isNew && noted !== undefined) throw missing(ports, path, `a log that \`${noted}\` verifies`);
  if (isNew) await createKeyFile(path, originOf(tenant), random);
  const signer = await openSigner(path);
  if (signer.name !== originOf(tenant)) throw otherTenant(folder, signer, tenant);
  const agreed = await shared.agree(LEDGER_KEY_NOTE, signer.vkey);
  if (agreed === signer.vkey) return signer;
  const what = `a log that \`${agreed}\` verifies, and this key is of \`${signer.vkey}\``;
  throw await differs(ports, path, what, isNew);
}

/** Opens the key that wraps evidence, made where there is none anywhere. Problems as above. */
export async function openEvidenceKey(
  ports: KeyPorts,
  hasFiles: () => Promise<boolean>,
): Promise<Buffer> {
  const { folder, shared } = ports;
  const path = folder.evidenceKey;
  const known = await readEvidenceKey(path);
  const noted = await shared.noted(EVIDENCE_KEY_NOTE);
  if (known === undefined && (noted !== undefined || (await hasFiles()))) {
    throw missing(ports, path, 'evidence under a key');
  }
  const key = known ?? (await createEvidenceKey(path));
  const agreed = await shared.agree(EVIDENCE_KEY_NOTE, keyIdOf(key));
  if (agreed === keyIdOf(key)) return key;
  throw await differs(ports, path, 'evidence under another key', known === undefined);
}

/** A key that another gateway was quicker than is of nothing, and does not stay. */
async function differs(
  { where }: KeyPorts,
  path: string,
  what: string,
  isNew: boolean,
): Promise<Problem> {
  if (isNew) await rm(path, { force: true });
  return new Problem(
    'key-differs',
    `the store at ${where} has ${what}; copy \`${path}\` from the data folder of a gateway that runs on it, or name another store`,
  );
}

function missing({ where }: KeyPorts, path: string, what: string): Problem {
  return new Problem(
    'key-differs',
    `the store at ${where} has ${what}, and there is no \`${path}\`; copy it from the data folder of a gateway that runs on it, or put it back from your copy: a new one would begin another`,
  );
}

function otherTenant(folder: DataFolder, signer: Signer, tenant: TenantId): Problem {
  return new Problem(
    'configuration-invalid',
    `expected the tenant of \`${signer.name}\`, whose data \`${folder.path}\` holds, found \`${tenant}\`; name another data folder, or put the tenant back`,
    { at: '/tenant' },
  );
}
