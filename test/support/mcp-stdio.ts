/** What `writegate mcp` is: the SDK's client behind MCP over stdio. Takes the address and the token. */
import { createClient } from '../../src/client/index.ts';
import { serveMcpStdio } from '../../src/server/mcp.ts';

const [url = '', token = ''] = process.argv.slice(2);
serveMcpStdio(createClient({ url, token }), {
  version: '0.1.0',
  log: (line, cause) => console.error(line, cause),
  ended: new AbortController().signal,
});
