/** The kinds of target; a new one is one more line here. */
import type { Connector } from './connector.ts';
import { postgres } from './postgres.ts';

export const CONNECTORS: readonly Connector[] = [postgres];
