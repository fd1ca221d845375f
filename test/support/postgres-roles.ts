/** The roles that `writegate add postgres` makes, for a database of a test. */
import pg from 'pg';
import { asking } from '../../src/connectors/postgres/session/ask.ts';
import type { RoleKind } from '../../src/connectors/postgres/roles/role-facts.ts';
import { newPassword, roleNames } from '../../src/connectors/postgres/roles/roles.ts';
import {
  carryOutSetup,
  planSetup,
  readGround,
  type SetupWish,
} from '../../src/connectors/postgres/roles/setup.ts';

/** Settings of a target: one URL for each role. */
export interface RoleSettings {
  readonly url: string;
  readonly reader: string;
  readonly evidence: string;
  readonly undo: string;
}

/** Makes the four roles by a superuser's URL; they govern every table that is there by now. */
export async function makeRoles(
  adminUrl: string,
  wish: Partial<Omit<SetupWish, 'names'>> = {},
): Promise<RoleSettings> {
  const client = new pg.Client(adminUrl);
  await client.connect();
  try {
    const ask = asking(client);
    const whole: SetupWish = {
      governed: { schemas: ['public'], tables: undefined },
      receipts: 'writegate',
      hasUndo: true,
      hasTrackFunctions: true,
      isPublicRevoked: true,
      ...wish,
      names: roleNames('wg', client.database ?? 'test'),
    };
    const [writer, reader, evidence, undo] = [1, 2, 3, 4].map(newPassword);
    if (!writer || !reader || !evidence || !undo) throw new Error('four were asked for');
    const passwords = { writer, reader, evidence, undo };
    await carryOutSetup(ask, planSetup(whole, await readGround(ask, whole), passwords));
    const url = (kind: RoleKind): string => {
      const made = new URL(adminUrl);
      made.username = whole.names[kind];
      made.password = passwords[kind].reveal();
      return made.href;
    };
    return {
      url: url('writer'),
      reader: url('reader'),
      evidence: url('evidence'),
      undo: url('undo'),
    };
  } finally {
    await client.end();
  }
}
